//! Paths from tokens to their baselines by way of other tokens, and the points on them.
//!
//! Starting at the word, each next anchor is one of the nearest neighbors of the previous one: the
//! one that turns back least. An entry turns back if its new value is not between its previous
//! value and the baseline's. Such an entry moves an equal share of its way toward the baseline
//! instead, so that the points are monotone in every entry. The path of a special token has no
//! anchors: it stays at the token until the last point, its baseline.

use std::collections::BTreeMap;

use candle_core::DType;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use whence_schemas::Compat;

use crate::Error;
use crate::batch::Batch;
use crate::kernels::turning::{self, TurningCost, Way};
use crate::kernels::{Tensor, rows};
use crate::methods::support::neighbours::Neighbours;
use crate::sides::Side;

/// How the next anchor is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::methods) enum Strategy {
    /// The one closest to its own corrected version, in which entries that turn back move one share
    /// of their way instead.
    Greedy,
    /// The one with the fewest entries that turn back.
    Maxcount,
}

/// The parameters of the search for paths.
#[derive(Debug, Clone, Copy)]
pub(super) struct PathRules {
    /// Number of points, including both ends.
    pub(super) n_steps: usize,
    /// How the next anchor is chosen.
    pub(super) strategy: Strategy,
    /// How many nearest neighbors the next anchor is chosen from.
    pub(super) n_neighbors: usize,
}

/// The paths of words to their baselines.
pub(super) struct Paths {
    /// The points of each pair's path, starting at the baseline. `[points, hidden]`
    points: BTreeMap<(u32, u32), Tensor>,
    dtype: DType,
}

impl Paths {
    /// Finds the paths of all `pairs`, each a word of `side` and its baseline.
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
            missing => rows::scale(&batch.model.embedding(side)?, 1.0 / missing)?,
        };
        // Paths are walked entry by entry, which the host does.
        let table = table.in_memory()?;
        let mut neighbours = Neighbours::new(&table, rules.n_neighbors)?;
        let mut anchors: BTreeMap<(u32, u32), Vec<u32>> = pairs
            .into_iter()
            .map(|(word, baseline)| ((word, baseline), vec![word]))
            .collect();
        let is_special = |word: &u32| batch.special_tokens.of(side).contains(word);
        // The path starts with the word and `turning::points` appends the baseline, which leaves
        // `n_steps − 2` anchors to find.
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

    /// Returns point `index` of each pair's path. `[pairs, hidden]`
    pub(super) fn point(&self, pairs: &[(u32, u32)], index: usize) -> Result<Tensor, Error> {
        let row = |pair: &(u32, u32)| self.points[pair].narrow(0, index, 1);
        let rows = pairs.iter().map(row).collect::<Result<Vec<_>, _>>()?;
        Ok(Tensor::cat(&rows, 0)?.to_dtype(self.dtype)?)
    }
}

/// Returns the factor that is missing from the embeddings on Inseq's paths. Inseq applies a scale
/// only if it finds one in the encoder. Only Marian and Pegasus have it there, the models whose
/// decoders scale the embeddings they are given.
pub(super) fn missing_scale(batch: &Batch<'_>) -> f64 {
    let spec = batch.model.spec();
    match batch.function.compat {
        Compat::Inseq071 if spec.decoder.given_scale == 1.0 => spec.embedding_scale,
        _ => 1.0,
    }
}

/// Returns the next anchor: one of the neighbors of the last token of `path`, or the baseline if no
/// new neighbor is left.
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
    // On a tie take the first one, which is the nearest neighbor.
    let best = costs.reduce(|best, other| if other.0 < best.0 { other } else { best });
    Ok(best.map_or(baseline, |(_, token)| token))
}
