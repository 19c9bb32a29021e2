//! A context specification bound to a model.

use super::cue_attributors::CueAttributors;
use super::specification::{ContextSpec, check_context};
use crate::engine::{Attributor, Engine};
use crate::sides::Side;
use crate::{Error, Stop};

/// A validated context specification, bound to a loaded model.
#[derive(Debug)]
pub struct ContextAttributor<'e> {
    pub(super) spec: ContextSpec,
    pub(super) has_encoder: bool,
    /// Special tokens that stay in texts.
    pub(super) kept: Vec<u32>,
    /// Records the metric for outputs without context, contrasted with the same outputs in context.
    pub(super) comparing: Attributor<'e>,
    pub(super) cues: CueAttributors<'e>,
}

impl<'e> ContextAttributor<'e> {
    /// Checks `spec` against the registries and the model.
    pub fn new(engine: &'e Engine, spec: &ContextSpec) -> Result<Self, Error> {
        check_context(spec)?;
        let has_encoder = engine.has_encoder();
        let comparing = engine.prepare(&spec.comparison(has_encoder))?;
        let vocabulary = comparing.tokenizer().of(Side::Target);
        let kept = spec.options.special_tokens_to_keep.iter().map(|token| {
            let id = vocabulary
                .id(token)
                .filter(|id| vocabulary.has_no_text(*id));
            id.ok_or_else(|| Error::Specification {
                reason: format!(
                    "--special-tokens-to-keep: `{token}` is not a special token of the model"
                ),
            })
        });
        Ok(Self {
            kept: kept.collect::<Result<_, _>>()?,
            cues: CueAttributors::new(engine, &spec.cues(has_encoder))?,
            spec: spec.clone(),
            has_encoder,
            comparing,
        })
    }

    /// Sets the seed of all random draws; the default is 0.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        self.each(|attributor| attributor.with_seed(seed))
    }

    /// Limits working memory, as [`Attributor::with_memory`] does.
    #[must_use]
    pub fn with_memory(self, bytes: u64) -> Self {
        self.each(|attributor| attributor.with_memory(bytes))
    }

    /// Ends the computation soon after `stop` is requested.
    #[must_use]
    pub fn with_stop(self, stop: &Stop) -> Self {
        self.each(|attributor| attributor.with_stop(stop.clone()))
    }

    fn each(self, change: impl Fn(Attributor<'e>) -> Attributor<'e>) -> Self {
        Self {
            comparing: change(self.comparing),
            cues: self.cues.each(&change),
            ..self
        }
    }
}
