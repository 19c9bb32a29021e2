//! Reads the rows of a source one after the other, in ascending order of their ids.
//!
//! Memory holds one slot of a table, or a few examples of a file.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use whence_schemas::RowId;
use whence_worker::table::TableRow;

use super::job::Results;
use super::source::{Source, row_of};
use crate::Failure;

/// Examples of a file that wait to be taken. The thread that reads the file runs ahead of those who
/// take them, but only this far: raw scores are large.
const READ_AHEAD: usize = 2;

/// The rows of a source, in order.
#[derive(Debug)]
pub struct Rows {
    reader: Reader,
    /// A row that was read and is not taken yet.
    next: Option<TableRow>,
}

#[derive(Debug)]
enum Reader {
    Job {
        results: Arc<Results>,
        /// Slots that are not read yet.
        slots: VecDeque<String>,
        /// Rows of the last slot that was read.
        rows: std::vec::IntoIter<TableRow>,
    },
    File {
        examples: mpsc::Receiver<TableRow>,
        reading: Option<JoinHandle<Result<(), Failure>>>,
    },
}

impl Rows {
    /// Begins to read `source`.
    pub async fn of(source: &Source) -> Result<Self, Failure> {
        let reader = match source {
            Source::Job(results) => Reader::Job {
                slots: results.slots().await?.into(),
                results: Arc::clone(results),
                rows: Vec::new().into_iter(),
            },
            Source::File(file) => {
                let file = Arc::clone(file);
                let (taken, examples) = mpsc::channel(READ_AHEAD);
                let reading = tokio::task::spawn_blocking(move || {
                    file.for_each(|example| {
                        let sent = taken.blocking_send(row_of(example));
                        // Nobody takes the rest if the receiver is gone.
                        sent.map_or(ControlFlow::Break(()), |()| ControlFlow::Continue(()))
                    })
                });
                Reader::File {
                    examples,
                    reading: Some(reading),
                }
            }
        };
        Ok(Self { reader, next: None })
    }

    /// Returns the next row; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<TableRow>, Failure> {
        if let Some(row) = self.next.take() {
            return Ok(Some(row));
        }
        match &mut self.reader {
            Reader::Job {
                results,
                slots,
                rows,
            } => loop {
                if let Some(row) = rows.next() {
                    return Ok(Some(row));
                }
                let Some(slot) = slots.pop_front() else {
                    return Ok(None);
                };
                *rows = results.rows(&slot).await?.into_iter();
            },
            Reader::File { examples, reading } => {
                if let Some(row) = examples.recv().await {
                    return Ok(Some(row));
                }
                if let Some(reading) = reading.take() {
                    let read = reading.await;
                    read.map_err(|error| Failure::run(format!("read the file: {error}")))??;
                }
                Ok(None)
            }
        }
    }

    /// Returns the id of the next row without taking it; `None` after the last.
    pub async fn peek(&mut self) -> Result<Option<RowId>, Failure> {
        self.next = self.next().await?;
        Ok(self.next.as_ref().map(|row| row.id))
    }

    /// Returns the row `id`, or `None` if there is none. Ids must be asked for in ascending order.
    pub async fn find(&mut self, id: RowId) -> Result<Option<TableRow>, Failure> {
        while self.peek().await?.is_some_and(|next| next < id) {
            self.next = None;
        }
        Ok(self.next.take_if(|row| row.id == id))
    }
}
