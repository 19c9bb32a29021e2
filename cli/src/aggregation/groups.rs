//! Reads the inputs of a request group by group, and aggregates each group.
//!
//! A group has the rows of one slot. The examples of a file are aggregated as they are read: raw
//! scores of more than one example are never held.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use arrow::array::StructArray;
use tokio::task;
use whence_schemas::{Footer, SlotId, layout};
use whence_worker::table::TableRow;

use super::request::Request;
use super::stages::{Columns, Partners, Stages};
use super::table::{SlotPlan, footer_of_file, slots_of_file};
use crate::Failure;
use crate::results::{Results, Rows, Source};

/// The rows of one slot, which are aggregated as they are taken.
#[derive(Debug)]
pub(crate) struct Group {
    /// The slot, and who filled that of the input.
    pub(crate) footer: Footer,
    /// The carried columns, with one value per row.
    pub(crate) columns: Option<StructArray>,
    /// Rows that were read with the slot.
    read: std::vec::IntoIter<TableRow>,
    /// Number of rows taken so far, and of all.
    taken: usize,
    all: usize,
}

/// The groups of a request, in order.
#[derive(Debug)]
pub(crate) struct Groups {
    stages: Arc<Stages>,
    inputs: VecDeque<(Input, SlotPlan)>,
    joined: Option<Rows>,
    partner: Option<Rows>,
}

#[derive(Debug)]
enum Input {
    Job {
        results: Arc<Results>,
        /// Keys of the slots that are not read yet.
        slots: VecDeque<String>,
    },
    File {
        rows: Box<Rows>,
        /// Slots that are not read yet, with their numbers of examples.
        slots: VecDeque<(SlotId, u64)>,
    },
}

impl Groups {
    /// Begins to read the inputs of `request`, which are numbered as `plans` say.
    pub(crate) async fn of(request: &Request, plans: Vec<SlotPlan>) -> Result<Self, Failure> {
        let mut inputs = VecDeque::new();
        for (source, plan) in request.inputs.iter().zip(plans) {
            let input = match source {
                Source::Job(results) => Input::Job {
                    slots: results.slots().await?.into(),
                    results: Arc::clone(results),
                },
                Source::File(file) => {
                    let slots = slots_of_file(file.outline().sequences as u64);
                    Input::File {
                        rows: Box::new(Rows::of(source).await?),
                        slots: slots
                            .map(|(slot, rows)| (slot, rows.end - rows.start))
                            .collect(),
                    }
                }
            };
            inputs.push_back((input, plan));
        }
        let open = async |source: &Option<Source>| match source {
            Some(source) => Rows::of(source).await.map(Some),
            None => Ok(None),
        };
        Ok(Self {
            stages: Arc::new(request.stages()?),
            inputs,
            joined: open(&request.joined).await?,
            partner: open(&request.partner).await?,
        })
    }

    /// Returns the slot of the next group; `None` after the last.
    pub(crate) fn next_slot(&mut self) -> Option<SlotId> {
        loop {
            let (input, plan) = self.inputs.front()?;
            let slot = match input {
                Input::Job { slots, .. } => slots.front().and_then(|key| layout::slot_of_key(key)),
                Input::File { slots, .. } => slots.front().map(|(slot, _)| slot.clone()),
            };
            match slot {
                Some(slot) => return Some(plan.slot(&slot)),
                None => self.inputs.pop_front(),
            };
        }
    }

    /// Leaves out the next group, because it was aggregated before.
    pub(crate) async fn skip(&mut self) -> Result<(), Failure> {
        match self.inputs.front_mut() {
            Some((Input::Job { slots, .. }, _)) => {
                slots.pop_front();
            }
            Some((Input::File { rows, slots }, _)) => {
                let (_, examples) = slots.pop_front().unwrap_or((SlotId::of_shard(0), 0));
                for _ in 0..examples {
                    rows.next().await?;
                }
            }
            None => {}
        }
        Ok(())
    }

    /// Begins the next group; `None` after the last.
    pub(crate) async fn begin(&mut self) -> Result<Option<Group>, Failure> {
        let Some(slot) = self.next_slot() else {
            return Ok(None);
        };
        let group = match self.inputs.front_mut() {
            None => return Ok(None),
            Some((Input::Job { results, slots }, _)) => {
                let key = slots.pop_front().unwrap_or_default();
                let slot_rows = results.slot(&key).await?;
                Group {
                    footer: Footer {
                        slot,
                        ..slot_rows.footer
                    },
                    columns: slot_rows.columns,
                    taken: 0,
                    all: slot_rows.rows.len(),
                    read: slot_rows.rows.into_iter(),
                }
            }
            Some((Input::File { slots, .. }, _)) => Group {
                footer: footer_of_file(&slot),
                columns: None,
                taken: 0,
                all: slots
                    .pop_front()
                    .map_or(0, |(_, examples)| examples as usize),
                read: Vec::new().into_iter(),
            },
        };
        Ok(Some(group))
    }

    /// Reads and aggregates the next row of `group`, the one that was begun last; `None` after the
    /// last row.
    ///
    /// Fails if no example can be aggregated so.
    pub(crate) async fn row(&mut self, group: &mut Group) -> Result<Option<TableRow>, Failure> {
        if group.taken == group.all {
            return Ok(None);
        }
        let Some((input, plan)) = self.inputs.front_mut() else {
            return Ok(None);
        };
        let plan = *plan;
        let row = match input {
            Input::Job { .. } => group.read.next(),
            Input::File { rows, .. } => rows.next().await?,
        };
        let Some(row) = row else { return Ok(None) };
        let columns = (group.columns.clone(), group.taken);
        group.taken += 1;
        let mut row = self.aggregated(row, columns).await?;
        row.id.example = plan.example(row.id.example);
        Ok(Some(row))
    }

    /// Aggregates one row, beside the threads that must not wait.
    async fn aggregated(
        &mut self,
        row: TableRow,
        (columns, index): (Option<StructArray>, usize),
    ) -> Result<TableRow, Failure> {
        let find = async |rows: &mut Option<Rows>| match rows {
            Some(rows) => rows.find(row.id).await,
            None => Ok(None),
        };
        let partners = Partners {
            joined: find(&mut self.joined).await?,
            compared: find(&mut self.partner).await?,
        };
        let stages = Arc::clone(&self.stages);
        let aggregated = task::spawn_blocking(move || {
            let columns = Columns {
                of_slot: columns.as_ref(),
                row: index,
            };
            stages.apply(row, partners, columns)
        });
        let ended = aggregated.await;
        ended.unwrap_or_else(|error| Err(Failure::of_thread("aggregation", error)))
    }
}

/// Returns how many examples `rows` are of, and how many of those have an error.
pub(crate) fn counts(rows: &[TableRow]) -> (u64, u64) {
    let examples: BTreeSet<i64> = rows.iter().map(|row| row.id.example).collect();
    let failed = rows.iter().filter(|row| row.result.is_err());
    let failed: BTreeSet<i64> = failed.map(|row| row.id.example).collect();
    (examples.len() as u64, failed.len() as u64)
}
