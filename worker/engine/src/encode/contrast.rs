//! Encodes what an example is contrasted with: another source, another target, or both.
//!
//! The contrast is encoded like the example. Each explained position is paired with a position of
//! the contrast's target; a step is contrasted with the token there and the prefix before it. A
//! text that the contrast does not give is the example's own. Without a target of its own, for
//! instance, it asks how the model would predict the same tokens after another source.

use std::ops::Range;

use whence_schemas::{AlignmentRule, Alignments};

use super::texts::{Encoder, Target, check_tokens};
use super::{alignment, likeness};
use crate::instance::Contrast;
use crate::{Error, Example};

impl Encoder<'_> {
    /// Encodes what `example` is contrasted with, if anything, and pairs the `explained` positions
    /// of `target` with positions of the contrast.
    pub(crate) fn contrast(
        &self,
        example: &Example,
        source: &[u32],
        target: &Target,
        explained: &Range<usize>,
    ) -> Result<Option<Contrast>, Error> {
        let given = &self.spec.contrast;
        let source_text = example.contrast_source.as_ref();
        let source_text = source_text.or(given.contrast_sources.as_ref());
        let target_text = example.contrast_target.as_ref();
        let target_text = target_text.or(given.contrast_targets.as_ref());
        if source_text.is_none() && target_text.is_none() {
            return Ok(None);
        }
        let source = match source_text {
            Some(text) => self.contrast_source(text)?,
            None => source.to_vec(),
        };
        let Some(text) = target_text else {
            let (target, aligned) = (target.ids.clone(), explained.clone().collect());
            return Ok(Some(Contrast {
                source,
                target,
                aligned,
            }));
        };
        let contrast = self.contrast_target(text, &target.ids)?;
        let pairs = match &given.contrast_targets_alignments {
            Alignments::Pairs(pairs) => pairs.clone(),
            Alignments::Rule(AlignmentRule::Auto) => {
                likeness::pairs(self.model, (&target.ids, &contrast), self.memory)?
            }
        };
        Ok(Some(Contrast {
            source,
            aligned: alignment::align(explained, contrast.len(), &pairs),
            target: contrast,
        }))
    }

    fn contrast_source(&self, text: &str) -> Result<Vec<u32>, Error> {
        const FIELD: &str = "contrast source";
        if !self.model.has_encoder() {
            return Err(Error::Specification {
                reason: "a contrast source needs a model with an encoder; contrast a decoder-only model with another prompt through its contrast target".to_owned(),
            });
        }
        self.check_text(text)?;
        let skip = self.spec.skip_special_tokens;
        let encoding = self.tokenizer.encode_source(text, skip)?;
        check_tokens(FIELD, text, &encoding.ranges)?;
        self.check_length(FIELD, encoding.ids.len())?;
        Ok(encoding.ids)
    }

    /// Encodes the contrast's target. In models with an encoder it begins with the same start token
    /// as `own`.
    fn contrast_target(&self, text: &str, own: &[u32]) -> Result<Vec<u32>, Error> {
        const FIELD: &str = "contrast target";
        self.check_text(text)?;
        let skip = self.spec.skip_special_tokens;
        let mut ids = Vec::new();
        let encoding = if self.model.has_encoder() {
            ids.push(own[0]);
            self.tokenizer.encode_target(text, skip)?
        } else {
            self.tokenizer.encode_prompt(text, skip)?
        };
        check_tokens(FIELD, text, &encoding.ranges)?;
        ids.extend(encoding.ids);
        if ids.len() < 2 {
            return Err(Error::OneToken { field: FIELD });
        }
        // The last token is only predicted, never an input, so it needs no position.
        self.check_length(FIELD, ids.len() - 1)?;
        Ok(ids)
    }
}
