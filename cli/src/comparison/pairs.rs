//! Walks through the tables of two runs side by side.
//!
//! Both are read in the order of their rows, one slot at a time, so memory is bounded by two slots.

use std::cmp::Ordering;
use std::collections::VecDeque;

use whence_schemas::RowId;
use whence_worker::table::TableRow;

use crate::Failure;
use crate::results::Results;

/// The rows of a run, in the order of their ids.
#[derive(Debug)]
pub(crate) struct Rows<'r> {
    results: &'r Results,
    slots: VecDeque<String>,
    /// Rows of the last slot that was read.
    pending: VecDeque<TableRow>,
    last: Option<RowId>,
}

/// A row of one or both runs.
#[derive(Debug)]
pub(crate) enum Paired {
    /// Both runs have it.
    Both(Box<[TableRow; 2]>),
    /// Only one of the runs has it.
    One,
}

impl<'r> Rows<'r> {
    /// Begins to read a run.
    pub(crate) async fn begin(results: &'r Results) -> Result<Self, Failure> {
        Ok(Self {
            slots: results.slots().await?.into(),
            results,
            pending: VecDeque::new(),
            last: None,
        })
    }

    /// Returns the id of the next row; `None` after the last.
    async fn peek(&mut self) -> Result<Option<RowId>, Failure> {
        while self.pending.is_empty() {
            let Some(slot) = self.slots.pop_front() else {
                return Ok(None);
            };
            self.pending = self.results.rows(&slot).await?.into();
        }
        let next = self.pending.front().map(|row| row.id);
        // Rows are paired by walking forward only.
        if self.last.is_some() && next <= self.last {
            let job = self.results.id();
            return Err(Failure::run(format!(
                "the rows of job `{job}` are not in order"
            )));
        }
        Ok(next)
    }

    fn take(&mut self) -> Option<TableRow> {
        let row = self.pending.pop_front()?;
        self.last = Some(row.id);
        Some(row)
    }
}

/// Returns the next row of either run; `None` after the last of both.
pub(crate) async fn next(runs: &mut [Rows<'_>; 2]) -> Result<Option<Paired>, Failure> {
    let [first, second] = runs;
    let order = match (first.peek().await?, second.peek().await?) {
        (None, None) => return Ok(None),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (Some(first), Some(second)) => first.cmp(&second),
    };
    let rows = match order {
        Ordering::Less => [first.take(), None],
        Ordering::Greater => [None, second.take()],
        Ordering::Equal => [first.take(), second.take()],
    };
    Ok(Some(match rows {
        [Some(first), Some(second)] => Paired::Both(Box::new([first, second])),
        _ => Paired::One,
    }))
}
