//! The nearest neighbors of a token by Euclidean distance between embeddings. Each token is looked
//! up once.

use std::collections::HashMap;

use crate::Error;
use crate::kernels::{RowIndex, Tensor, neighbours};
use crate::stop::Stop;

/// Tokens looked up in one matrix product. With a vocabulary of 256 Ki tokens, 32 rows in single
/// precision are 32 MiB.
const TOKENS_AT_ONCE: usize = 32;

/// A cache of nearest neighbors.
pub(in crate::methods) struct Neighbours {
    /// `[vocabulary, hidden]`
    table: Tensor,
    /// Squared length of every row. `[vocabulary]`
    squares: Tensor,
    count: usize,
    known: HashMap<u32, Vec<u32>>,
}

impl Neighbours {
    /// Prepares to look up the `count` nearest neighbors among the rows of `table`.
    ///
    /// The search sorts candidates and each token is looked up once, so it stays on the host.
    pub(in crate::methods) fn new(table: &Tensor, count: usize) -> Result<Self, Error> {
        let table = table.in_memory()?;
        Ok(Self {
            count: count.min(table.dim(0)?.saturating_sub(1)),
            squares: neighbours::squared_lengths(&table)?,
            table,
            known: HashMap::new(),
        })
    }

    /// Looks up those of `tokens` that are not cached yet. Fails once `stop` is requested.
    pub(in crate::methods) fn look_up(&mut self, tokens: &[u32], stop: &Stop) -> Result<(), Error> {
        let mut new: Vec<u32> = tokens.to_vec();
        new.sort_unstable();
        new.dedup();
        new.retain(|token| !self.known.contains_key(token));
        for tokens in new.chunks(TOKENS_AT_ONCE) {
            stop.check()?;
            let rows: RowIndex = tokens.iter().map(|&token| token as usize).collect();
            let nearest = neighbours::nearest(&self.table, &self.squares, &rows, self.count)?;
            self.known.extend(tokens.iter().copied().zip(nearest));
        }
        Ok(())
    }

    /// Returns the neighbors of a token that was looked up, nearest first.
    pub(in crate::methods) fn of(&self, token: u32) -> &[u32] {
        self.known.get(&token).map_or(&[], Vec::as_slice)
    }
}
