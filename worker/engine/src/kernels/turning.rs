//! Steps over the rows of a table that never turn back: the paths of discretized integrated gradients.
//!
//! A path leads from one row of an embedding table to another over rows that lie near each other.
//! An entry *turns back* at a row where it is not between what it was and what it has to become.
//! Source: Sanyal & Ren 2021, <https://arxiv.org/abs/2108.13654>.

use super::cpu::slices::{View, tensor};
use super::cpu::{Real, by_dtype};
use super::tensor::Tensor;
use crate::error::Result;

/// One stretch of the way through a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Way {
    /// The row it starts at.
    pub(crate) from: u32,
    /// The row it leads to.
    pub(crate) goal: u32,
    /// In how many equal shares an entry goes there where rows do not lead it.
    pub(crate) shares: usize,
}

/// What a candidate for the next row costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct TurningCost {
    /// How many entries turn back at it.
    pub(crate) entries: f64,
    /// Squared distance of those entries from where one share of their way leads them.
    pub(crate) distance: f64,
}

/// Returns what each of `candidates`, rows of `table`, costs as the next row on the way.
/// `table` is `[rows, width]`
pub(crate) fn costs(table: &Tensor, way: Way, candidates: &[u32]) -> Result<Vec<TurningCost>> {
    by_dtype!(table, T => costs_as::<T>(table, way, candidates))
}

fn costs_as<T: Real>(table: &Tensor, way: Way, candidates: &[u32]) -> Result<Vec<TurningCost>> {
    let (_, width) = table.dims2()?;
    let table = View::<T>::of(table)?;
    let row = |row: u32| &table[row as usize * width..][..width];
    let cost = |&candidate: &u32| {
        let mut cost = TurningCost {
            entries: 0.0,
            distance: 0.0,
        };
        let entries = row(candidate).iter().zip(row(way.goal));
        for ((&anchor, &goal), &from) in entries.zip(row(way.from)) {
            if !is_between(anchor, goal, from) {
                let moved = one_share(from, goal, way.shares);
                cost.entries += 1.0;
                cost.distance += (anchor.to_f64() - moved.to_f64()).powi(2);
            }
        }
        cost
    };
    Ok(candidates.iter().map(cost).collect())
}

/// Returns the points of the way over `path`, rows of `table` of which the first is where it starts,
/// to row `goal`: an entry goes to the next row, or where it would turn back one of `shares` equal
/// shares of its way. The points come in reverse, the goal first. `[rows of path + 1, width]`
pub(crate) fn points(table: &Tensor, path: &[u32], goal: u32, shares: usize) -> Result<Tensor> {
    by_dtype!(table, T => points_as::<T>(table, path, goal, shares))
}

fn points_as<T: Real>(table: &Tensor, path: &[u32], goal: u32, shares: usize) -> Result<Tensor> {
    let (_, width) = table.dims2()?;
    let table = View::<T>::of(table)?;
    let row = |row: u32| &table[row as usize * width..][..width];
    let goal = row(goal);
    let mut points: Vec<Vec<T>> = vec![row(path[0]).to_vec()];
    for &anchor in &path[1..] {
        let from = &points[points.len() - 1];
        let entries = row(anchor).iter().zip(goal).zip(from);
        let entry = |((&anchor, &goal), &from): ((&T, &T), &T)| {
            if is_between(anchor, goal, from) {
                anchor
            } else {
                one_share(from, goal, shares)
            }
        };
        points.push(entries.map(entry).collect());
    }
    points.push(goal.to_vec());
    points.reverse();
    tensor(points.concat(), (path.len() + 1, width))
}

/// Returns whether an entry at `anchor` lies between `from` and `goal`, ends included.
fn is_between<T: Real>(anchor: T, goal: T, from: T) -> bool {
    (from <= anchor && anchor <= goal) || (goal <= anchor && anchor <= from)
}

/// Moves an entry one of `shares` equal shares of its way.
fn one_share<T: Real>(from: T, goal: T, shares: usize) -> T {
    from - T::from_f64(1.0 / shares as f64) * (from - goal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::host;

    /// Row 0 is where the way starts, row 1 the goal; row 2 turns back in its second entry.
    fn table() -> Tensor {
        host::upload(vec![0_f64, 0.0, 8.0, 4.0, 6.0, -1.0], (3, 2)).unwrap()
    }

    #[test]
    fn entries_that_turn_back_are_counted_and_measured() {
        let way = Way {
            from: 0,
            goal: 1,
            shares: 4,
        };
        let found = costs(&table(), way, &[1, 2]).unwrap();
        let cost = |entries, distance| TurningCost { entries, distance };
        // A quarter of the second entry's way leads to 1.
        assert_eq!(found, [cost(0.0, 0.0), cost(1.0, 4.0)]);
    }

    #[test]
    fn an_entry_that_would_turn_back_goes_one_share_of_its_way() {
        let points = points(&table(), &[0, 2], 1, 4).unwrap();
        let values = host::download_rows(&points).unwrap();
        assert_eq!(values, [[8.0, 4.0], [6.0, 1.0], [0.0, 0.0]]);
    }
}
