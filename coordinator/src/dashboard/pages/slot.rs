//! A slot of a job: who fills it or has filled it, and its rows.

use askama::Template;
use serde::Deserialize;
use whence_schemas::{JobId, SlotId};

use super::rows::{self, RowLine, SlotRows};
use super::slot_cell;
use crate::Error;
use crate::dashboard::context::Context;
use crate::dashboard::figures;
use crate::dashboard::markup::Markup;
use crate::dashboard::view::{Tab, View};
use crate::job::{Closing, Job, SlotState};

/// Rows that are listed at most.
const MOST_ROWS: usize = 500;

/// Which rows are listed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::dashboard) struct RowFilter {
    /// What one of the texts contains; anything if empty.
    text: String,
    /// `failed` for those with an error; all if empty.
    only: String,
}

impl RowFilter {
    fn accepts(&self, row: &RowLine) -> bool {
        let text = self.text.trim().to_lowercase();
        let message = row.error.as_ref().map_or("", |(_, message)| message);
        let texts = [row.input.as_str(), row.output.as_str(), message];
        let has_text = texts.iter().any(|own| own.to_lowercase().contains(&text));
        has_text && (self.only != "failed" || row.error.is_some())
    }
}

/// What a job knows of a slot.
struct Known {
    table: String,
    /// Its state in words; empty if the job has ended and its slots are not in memory.
    state: String,
    facts: Vec<(&'static str, String)>,
}

#[derive(Template)]
#[template(path = "dashboard/slot.html")]
struct Page<'a> {
    job: &'a JobId,
    slot: &'a SlotId,
    known: &'a Known,
    filter: &'a RowFilter,
    rows: &'a [RowLine],
    /// How many rows the filter accepts.
    found: usize,
    /// Why no rows are listed.
    problem: Option<String>,
}

/// Makes the page.
pub(in crate::dashboard) async fn view(
    context: &Context,
    (id, slot): (&JobId, &SlotId),
    filter: &RowFilter,
) -> Result<View, Error> {
    context.look_up(id).await?;
    let known = context.read_job(id, |_, job| known(job, slot))?;
    let known = known.ok_or_else(|| Error::UnknownSlot {
        job: id.clone(),
        slot: slot.to_string(),
    })?;
    let (mut rows, problem) = match rows::read(context, &known.table, slot).await? {
        SlotRows::Read(file) => (rows::lines(&file), None),
        SlotRows::Missing => (Vec::new(), Some("It holds no rows so far.".to_owned())),
        SlotRows::TooLarge(bytes) => {
            let bytes = figures::memory(bytes);
            let problem = format!("Its file has {bytes}, too much for a page; use `whence sql`.");
            (Vec::new(), Some(problem))
        }
    };
    rows.retain(|row| filter.accepts(row));
    let found = rows.len();
    rows.truncate(MOST_ROWS);
    let page = Page {
        job: id,
        slot,
        known: &known,
        filter,
        rows: &rows,
        found,
        problem,
    };
    Ok(View {
        title: format!("Slot {slot}"),
        tab: Tab::Jobs,
        body: Markup::of(&page)?,
        regions: Vec::new(),
    })
}

/// Returns what a job knows of a slot; `None` if it has no such slot.
fn known(job: &Job, slot: &SlotId) -> Option<Known> {
    let table = job.table().to_owned();
    let mut facts = Vec::new();
    if let Some(rows) = job.plan().rows(slot) {
        facts.push((
            "Rows",
            format!("{} to {}", rows.start, rows.end.saturating_sub(1)),
        ));
    }
    let Some(state) = job.slot(slot) else {
        let is_in_memory = job.slots().next().is_some();
        return (!is_in_memory).then(|| Known {
            table,
            state: String::new(),
            facts,
        });
    };
    match state {
        SlotState::Leased(leases) => {
            let workers = leases.iter().map(|lease| lease.worker.to_string());
            facts.push(("Worker", workers.collect::<Vec<_>>().join(", ")));
        }
        SlotState::Filled(fill) => facts.push(("Size", figures::memory(fill.bytes))),
        SlotState::Closing(Closing::Quarantine { message, .. }) => {
            facts.push(("Error", message.clone()));
        }
        SlotState::Pending { .. }
        | SlotState::Closing(Closing::Split)
        | SlotState::Split { .. } => {}
    }
    let look = slot_cell::look(state);
    Some(Known {
        table,
        state: look.map_or("split", |look| look.word).to_owned(),
        facts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::tests::job;
    use crate::testing::{at, filled, slot};

    fn row(input: &str, error: Option<&str>) -> RowLine {
        RowLine {
            example: 0,
            sample: 0,
            error: error.map(|message| ("model".to_owned(), message.to_owned())),
            input: input.to_owned(),
            output: String::new(),
        }
    }

    #[test]
    fn rows_are_found_by_their_texts_and_by_their_errors() {
        let filter = |text: &str, only: &str| RowFilter {
            text: text.to_owned(),
            only: only.to_owned(),
        };
        let (good, bad) = (row("The Window", None), row("x", Some("Too long")));
        assert!(filter("", "").accepts(&good) && filter(" window ", "").accepts(&good));
        assert!(!filter("door", "").accepts(&good) && !filter("", "failed").accepts(&good));
        assert!(filter("too LONG", "failed").accepts(&bad));
    }

    #[test]
    fn a_slot_says_what_it_is() {
        let mut job = job(&[3, 2]);
        let known = |job: &Job, index| known(job, &slot(index)).map(|it| (it.state, it.facts));
        let rows = ("Rows", "3 to 4".to_owned());
        assert_eq!(
            known(&job, 1),
            Some(("pending".to_owned(), vec![rows.clone()]))
        );
        job.apply(filled(&slot(1), 2), at(1));
        let size = ("Size", "10 bytes".to_owned());
        assert_eq!(known(&job, 1), Some(("done".to_owned(), vec![rows, size])));
        assert!(known(&job, 2).is_none());
    }
}
