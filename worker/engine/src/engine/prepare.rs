//! From examples to instances: encodes the texts, generates the targets that are not forced, and
//! pairs examples with targets.
//!
//! Each stage handles all examples and keeps the error of each, so that an invalid example fails
//! alone.

use std::borrow::Cow;

use whence_schemas::Compat;

use super::Attributor;
use super::prepared::Prepared;
use crate::encode::{Encoded, Target};
use crate::generate::{self, Continued, Prompt};
use crate::instance::Instance;
use crate::{Error, Example};

/// An example with its tokens, after the chat template if one is used.
struct EncodedExample<'e> {
    example: Cow<'e, Example>,
    encoded: Encoded,
}

/// An example with its targets: the forced one, or the generated ones.
struct TargetedExample<'e> {
    source: EncodedExample<'e>,
    targets: Vec<Result<Target, Error>>,
    forced: bool,
}

impl Attributor<'_> {
    /// Encodes every example and generates the targets that are not forced, up to `most` per
    /// example.
    pub(super) fn prepare_examples(
        &self,
        examples: &[Example],
        most: usize,
    ) -> Vec<Vec<Result<Prepared, Error>>> {
        let encoded = examples.iter().map(|example| self.encode(example));
        let with_targets = self.generate_targets(encoded.collect(), most);
        with_targets
            .into_iter()
            .map(|example| match example {
                Ok(example) => self.pair(example),
                Err(error) => vec![Err(error)],
            })
            .collect()
    }

    /// Encodes the texts of an example. Fails if a target must be generated and they leave no room
    /// for it, or no memory to explain it.
    fn encode<'e>(&self, example: &'e Example) -> Result<EncodedExample<'e>, Error> {
        if self.model.stop().is_requested() {
            return Err(Error::Stopped);
        }
        let example = match &self.chat {
            None => Cow::Borrowed(example),
            Some(chat) => Cow::Owned(chat.apply(example)?),
        };
        let encoded = self.encoder().encode(&example)?;
        if encoded.forced.is_none() {
            let positions = self.model.spec().max_positions;
            self.generation
                .check_room(encoded.prompt.len(), positions)?;
            // Before a target is generated that could not be explained.
            self.check_passes(encoded.source.len(), encoded.prompt.len())?;
        }
        Ok(EncodedExample { example, encoded })
    }

    /// Adds the targets of every example. All targets that are not forced are generated together.
    fn generate_targets<'e>(
        &self,
        encoded: Vec<Result<EncodedExample<'e>, Error>>,
        most: usize,
    ) -> Vec<Result<TargetedExample<'e>, Error>> {
        let prompts: Vec<_> = encoded
            .iter()
            .flatten()
            .filter(|example| example.encoded.forced.is_none())
            .map(|EncodedExample { example, encoded }| Prompt {
                source: encoded.source.clone(),
                ids: encoded.prompt.clone(),
                seed: (self.seed, example.id),
            })
            .collect();
        let memory = self.budget.memory;
        let mut continued =
            generate::generate_within(&self.model, &prompts, &self.generation, memory).into_iter();
        let of_example = |source: Result<EncodedExample<'e>, Error>| {
            let mut source = source?;
            if let Some(target) = source.encoded.forced.take() {
                return Ok(TargetedExample {
                    source,
                    targets: vec![Ok(target)],
                    forced: true,
                });
            }
            let continued = continued.next().expect("every open example has a prompt");
            self.generated(source, continued, most)
        };
        encoded.into_iter().map(of_example).collect()
    }

    /// Builds the targets that were generated for an example.
    fn generated<'e>(
        &self,
        source: EncodedExample<'e>,
        continued: Continued,
        most: usize,
    ) -> Result<TargetedExample<'e>, Error> {
        let EncodedExample { example, encoded } = &source;
        let encoder = self.encoder();
        let target = |new: &Vec<u32>| encoder.generated(&example.input_text, encoded, new);
        let sequences = continued?;
        let targets = sequences.iter().take(most).map(target).collect();
        Ok(TargetedExample {
            source,
            targets,
            forced: false,
        })
    }

    /// Builds one instance for each target of an example.
    fn pair(&self, example: TargetedExample<'_>) -> Vec<Result<Prepared, Error>> {
        let TargetedExample {
            source: EncodedExample { example, encoded },
            targets,
            forced,
        } = example;
        let pair = |target: Result<Target, Error>| {
            let target = target?;
            let instance = self
                .encoder()
                .instance(&example, &encoded.source, &target)?;
            self.check_contrast(&instance)?;
            Ok(Prepared {
                instance,
                source_offsets: encoded.source_offsets.clone(),
                target_offsets: target.offsets,
                generated_text: target.text,
                forced,
            })
        };
        targets.into_iter().map(pair).collect()
    }

    /// Fails if a function would contrast `instance` with itself. Inseq allows that.
    fn check_contrast(&self, instance: &Instance) -> Result<(), Error> {
        if self.spec.compat == Compat::Inseq071 {
            return Ok(());
        }
        let is_void = match &instance.contrast {
            None => true,
            Some(contrast) => {
                !self.spec.contrast.contrast_force_inputs && contrast.target == instance.target
            }
        };
        let mut void = Vec::new();
        if is_void && self.function.is_contrastive() {
            void.push(self.spec.attributed_fn.label());
        }
        if instance.contrast.is_none() {
            let scores = self.step_scores.iter();
            let contrastive = scores.filter(|(_, function)| function.is_contrastive());
            void.extend(contrastive.map(|(name, _)| name.as_str()));
        }
        match void.first() {
            None => Ok(()),
            Some(function) => Err(Error::NoContrast {
                function: (*function).to_owned(),
            }),
        }
    }
}
