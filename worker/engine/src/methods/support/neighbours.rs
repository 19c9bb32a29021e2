//! The tokens nearest to a token, by the Euclidean distance of their embeddings.
//!
//! Candidates come from one product of matrices in the model's precision; their distances are then
//! taken in double precision, entry by entry, so that the order does not depend on how many tokens
//! are looked up at once.

use std::collections::HashMap;

use candle_core::Tensor;
use rayon::prelude::*;

use crate::Error;
use crate::kernels::Real;
use crate::kernels::rows;
use crate::kernels::tensor::{View, by_dtype};
use crate::stop::Stop;

/// Candidates for each neighbour that is wanted: many enough that no rounding of the product drops one.
const CANDIDATES: usize = 2;

/// Tokens looked up in one product: 32 rows of 256 Ki logits are 32 MiB.
const TOKENS_AT_ONCE: usize = 32;

/// Nearest neighbours, remembered.
pub(in crate::methods) struct Neighbours {
    /// `[vocabulary, hidden]`
    table: Tensor,
    /// Squared length of every row.
    squares: Vec<f64>,
    count: usize,
    known: HashMap<u32, Vec<u32>>,
}

impl Neighbours {
    /// Prepares to look up the `count` nearest neighbours of rows of `table`.
    pub(in crate::methods) fn new(table: Tensor, count: usize) -> Result<Self, Error> {
        let squares: candle_core::Result<Vec<f64>> = by_dtype!(table, T => {
            let hidden = table.dim(1)?;
            let rows = View::<T>::of(&table)?;
            let square = |row: &[T]| row.iter().map(|v| candle_core::WithDType::to_f64(*v).powi(2)).sum();
            Ok(rows.par_chunks_exact(hidden).map(square).collect())
        });
        let squares = squares?;
        Ok(Self {
            table,
            count: count.min(squares.len().saturating_sub(1)),
            squares,
            known: HashMap::new(),
        })
    }

    /// Looks up those of `tokens` that are not known yet, until `stop` is requested.
    pub(in crate::methods) fn look_up(&mut self, tokens: &[u32], stop: &Stop) -> Result<(), Error> {
        let mut new: Vec<u32> = tokens.to_vec();
        new.sort_unstable();
        new.dedup();
        new.retain(|token| !self.known.contains_key(token));
        for tokens in new.chunks(TOKENS_AT_ONCE) {
            stop.check()?;
            let nearest: candle_core::Result<Vec<Vec<u32>>> =
                by_dtype!(self.table, T => self.nearest::<T>(tokens));
            self.known.extend(tokens.iter().copied().zip(nearest?));
        }
        Ok(())
    }

    /// Returns the neighbours of a token that was looked up, nearest first.
    pub(in crate::methods) fn of(&self, token: u32) -> &[u32] {
        self.known.get(&token).map_or(&[], Vec::as_slice)
    }

    fn nearest<T: Real>(&self, tokens: &[u32]) -> candle_core::Result<Vec<Vec<u32>>> {
        let ids: Vec<_> = tokens.iter().map(|&token| token as usize).collect();
        let queries = rows::gather(&self.table, &ids)?;
        let products = queries.matmul(&self.table.t()?)?;
        let (vocabulary, hidden) = self.table.dims2()?;
        let (products, table) = (View::<T>::of(&products)?, View::<T>::of(&self.table)?);
        let of_token = |(token, products): (&u32, &[T])| {
            let rough =
                |other: u32| self.squares[other as usize] - 2.0 * products[other as usize].to_f64();
            let mut order: Vec<(f64, u32)> = (0..vocabulary as u32)
                .filter(|other| other != token)
                .map(|other| (rough(other), other))
                .collect();
            keep_least(&mut order, self.count * CANDIDATES);
            let row = |token: u32| &table[token as usize * hidden..][..hidden];
            for (distance, other) in &mut order {
                let entries = row(*token).iter().zip(row(*other));
                *distance = entries
                    .map(|(a, b)| (a.to_f64() - b.to_f64()).powi(2))
                    .sum();
            }
            keep_least(&mut order, self.count);
            order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            order.into_iter().map(|(_, other)| other).collect()
        };
        let tokens = tokens.par_iter().zip(products.par_chunks_exact(vocabulary));
        Ok(tokens.map(of_token).collect())
    }
}

/// Keeps the `count` least of `order`, in any order.
fn keep_least(order: &mut Vec<(f64, u32)>, count: usize) {
    if count < order.len() {
        order.select_nth_unstable_by(count, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        order.truncate(count);
    }
}
