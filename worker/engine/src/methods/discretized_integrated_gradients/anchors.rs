//! Paths from tokens to their baselines over other tokens, and the points on them.
//!
//! From the word on, each anchor is one of the last one's nearest neighbours: the one that least
//! turns back on the way to the baseline. An entry that would turn back is moved a small share of
//! its way instead, so that the points are monotone in every entry. A special token has no way: it
//! stands still until the last point, its baseline.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use whence_schemas::Compat;

use crate::Error;
use crate::batch::Batch;
use crate::kernels::turning::{self, TurningCost, Way};
use crate::methods::support::neighbours::Neighbours;
use crate::sides::Side;

/// How the next anchor is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::methods) enum Strategy {
    /// The one nearest to itself with its turns taken out.
    Greedy,
    /// The one with the fewest entries that turn back.
    Maxcount,
}

/// How paths are found.
#[derive(Debug, Clone, Copy)]
pub(super) struct PathRules {
    /// Number of points, both ends counted.
    pub(super) n_steps: usize,
    /// How the next anchor is chosen.
    pub(super) strategy: Strategy,
    /// How many nearest tokens an anchor is chosen from.
    pub(super) n_neighbors: usize,
}

/// The paths of words to their baselines.
pub(super) struct Paths {
    /// The points of the path of each pair, from the baseline on. `[points, hidden]`
    points: BTreeMap<(u32, u32), Tensor>,
    dtype: DType,
}

impl Paths {
    /// Finds the paths of all `pairs` of a word of `side` and its baseline.
    pub(super) fn find(
        rules: &PathRules,
        batch: &Batch<'_>,
        side: Side,
        pairs: Vec<(u32, u32)>,
    ) -> Result<Self, Error> {
        if pairs.is_empty() {
            return Ok(Self {
                points: BTreeMap::new(),
                dtype: batch.model.dtype(),
            });
        }
        let table = match missing_scale(batch) {
            1.0 => batch.model.embedding(side)?,
            missing => (batch.model.embedding(side)? / missing)?,
        };
        let mut neighbours = Neighbours::new(table.clone(), rules.n_neighbors)?;
        let mut anchors: BTreeMap<(u32, u32), Vec<u32>> = pairs
            .into_iter()
            .map(|(word, baseline)| ((word, baseline), vec![word]))
            .collect();
        let is_special = |word: &u32| batch.special_tokens.of(side).contains(word);
        for _ in 2..rules.n_steps {
            let walking = anchors.iter().filter(|((word, _), _)| !is_special(word));
            let last: Vec<_> = walking
                .filter_map(|(_, path)| path.last().copied())
                .collect();
            neighbours.look_up(&last, batch.model.stop())?;
            anchors
                .par_iter_mut()
                .try_for_each(|((word, baseline), path)| {
                    batch.model.stop().check()?;
                    let next = if is_special(word) {
                        Ok(*word)
                    } else {
                        next_anchor(rules, &table, &neighbours, (*baseline, path))
                    };
                    path.push(next?);
                    Ok::<_, Error>(())
                })?;
        }
        let points = anchors.into_par_iter().map(|((word, baseline), path)| {
            let points = turning::points(&table, &path, baseline, rules.n_steps)?;
            Ok(((word, baseline), points))
        });
        Ok(Self {
            points: points.collect::<Result<_, Error>>()?,
            dtype: table.dtype(),
        })
    }

    /// Returns point `index` of the path of each of `pairs`. `[pairs, hidden]`
    pub(super) fn point(&self, pairs: &[(u32, u32)], index: usize) -> Result<Tensor, Error> {
        let row = |pair: &(u32, u32)| self.points[pair].narrow(0, index, 1);
        let rows = pairs.iter().map(row).collect::<Result<Vec<_>, _>>()?;
        Ok(Tensor::cat(&rows, 0)?.to_dtype(self.dtype)?)
    }
}

/// Returns the factor that the embeddings on Inseq's paths lack. It multiplies them only by a scale
/// it finds in the encoder, which there is in Marian and Pegasus alone: those whose decoders scale
/// what they are given.
pub(super) fn missing_scale(batch: &Batch<'_>) -> f64 {
    let spec = batch.model.spec();
    match batch.function.compat {
        Compat::Inseq071 if spec.decoder.given_scale == 1.0 => spec.embedding_scale,
        _ => 1.0,
    }
}

/// Returns the anchor that follows the last one of `path`: one of its neighbours.
fn next_anchor(
    rules: &PathRules,
    table: &Tensor,
    neighbours: &Neighbours,
    (baseline, path): (u32, &[u32]),
) -> candle_core::Result<u32> {
    let last = path.last().copied().unwrap_or(baseline);
    if last == baseline {
        return Ok(baseline);
    }
    let is_new = |token: &u32| *token != baseline && !path.contains(token);
    let candidates: Vec<u32> = neighbours.of(last).iter().copied().filter(is_new).collect();
    let way = Way {
        from: last,
        goal: baseline,
        shares: rules.n_steps,
    };
    let cost = |cost: &TurningCost| match rules.strategy {
        Strategy::Maxcount => cost.entries,
        Strategy::Greedy => cost.distance,
    };
    let costs = turning::costs(table, way, &candidates)?;
    let costs = costs.iter().map(cost).zip(candidates);
    // Of equal ones the first, the nearest neighbour.
    let best = costs.reduce(|best, other| if other.0 < best.0 { other } else { best });
    Ok(best.map_or(baseline, |(_, token)| token))
}
