//! Walks through two runs side by side.
//!
//! Both are read in the order of their rows, one slot of a table or a few examples of a file at a time.

use std::cmp::Ordering;

use whence_schemas::RowId;
use whence_worker::table::TableRow;

use crate::Failure;
use crate::results::{Rows, Source};

/// The rows of a run with one score per token, in the order of their ids.
#[derive(Debug)]
pub(crate) struct RunRows<'s> {
    source: &'s Source,
    rows: Rows,
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

impl<'s> RunRows<'s> {
    /// Begins to read a run.
    pub(crate) async fn begin(source: &'s Source) -> Result<Self, Failure> {
        Ok(Self {
            rows: Rows::of(source).await?,
            source,
            last: None,
        })
    }

    /// Returns the id of the next row; `None` after the last.
    async fn peek(&mut self) -> Result<Option<RowId>, Failure> {
        let next = self.rows.peek().await?;
        // Rows are paired by walking forward only.
        if next.is_some() && next <= self.last {
            let run = self.source.name();
            return Err(Failure::run(format!("the rows of {run} are not in order")));
        }
        Ok(next)
    }

    async fn take(&mut self) -> Result<Option<TableRow>, Failure> {
        let Some(row) = self.rows.next().await? else {
            return Ok(None);
        };
        self.last = Some(row.id);
        self.source.shown(row).map(Some)
    }
}

/// Returns the next row of either run; `None` after the last of both.
pub(crate) async fn next(runs: &mut [RunRows<'_>; 2]) -> Result<Option<Paired>, Failure> {
    let [first, second] = runs;
    let order = match (first.peek().await?, second.peek().await?) {
        (None, None) => return Ok(None),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (Some(first), Some(second)) => first.cmp(&second),
    };
    let rows = match order {
        Ordering::Less => [first.take().await?, None],
        Ordering::Greater => [None, second.take().await?],
        Ordering::Equal => [first.take().await?, second.take().await?],
    };
    Ok(Some(match rows {
        [Some(first), Some(second)] => Paired::Both(Box::new([first, second])),
        _ => Paired::One,
    }))
}
