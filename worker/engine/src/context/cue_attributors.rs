//! What attributes context-sensitive tokens.

use whence_schemas::AttributionSpec;

use crate::Error;
use crate::engine::{Attributor, Engine};

/// What attributes context-sensitive tokens.
#[derive(Debug)]
pub(super) struct CueAttributors<'e> {
    /// Attributes a token; if the function contrasts, with another one after the same text.
    pub(super) plain: Option<Attributor<'e>>,
    /// Contrasts with the prediction without context; `None` if the function does not contrast.
    pub(super) forced: Option<Attributor<'e>>,
}

impl<'e> CueAttributors<'e> {
    pub(super) fn new(engine: &'e Engine, spec: &AttributionSpec) -> Result<Self, Error> {
        let forced = {
            let mut spec = spec.clone();
            spec.contrast.contrast_force_inputs = true;
            engine.prepare(&spec)?
        };
        if !forced.is_contrastive() {
            return Ok(Self {
                plain: Some(engine.prepare(spec)?),
                forced: None,
            });
        }
        let is_always_forced = spec.contrast.contrast_force_inputs || forced.needs_own_contrast();
        let plain = (!is_always_forced).then(|| engine.prepare(spec));
        Ok(Self {
            plain: plain.transpose()?,
            forced: Some(forced),
        })
    }

    pub(super) fn each(self, change: impl Fn(Attributor<'e>) -> Attributor<'e>) -> Self {
        Self {
            plain: self.plain.map(&change),
            forced: self.forced.map(&change),
        }
    }
}
