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
        let asked = (self.spec.attr_pos_start, self.spec.attr_pos_end);
        let explained = explained_positions(target.ids.len(), target.first, asked)?;
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
}

/// Resolves the positions to explain of a target of `len` tokens, from those that were asked for; the
/// end is exclusive. Positions before `first` are never explained.
fn explained_positions(
    len: usize,
    first: usize,
    (start, end): (Option<i64>, Option<i64>),
) -> Result<Range<usize>, Error> {
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
    let start = start
        .map_or(first as i64, from_end)
        .max(first as i64)
        .max(1);
    let end = end.map_or(len as i64, from_end).min(len as i64);
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

#[cfg(test)]
mod tests {
    use super::*;

    type Case = ((Option<i64>, Option<i64>), Option<Range<usize>>);

    fn check(len: usize, first: usize, cases: &[Case]) {
        for (asked, expected) in cases {
            let found = explained_positions(len, first, *asked).ok();
            assert_eq!(found, *expected, "{asked:?}");
        }
    }

    /// Inseq 0.7.1's results, but for a negative start, which it takes as the first position.
    #[test]
    fn positions_behind_a_prompt_are_inseqs() {
        let cases: [Case; 10] = [
            ((None, None), Some(3..6)),
            ((None, Some(5)), Some(3..5)),
            ((Some(4), None), Some(4..6)),
            ((Some(4), Some(5)), Some(4..5)),
            ((Some(1), None), Some(3..6)),
            ((Some(0), Some(4)), Some(3..4)),
            ((None, Some(-1)), Some(3..5)),
            ((Some(2), Some(2)), None),
            ((Some(6), None), None),
            ((Some(-2), None), Some(4..6)),
        ];
        check(6, 3, &cases);
    }

    /// With an encoder, Inseq 0.7.1 explains the position at the end too, and calls its result one
    /// shorter. Here the end is exclusive for all models.
    #[test]
    fn the_end_is_exclusive_with_an_encoder_too() {
        let cases: [Case; 7] = [
            ((None, None), Some(1..7)),
            ((None, Some(3)), Some(1..3)),
            ((Some(2), None), Some(2..7)),
            ((Some(2), Some(3)), Some(2..3)),
            ((Some(-2), None), Some(5..7)),
            ((None, Some(-1)), Some(1..6)),
            ((Some(0), Some(4)), Some(1..4)),
        ];
        check(7, 1, &cases);
    }
}
