//! Splits instances whose steps cannot all share one pass.
//!
//! One pass normally serves every step, because the states of a prefix are the first states of the
//! whole sequence. There are two exceptions:
//!
//! * A model with longrope uses different rotary embeddings for long texts. Once a prefix is long,
//!   *all* its tokens are rotated differently. The contrast's prefixes have lengths of their own.
//! * In models with an encoder, Inseq treats the contrast's prefix as the example's own if both
//!   have the same tokens. If a single token differs, it holds the whole contrast prefix constant.
//!
//! So an instance is split into parts whose steps are alike. The parts are explained like separate
//! instances and joined again afterward; methods never see the difference.

use std::borrow::Cow;

use super::explained::Explained;
use crate::Error;
use crate::instance::{Contrast, Instance};

/// Instances, split where needed.
pub(super) struct InstanceParts<'i> {
    /// The parts of all instances, one after another.
    pub(super) all: Cow<'i, [Instance]>,
    /// How many parts each instance has.
    counts: Vec<usize>,
}

/// The properties that must be the same for all steps of a part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Boundaries {
    /// Longest prefix, in tokens, that is not yet long for longrope; `None` if the model has no
    /// longrope.
    pub(super) beyond: Option<usize>,
    /// Whether it matters if a contrast has the same prefix as its example.
    pub(super) own_prefix: bool,
}

impl<'i> InstanceParts<'i> {
    /// Splits `instances`; without boundaries it leaves them as they are.
    pub(super) fn new(boundaries: Boundaries, instances: &'i [Instance]) -> Self {
        if boundaries == Boundaries::default() {
            return Self {
                all: Cow::Borrowed(instances),
                counts: vec![1; instances.len()],
            };
        }
        let of_instance = |instance: &Instance| cut(instance, boundaries);
        let parts: Vec<_> = instances.iter().map(of_instance).collect();
        Self {
            counts: parts.iter().map(Vec::len).collect(),
            all: Cow::Owned(parts.concat()),
        }
    }

    /// Joins the results of the parts: all steps of an instance, or the first error among its
    /// parts.
    pub(super) fn join(
        &self,
        of_parts: Vec<Result<Explained, Error>>,
    ) -> Vec<Result<Explained, Error>> {
        let mut of_parts = of_parts.into_iter();
        let join = |&count: &usize| {
            // Take all parts of this instance even if the first has failed: the parts of the next
            // instance follow them.
            let parts: Vec<_> = of_parts.by_ref().take(count).collect();
            let parts = parts.into_iter().collect::<Result<Vec<_>, _>>()?;
            let joined = parts.into_iter().reduce(Explained::followed_by);
            Ok(joined.unwrap_or_default())
        };
        self.counts.iter().map(join).collect()
    }
}

/// Splits `instance` where a boundary lies between two consecutive steps.
fn cut(instance: &Instance, boundaries: Boundaries) -> Vec<Instance> {
    // The prefix of the token at position `i` has `i` tokens.
    let is_long = |prefix: usize| boundaries.beyond.is_some_and(|beyond| prefix > beyond);
    let regime = |position: usize| {
        let of_contrast = instance.contrast.as_ref().map(|contrast| {
            let prefix = contrast.aligned[position - instance.explained.start];
            let is_own = boundaries.own_prefix && contrast.has_prefix_of(instance, position);
            (is_long(prefix), is_own)
        });
        (is_long(position), of_contrast)
    };
    let positions: Vec<_> = instance.explained.clone().collect();
    let runs = positions.chunk_by(|&one, &next| regime(one) == regime(next));
    let part = |run: &[usize]| {
        let (start, end) = (run[0], run[run.len() - 1] + 1);
        let first = start - instance.explained.start;
        Instance {
            target: instance.target[..end].to_vec(),
            target_baseline: instance.target_baseline[..end].to_vec(),
            explained: start..end,
            contrast: instance.contrast.as_ref().map(|contrast| Contrast {
                aligned: contrast.aligned[first..first + run.len()].to_vec(),
                ..contrast.clone()
            }),
            ..instance.clone()
        }
    };
    runs.map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ScoreRows, SequenceScores, Side};

    fn instance(contrast: Option<Vec<usize>>) -> Instance {
        let tokens: Vec<u32> = (0..8).collect();
        Instance {
            id: 1,
            source: Vec::new(),
            source_baseline: Vec::new(),
            target_baseline: tokens.clone(),
            explained: 3..8,
            contrast: contrast.map(|aligned| Contrast {
                source: Vec::new(),
                target: tokens.clone(),
                aligned,
            }),
            target: tokens,
        }
    }

    fn beyond(tokens: usize) -> Boundaries {
        Boundaries {
            beyond: Some(tokens),
            ..Boundaries::default()
        }
    }

    fn explained(parts: &[Instance]) -> Vec<std::ops::Range<usize>> {
        parts.iter().map(|part| part.explained.clone()).collect()
    }

    #[test]
    fn the_last_short_prefix_is_as_long_as_the_boundary() {
        let parts = cut(&instance(None), beyond(5));
        assert_eq!(explained(&parts), [3..6, 6..8]);
        assert_eq!(parts[0].decoder_input().len(), 5);
        assert_eq!(parts[1].decoder_input().len(), 7);
        assert_eq!(cut(&instance(None), beyond(7)).len(), 1);
        assert_eq!(cut(&instance(None), beyond(2)).len(), 1);
    }

    #[test]
    fn a_contrast_is_cut_at_its_own_prefixes() {
        let parts = cut(&instance(Some(vec![2, 4, 6, 6, 7])), beyond(5));
        assert_eq!(explained(&parts), [3..5, 5..6, 6..8]);
        let aligned = |part: &Instance| part.contrast.as_ref().unwrap().aligned.clone();
        let aligned: Vec<_> = parts.iter().map(aligned).collect();
        assert_eq!(aligned, [vec![2, 4], vec![6], vec![6, 7]]);
    }

    #[test]
    fn steps_whose_contrast_has_their_prefix_are_apart_from_others() {
        let own_prefix = Boundaries {
            own_prefix: true,
            ..Boundaries::default()
        };
        let mut instance = instance(Some(vec![3, 4, 5, 5, 7]));
        let contrast = instance.contrast.as_mut().unwrap();
        contrast.target[4] = 9;
        assert_eq!(explained(&cut(&instance, own_prefix)), [3..5, 5..8]);
    }

    #[test]
    fn parts_share_the_encoders_scores_and_have_each_their_columns_of_the_decoders() {
        let parts = InstanceParts {
            all: Cow::Owned(Vec::new()),
            counts: vec![2],
        };
        let scores = |name: &str, side: Side, columns: &[f32]| SequenceScores {
            name: name.to_owned(),
            side,
            columns: columns
                .iter()
                .map(|&value| ScoreRows {
                    values: vec![value],
                    row_shape: vec![],
                })
                .collect(),
        };
        let part = |decoders: &[f32]| Explained {
            steps: Vec::new(),
            sequence_scores: vec![
                scores("decoder", Side::Target, decoders),
                scores("encoder", Side::Source, &[0.5, 0.25]),
            ],
        };
        let joined = parts.join(vec![Ok(part(&[1.0, 2.0])), Ok(part(&[3.0]))]);
        let whole = part(&[1.0, 2.0, 3.0]).sequence_scores;
        assert_eq!(joined[0].as_ref().unwrap().sequence_scores, whole);
    }
}
