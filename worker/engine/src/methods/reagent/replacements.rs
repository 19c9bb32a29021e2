//! The possible replacements of a token: similar tokens, or those a masked language model predicts
//! in its place.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use crate::Error;
use crate::batch::{Batch, ExplainedStep};
use crate::instance::Instance;
use crate::kernels::softmax_in_place;
use crate::methods::support::neighbours::Neighbours;
use crate::random::Random;
use crate::sampler::{Proposal, Sampler};
use crate::sides::{Side, Sides};

/// The possible replacements of the tokens of every step.
pub(super) enum Replacements {
    /// The replacements are part of the given draws.
    Given,
    /// The nearest neighbors among the embeddings of the token's side, all equally probable; and
    /// for each step, how many of its tokens are source tokens.
    Near(Sides<Option<Neighbours>>, Vec<usize>),
    /// The sampler's predictions: for each step, for each of its tokens.
    Expected(Vec<Vec<Arc<ReplacementChoice>>>),
}

/// Tokens to draw from, with the probabilities the sampler gave them.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ReplacementChoice {
    tokens: Vec<u32>,
    /// Cumulative probability up to and including each token.
    up_to: Vec<f64>,
}

impl Replacements {
    /// Looks up the `count` nearest neighbors of every token of `steps` that may be replaced.
    pub(super) fn near(
        batch: &Batch<'_>,
        steps: &[ExplainedStep],
        count: usize,
    ) -> Result<Self, Error> {
        let mut tokens = Sides::<Vec<u32>>::default();
        for instance in batch.instances {
            tokens.source.extend(&instance.source);
            if batch.attributes_target() {
                tokens.target.extend(instance.decoder_input());
            }
        }
        let of_sides = Sides::try_new(|side| {
            let tokens = tokens.of(side);
            if tokens.is_empty() {
                return Ok::<_, Error>(None);
            }
            let mut neighbours = Neighbours::new(&batch.model.embedding(side)?, count)?;
            neighbours.look_up(tokens, batch.model.stop())?;
            Ok(Some(neighbours))
        })?;
        let of_source = steps.iter().map(|step| step.source_rows).collect();
        Ok(Self::Near(of_sides, of_source))
    }

    /// Has `sampler` propose `count` tokens for each token of `steps`. It sees only the part of the
    /// target before the explained token.
    pub(super) fn expected(
        batch: &Batch<'_>,
        steps: &[ExplainedStep],
        sampler: &Sampler,
        count: usize,
    ) -> Result<Self, Error> {
        let stop = batch.model.stop();
        let propose = |side, tokens: &[u32]| sampler.propose_until(side, tokens, count, stop);
        // All steps of an instance have the same source, so its proposals are computed once.
        let mut of_sources: HashMap<usize, Vec<Arc<ReplacementChoice>>> = HashMap::new();
        let mut of_steps = Vec::with_capacity(steps.len());
        for step in steps {
            let sequence = step.explained.sequence;
            let instance: &Instance = &batch.instances[sequence];
            let of_source = match of_sources.entry(sequence) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let proposals = propose(Side::Source, &instance.source)?;
                    new.insert(choices(&proposals))
                }
            };
            let mut of_step = of_source.clone();
            if batch.attributes_target() {
                let prefix = &instance.target[..=step.explained.position];
                of_step.extend(choices(&propose(Side::Target, prefix)?));
            }
            of_steps.push(of_step);
        }
        Ok(Self::Expected(of_steps))
    }

    /// Draws the replacement of `token`, the one at `index` of step `step`. It is the token itself
    /// if there is no replacement.
    pub(super) fn draw(
        &self,
        (step, index): (usize, usize),
        token: u32,
        random: &mut Random,
    ) -> u32 {
        let drawn = match self {
            Self::Given => None,
            Self::Near(of_sides, of_source) => {
                let is_source = index < of_source[step];
                let side = if is_source {
                    Side::Source
                } else {
                    Side::Target
                };
                let neighbours = of_sides.of(side).as_ref();
                let near = neighbours.map_or(&[][..], |neighbours| neighbours.of(token));
                near.get(random.below(near.len())).copied()
            }
            Self::Expected(of_steps) => of_steps[step][index].at(random.uniform()),
        };
        drawn.unwrap_or(token)
    }
}

/// Returns the choice of replacements for each token.
fn choices(proposals: &[Vec<Proposal>]) -> Vec<Arc<ReplacementChoice>> {
    let choice = |proposals: &Vec<Proposal>| Arc::new(ReplacementChoice::from_proposals(proposals));
    proposals.iter().map(choice).collect()
}

impl ReplacementChoice {
    /// Builds a choice from proposals, whose probabilities are normalized to sum to one.
    pub(super) fn from_proposals(proposals: &[Proposal]) -> Self {
        let mut shares: Vec<f64> = proposals.iter().map(|p| p.logit.into()).collect();
        softmax_in_place(&mut shares);
        let mut sum = 0.0;
        let up_to = shares.iter().map(|share| {
            sum += share;
            sum
        });
        Self {
            up_to: up_to.collect(),
            tokens: proposals.iter().map(|proposal| proposal.token).collect(),
        }
    }

    /// Returns the first token whose cumulative probability exceeds `share`, a number below 1;
    /// `None` if there is no token to choose.
    pub(super) fn at(&self, share: f64) -> Option<u32> {
        let index = self.up_to.partition_point(|up_to| *up_to <= share);
        // Rounding may leave the last cumulative probability slightly below one.
        self.tokens.get(index).or(self.tokens.last()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::host;

    #[test]
    fn neighbours_are_those_of_the_side_a_token_is_on() {
        let of_sides = Sides::try_new(|side| {
            // The nearest neighbor of token 0 is token 1 on the source side and token 2 on the
            // target side.
            let rows = match side {
                Side::Source => [[0_f32, 0.0], [0.1, 0.0], [5.0, 5.0]],
                Side::Target => [[0.0, 0.0], [5.0, 5.0], [0.1, 0.0]],
            };
            let mut neighbours = Neighbours::new(&host::upload(rows.concat(), (3, 2))?, 1)?;
            neighbours.look_up(&[0], &crate::Stop::default())?;
            Ok::<_, Error>(Some(neighbours))
        });
        let replacements = Replacements::Near(of_sides.unwrap(), vec![1, 2]);
        let mut random = Random::new(0, 0, "test");
        let mut draw = |place| replacements.draw(place, 0, &mut random);
        assert_eq!([draw((0, 0)), draw((0, 1)), draw((0, 2))], [1, 2, 2]);
        assert_eq!([draw((1, 0)), draw((1, 1)), draw((1, 2))], [1, 1, 2]);
    }

    #[test]
    fn a_draw_falls_on_a_token_as_often_as_it_was_expected() {
        let proposal = |(token, probability): (u32, f32)| Proposal {
            token,
            logit: probability.ln() + 3.0,
        };
        // The start of a longer list, so the probabilities do not sum to one.
        let choice =
            ReplacementChoice::from_proposals(&[(7, 0.4), (2, 0.2), (9, 0.2)].map(proposal));
        for (share, token) in [
            (0.0, 7),
            (0.499, 7),
            (0.501, 2),
            (0.749, 2),
            (0.751, 9),
            (1.0, 9),
        ] {
            assert_eq!(choice.at(share), Some(token), "{share}");
        }
        assert_eq!(ReplacementChoice::from_proposals(&[]).at(0.5), None);
    }
}
