//! The engine: runs one example from its texts to its table of scores.
//!
//! `prepare` encodes the texts and generates targets, `explain` runs the method and the step
//! scores, and the pipeline of aggregators reduces the result. `regimes` splits the examples that
//! one forward pass cannot serve. `steps` offers the stages one by one.

#[cfg(test)]
mod device_tests;
mod explain;
mod explained;
mod prepare;
mod prepared;
mod regimes;
mod steps;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use whence_schemas::job::Dtype;
use whence_schemas::{AttributionSpec, GenerationSpec};

use crate::aggregate::{Context, Pipeline, Reduction};
use crate::attribution::Offsets;
use crate::compute::ComputeBudget;
use crate::footprint::Footprint;
use crate::generate::{Settings, check_token_ids};
use crate::instance::Instance;
use crate::kernels::Place;
use crate::loading::Opened;
use crate::memory::MemoryBudget;
use crate::methods::Method;
use crate::model::dropout::DropoutRates;
use crate::model::{self, ModelFiles, RowCounts, Transformer};
use crate::sampler::{Sampler, SamplerSource};
use crate::sides::Side;
use crate::specification::{
    BuiltSpecification, check, check_attributed, check_labels, check_number, names_of,
};
use crate::step_functions::StepFunction;
use crate::text::{ChatTemplate, Tokenizer};
use crate::{Attribution, Error, Example, Notice, Stop, Token};
use explained::Explained;
pub(crate) use prepared::Prepared;

/// A loaded model, ready to attribute. It is immutable: whatever observes or changes a pass is an
/// argument of that pass, not a hook stored in the model, so attributors can share it.
#[derive(Debug)]
pub struct Engine {
    model: Transformer,
    tokenizer: Tokenizer,
    /// The model's own generation defaults, used where the job sets nothing.
    generation: GenerationSpec,
    dropout: DropoutRates,
    path: PathBuf,
    notices: Vec<Notice>,
    /// The most recently used sampler. Consecutive jobs usually name the same one, so it is not
    /// loaded again.
    sampler: Mutex<Option<(SamplerSource, Arc<Sampler>)>>,
    place: Place,
}

impl Engine {
    /// Loads the model at `path`, a Hugging Face folder or a GGUF file, to compute in `dtype`.
    ///
    /// Fails if a file is missing, damaged or in an unknown format.
    pub fn load(path: &Path, dtype: Dtype) -> Result<Self, Error> {
        Self::load_within(path, dtype, None)
    }

    /// Like [`Self::load`], but with only `free` bytes of memory available. If the weights do not
    /// fit in `dtype`, those stored in half precision stay in half precision and are widened each
    /// time they are used. The results are the same either way.
    pub fn load_within(path: &Path, dtype: Dtype, free: Option<u64>) -> Result<Self, Error> {
        Self::load_at(path, dtype, free, Place::memory())
    }

    /// Like [`Self::load_within`], for computing at `place`, whose memory `free` is about.
    pub fn load_at(
        path: &Path,
        dtype: Dtype,
        free: Option<u64>,
        place: Place,
    ) -> Result<Self, Error> {
        let opened = Opened::open(path, dtype)?;
        let notices = opened.model.notices().to_vec();
        Ok(Self {
            model: opened.model.at(place.clone()).load(free)?,
            tokenizer: opened.tokenizer,
            generation: opened.generation,
            dropout: opened.dropout,
            path: path.to_owned(),
            notices,
            sampler: Mutex::new(None),
            place,
        })
    }

    /// Returns the notices about the model's files that the user should see.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// Returns how many rows went through the model since it was loaded, which is what computations
    /// cost.
    pub fn row_counts(&self) -> RowCounts {
        self.model.row_counts()
    }

    /// Checks `spec` against the registries and this model. Loads the masked language model that
    /// the method names, unless it is the one that was loaded last.
    pub fn prepare(&self, spec: &AttributionSpec) -> Result<Attributor<'_>, Error> {
        check(spec)?;
        let BuiltSpecification {
            method,
            function,
            step_scores,
            pipeline,
        } = BuiltSpecification::build(spec)?;
        method.check(&self.model)?;
        let (_, vocabulary) = self.model.spec().embedding_of(Side::Target);
        check_token_ids(&spec.generation, vocabulary)?;
        let (source, target) = (spec.src_lang.as_deref(), spec.tgt_lang.as_deref());
        let tokenizer = self.tokenizer.speaking(source, target)?;
        let chat = spec.chat.as_ref();
        let chat = chat.map(|chat| self.tokenizer.chat_template(chat));
        let mut spec = spec.clone();
        // A chat template writes the special tokens itself; the tokenizer must not add them again.
        spec.skip_special_tokens |= chat.is_some();
        // Multilingual models choose the output language by the code that the target begins with.
        if let (Some(language), None) = (target, spec.generation.forced_bos_token_id) {
            spec.generation.forced_bos_token_id = tokenizer.language_code(language)?;
        }
        let sampler = method
            .requirements(spec.compat)
            .sampler
            .map(|source| self.sampler(source));
        let attributor = Attributor {
            engine: self,
            model: self.model.clone(),
            sampler: sampler.transpose()?,
            tokenizer,
            chat: chat.transpose()?,
            method,
            function,
            step_scores,
            pipeline,
            raw: None,
            generation: Settings::new(
                &spec.generation,
                &self.generation,
                &self.tokenizer.of(Side::Target).special().eos,
            )?,
            seed: 0,
            spec,
            budget: self.budget(MemoryBudget::Unbounded),
        };
        attributor.boundaries()?;
        let vocabulary = self.model.spec().vocabulary;
        attributor.generation.check_vocabulary(vocabulary)?;
        Ok(attributor)
    }

    fn sampler(&self, source: &SamplerSource) -> Result<Arc<Sampler>, Error> {
        let mut last = self.sampler.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, sampler)) = last.as_ref()
            && known == source
        {
            return Ok(Arc::clone(sampler));
        }
        // Drop the old sampler before loading the new one: both may not fit in memory at once.
        *last = None;
        let sampler = Arc::new(Sampler::load(source, &self.tokenizer)?);
        *last = Some((source.clone(), Arc::clone(&sampler)));
        Ok(sampler)
    }

    /// Fails if not even the smallest possible example fits into `bytes` of working memory.
    pub fn check_memory(&self, bytes: u64) -> Result<(), Error> {
        self.budget(MemoryBudget::Bytes(bytes))
            .check_least(Footprint::of(&self.model))
    }

    fn budget(&self, memory: MemoryBudget) -> ComputeBudget {
        ComputeBudget::of(&self.place, memory)
    }

    /// Returns whether the model has an encoder.
    pub(crate) fn has_encoder(&self) -> bool {
        self.model.has_encoder()
    }

    /// Returns the path the model was loaded from.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Fails if not even the smallest possible example fits into `bytes` of working memory with the
/// model at `path`. Reads only the model's configuration, not its weights.
pub fn check_memory(path: &Path, dtype: Dtype, bytes: u64) -> Result<(), Error> {
    let files = ModelFiles::open(path)?;
    let spec = model::architectures::spec(&files.config()?)?;
    let footprint = Footprint::new(&spec, model::precision(dtype));
    ComputeBudget::of(&Place::memory(), MemoryBudget::Bytes(bytes)).check_least(footprint)
}

/// A validated specification, bound to a loaded model.
#[derive(Debug)]
pub struct Attributor<'e> {
    engine: &'e Engine,
    /// The engine's model, with this attributor's [`Stop`] attached to its passes.
    model: Transformer,
    spec: AttributionSpec,
    method: Box<dyn Method>,
    sampler: Option<Arc<Sampler>>,
    function: Box<dyn StepFunction>,
    step_scores: Vec<(String, Box<dyn StepFunction>)>,
    pipeline: Pipeline,
    /// Collects scores instead of `pipeline` if the raw ones are asked for: it has no stages.
    raw: Option<Pipeline>,
    generation: Settings,
    /// The tokenizer, set to the source and target languages of the specification.
    tokenizer: Tokenizer,
    chat: Option<ChatTemplate>,
    seed: u64,
    budget: ComputeBudget,
}

impl Attributor<'_> {
    /// Sets the seed of all random draws; the default is 0. Each example's draws depend on the seed
    /// and the example's id alone.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Limits working memory, not counting the model itself, to about `bytes`; there is no limit by
    /// default. An example that does not fit by itself fails with an error.
    #[must_use]
    pub fn with_memory(self, bytes: u64) -> Self {
        Self {
            budget: self.engine.budget(MemoryBudget::Bytes(bytes)),
            ..self
        }
    }

    /// Ends the computation soon after `stop` is requested, whatever the method. Examples that are
    /// not finished by then fail with [`Error::Stopped`].
    #[must_use]
    pub fn with_stop(self, stop: Stop) -> Self {
        Self {
            model: self.model.stopped_by(stop),
            ..self
        }
    }

    /// Leaves scores as the method computed them, which takes memory: `[tokens, hidden]` per step
    /// for gradients. [`Self::aggregated`] runs the aggregators of the specification on them.
    #[must_use]
    pub fn with_raw_scores(self) -> Self {
        let raw = Pipeline::build(&[], self.pipeline.defaults());
        Self {
            raw: Some(raw.expect("a pipeline without stages is always valid")),
            ..self
        }
    }

    /// Attributes `function` instead of the one the specification names.
    ///
    /// Fails if the method needs a gradient and `function` has none, if the method looks into a
    /// single pass and `function` is computed from several with dropout, or if `function` needs a
    /// contrast with its own prediction and the specification does not set `contrast_force_inputs`.
    pub fn with_attributed_fn(self, function: Box<dyn StepFunction>) -> Result<Self, Error> {
        check_attributed(&self.spec, self.method.as_ref(), function.as_ref())?;
        Ok(Self { function, ..self })
    }

    /// Also records `function` as the step score `name`. Fails if another step score has that name,
    /// or if there are more step scores than a job may record.
    pub fn with_step_score(
        mut self,
        name: &str,
        function: Box<dyn StepFunction>,
    ) -> Result<Self, Error> {
        self.step_scores.push((name.to_owned(), function));
        check_number(self.step_scores.len())?;
        let requirements = self.method.requirements(self.spec.compat);
        check_labels(&self.step_scores, &names_of(&requirements))?;
        Ok(self)
    }

    /// Attributes `examples` together. Result `i` belongs to example `i`; if several sequences were
    /// generated for it, only the first is attributed.
    ///
    /// An invalid example does not affect the others, and each example's scores are bitwise the
    /// same as if it were attributed alone.
    pub fn attribute(&self, examples: &[Example]) -> Vec<Result<Attribution, Error>> {
        let first = |mut samples: Vec<_>| samples.swap_remove(0);
        let all = self.attribute_up_to(examples, 1);
        all.into_iter().map(first).collect()
    }

    /// Like [`Self::attribute`], but for every generated sequence: `num_return_sequences` results
    /// per example, best first, or a single result if the target is forced or the example is
    /// invalid. All sequences of an example share the method's random draws.
    pub fn attribute_samples(&self, examples: &[Example]) -> Vec<Vec<Result<Attribution, Error>>> {
        self.attribute_up_to(examples, usize::MAX)
    }

    /// Attributes up to `most` sequences per example, and at least one.
    fn attribute_up_to(
        &self,
        examples: &[Example],
        most: usize,
    ) -> Vec<Vec<Result<Attribution, Error>>> {
        let texts = examples.iter().map(|example| self.source_text(example));
        let texts: Vec<Option<&str>> = texts.collect();
        let prepared = self.prepare_examples(examples, most);
        let good = prepared.iter().flatten().flatten();
        let good: Vec<_> = good.map(|prepared| prepared.instance.clone()).collect();
        let mut explained = self.explain_each(&good).into_iter();
        let mut finish = |prepared: Result<Prepared, Error>, text: Option<&str>| {
            let prepared = prepared?;
            let explained = explained.next().expect("every good sequence has its steps");
            self.finish(self.assemble(prepared, explained?), text)
        };
        let samples = |(samples, text): (Vec<_>, Option<&str>)| {
            let samples = samples.into_iter();
            samples.map(|sample| finish(sample, text)).collect()
        };
        prepared.into_iter().zip(texts).map(samples).collect()
    }

    /// Returns the text that the offsets of an example's source tokens count in. Behind a chat
    /// template that is not the example's own text.
    fn source_text<'t>(&self, example: &'t Example) -> Option<&'t str> {
        let is_own = self.chat.is_none();
        is_own.then_some(example.input_text.as_str())
    }

    /// Explains `instances` together. If that fails, explains them one by one, so that only the
    /// instances at fault get an error; or half of them at a time if a device is full.
    fn explain_each(&self, instances: &[Instance]) -> Vec<Result<Explained, Error>> {
        match self.explain_in_runs(instances) {
            Ok(explained) => explained,
            Err(_) if self.model.stop().is_requested() => {
                instances.iter().map(|_| Err(Error::Stopped)).collect()
            }
            Err(error) if instances.len() == 1 => vec![Err(error)],
            Err(error) => error
                .parts(instances)
                .flat_map(|part| self.explain_each(part))
                .collect(),
        }
    }

    /// Returns the names of the step scores, in the order of
    /// [`crate::StepAttribution::step_scores`].
    pub fn step_score_names(&self) -> Vec<String> {
        let scores = self.step_score_merges().into_iter();
        scores.map(|(name, _)| name).collect()
    }

    /// Returns the name of every step score and how its values are merged when tokens are merged.
    fn step_score_merges(&self) -> Vec<(String, Reduction)> {
        let compat = self.spec.compat;
        let asked = self.step_scores.iter();
        let asked = asked.map(|(name, function)| (name.clone(), function.merged_by(compat)));
        let own = self.method.requirements(compat).step_scores.iter();
        let own = own.map(|score| (score.name.to_owned(), score.merged_by));
        asked.chain(own).collect()
    }

    /// Runs the aggregators that need the whole attribution, unless its scores stay raw.
    fn finish(&self, attribution: Attribution, text: Option<&str>) -> Result<Attribution, Error> {
        if self.raw.is_some() {
            return Ok(attribution);
        }
        self.in_context(text, |context| self.pipeline.finish(attribution, context))
    }

    /// Runs the aggregators of the specification on the raw scores of `example`: see
    /// [`Self::with_raw_scores`]. The result is the same as without raw scores.
    pub fn aggregated(&self, raw: &Attribution, example: &Example) -> Result<Attribution, Error> {
        let text = self.source_text(example);
        self.in_context(text, |context| self.pipeline.aggregate_kept(raw, context))
    }

    /// Calls `aggregate` with what aggregators may need to know.
    fn in_context<R>(
        &self,
        source_text: Option<&str>,
        aggregate: impl FnOnce(&Context<'_>) -> R,
    ) -> R {
        let is_special = |side, token: &Token| {
            let id = token.id;
            id.is_some_and(|id| self.tokenizer.of(side).is_special(id))
        };
        aggregate(&Context {
            step_scores: &self.step_score_merges(),
            is_special: &is_special,
            source_text,
            column: None,
            defaults: self.pipeline.defaults(),
        })
    }

    fn tokens(&self, side: Side, ids: &[u32], offsets: &[Offsets]) -> Vec<Token> {
        let tokens = ids.iter().zip(offsets);
        tokens
            .map(|(&id, &offsets)| Token {
                offsets,
                ..self.token(side, id)
            })
            .collect()
    }

    /// Returns the token with this id, with no offsets into a text.
    fn token(&self, side: Side, id: u32) -> Token {
        Token {
            id: Some(id),
            text: self.tokenizer.of(side).token(id),
            offsets: None,
        }
    }

    fn assemble(&self, prepared: Prepared, explained: Explained) -> Attribution {
        let instance = prepared.instance;
        Attribution {
            source: self.tokens(Side::Source, &instance.source, &prepared.source_offsets),
            target: self.tokens(Side::Target, &instance.target, &prepared.target_offsets),
            generated_text: prepared.generated_text,
            forced: prepared.forced,
            attr_pos_start: instance.explained.start,
            attr_pos_end: instance.explained.end,
            steps: explained.steps,
            sequence_scores: explained.sequence_scores,
        }
    }
}
