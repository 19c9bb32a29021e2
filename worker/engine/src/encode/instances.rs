//! Builds instances from encoded texts: chooses the positions to explain, the baselines and the
//! contrast.

use std::ops::Range;

use super::texts::{Encoder, Target};
use crate::instance::Instance;
use crate::sides::Side;
use crate::{Error, Example};

impl Encoder<'_> {
    /// Builds an instance, choosing the positions to explain, the baselines and the contrast.
    pub(crate) fn instance(
        &self,
        example: &Example,
        source: &[u32],
        target: &Target,
    ) -> Result<Instance, Error> {
        let explained = self.positions(target.ids.len(), target.first)?;
        Ok(Instance {
            contrast: self.contrast(example, source, target, &explained)?,
            ..self.explaining(example.id, source, &target.ids, explained)
        })
    }

    /// Builds the instance that explains the positions `explained` of `target`, without contrast.
    pub(crate) fn explaining(
        &self,
        id: i64,
        source: &[u32],
        target: &[u32],
        explained: Range<usize>,
    ) -> Instance {
        Instance {
            id,
            source: source.to_vec(),
            source_baseline: self.baselines(Side::Source, source),
            target: target.to_vec(),
            target_baseline: self.target_baseline(target),
            explained,
            contrast: None,
        }
    }

    fn target_baseline(&self, ids: &[u32]) -> Vec<u32> {
        let mut baseline = self.baselines(Side::Target, ids);
        // The start token of an encoder-decoder model is its own baseline.
        if self.model.has_encoder()
            && let Some(first) = baseline.first_mut()
        {
            *first = ids[0];
        }
        baseline
    }

    /// Returns the baseline of each token: `unk`, except that an end token is its own baseline
    /// unless the specification says otherwise.
    fn baselines(&self, side: Side, ids: &[u32]) -> Vec<u32> {
        let special = self.tokenizer.of(side).special();
        let baseline = |&id: &u32| {
            let is_end = special.eos.first() == Some(&id);
            if is_end && !self.spec.include_eos_baseline {
                id
            } else {
                special.unk
            }
        };
        ids.iter().map(baseline).collect()
    }

    /// Resolves the positions to explain. Positions before `first` are never explained.
    fn positions(&self, len: usize, first: usize) -> Result<Range<usize>, Error> {
        if first >= len {
            return Err(Error::NothingFollows);
        }
        // Negative positions count from the end, as in Python.
        let from_end = |position: i64| {
            if position < 0 {
                position + len as i64
            } else {
                position
            }
        };
        let start = self
            .spec
            .attr_pos_start
            .map_or(first as i64, from_end)
            .max(first as i64)
            .max(1);
        let end = self
            .spec
            .attr_pos_end
            .map_or(len as i64, from_end)
            .min(len as i64);
        if start >= end {
            return Err(Error::Positions {
                start,
                end,
                len,
                first,
            });
        }
        Ok(start as usize..end as usize)
    }
}
