//! The rows of a table nearest to some of its rows, by Euclidean distance.
//!
//! One product of matrices, in the table's own precision, finds a few candidates for each row;
//! their distances are then taken in double precision, entry by entry, so that the order does not
//! depend on how many rows are looked up at once.

use rayon::prelude::*;

use super::cpu::slices::{View, tensor};
use super::cpu::{Real, by_dtype};
use super::row_index::RowIndex;
use super::tensor::Tensor;
use super::{host, rows};
use crate::error::Result;

/// Candidates for each neighbour that is wanted: enough that no rounding of the product drops one.
const CANDIDATES: usize = 2;

/// Returns the squared length of every row of `table`, `[rows, width]`. `[rows]`, in double precision
pub(crate) fn squared_lengths(table: &Tensor) -> Result<Tensor> {
    by_dtype!(table, T => squared_lengths_as::<T>(table))
}

fn squared_lengths_as<T: Real>(table: &Tensor) -> Result<Tensor> {
    let (rows, width) = table.dims2()?;
    let square = |row: &[T]| row.iter().map(|v| v.to_f64().powi(2)).sum();
    let table = View::<T>::of(table)?;
    let squares = table.par_chunks_exact(width).map(square).collect();
    tensor::<f64, _>(squares, rows)
}

/// Returns for each of `queries`, rows of `table`, the `count` rows nearest to it, nearest first and
/// the lower number first of equally near ones. `squares` are the table's [`squared_lengths`].
pub(crate) fn nearest(
    table: &Tensor,
    squares: &Tensor,
    queries: &RowIndex,
    count: usize,
) -> Result<Vec<Vec<u32>>> {
    by_dtype!(table, T => nearest_as::<T>(table, squares, queries, count))
}

fn nearest_as<T: Real>(
    table: &Tensor,
    squares: &Tensor,
    queries: &RowIndex,
    count: usize,
) -> Result<Vec<Vec<u32>>> {
    let (num_rows, width) = table.dims2()?;
    let products = rows::gather(table, queries)?
        .candle()?
        .matmul(&table.candle()?.t()?)?; // [queries, rows]
    let squares = host::download(squares)?;
    let (products, table) = (Tensor::from(products), View::<T>::of(table)?);
    let products = View::<T>::of(&products)?;
    let row = |row: usize| &table[row * width..][..width];
    let of_query = |(&query, products): (&usize, &[T])| {
        let rough = |other: usize| squares[other] - 2.0 * products[other].to_f64();
        let others = (0..num_rows).filter(|other| *other != query);
        let mut order: Vec<_> = others.map(|other| (rough(other), other as u32)).collect();
        keep_least(&mut order, count * CANDIDATES);
        for (distance, other) in &mut order {
            let entries = row(query).iter().zip(row(*other as usize));
            *distance = entries
                .map(|(a, b)| (a.to_f64() - b.to_f64()).powi(2))
                .sum();
        }
        keep_least(&mut order, count);
        order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        order.into_iter().map(|(_, other)| other).collect()
    };
    let queries = queries.par_iter().zip(products.par_chunks_exact(num_rows));
    Ok(queries.map(of_query).collect())
}

/// Keeps the `count` least of `order`, in any order.
fn keep_least(order: &mut Vec<(f64, u32)>, count: usize) {
    if count < order.len() {
        order.select_nth_unstable_by(count, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        order.truncate(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_rows_come_in_order() {
        let table = host::upload(vec![0_f32, 0.0, 3.0, 0.0, 1.0, 0.0, 0.0, -1.0], (4, 2)).unwrap();
        let squares = squared_lengths(&table).unwrap();
        assert_eq!(host::download(&squares).unwrap(), [0.0, 9.0, 1.0, 1.0]);
        let queries = RowIndex::from(vec![0, 1]);
        let found = nearest(&table, &squares, &queries, 2).unwrap();
        // Rows 2 and 3 are equally near to row 0.
        assert_eq!(found, [[2, 3], [2, 0]]);
    }
}
