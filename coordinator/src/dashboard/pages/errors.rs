//! What went wrong in a job: its error rows, and the attempts that failed.

use askama::Template;
use futures::{StreamExt, TryStreamExt, stream};
use whence_schemas::{JobId, SlotId, SlotKind, layout};

use super::rows::{self, RowLine, SlotRows};
use crate::Error;
use crate::dashboard::context::Context;
use crate::dashboard::markup::Markup;
use crate::dashboard::view::{Tab, View};
use crate::durable::get_json;
use crate::job::{Failure, SlotState};

/// Attempts that are listed, the latest ones.
const MOST_ATTEMPTS: usize = 50;
/// Error rows that are listed.
const MOST_ROWS: usize = 100;
/// Slots that are read for them.
const MOST_SLOTS: usize = 16;
/// Records that are read at the same time.
const READS_AT_ONCE: usize = 8;

#[derive(Template)]
#[template(path = "dashboard/errors.html")]
struct Page<'a> {
    job: &'a JobId,
    rows: &'a [(SlotId, RowLine)],
    /// Error rows of the job, whether or not they are listed.
    num_rows: u64,
    attempts: &'a [Failure],
    num_attempts: usize,
}

/// Makes the page.
pub(in crate::dashboard) async fn view(context: &Context, id: &JobId) -> Result<View, Error> {
    context.look_up(id).await?;
    let num_rows = context.read_job(id, |_, job| job.totals().rows_failed)?;
    let rows = error_rows(context, id).await?;
    let (attempts, num_attempts) = attempts(context, id).await?;
    let page = Page {
        job: id,
        rows: &rows,
        num_rows,
        attempts: &attempts,
        num_attempts,
    };
    Ok(View {
        title: "Errors".to_owned(),
        tab: Tab::Jobs,
        body: Markup::of(&page)?,
        regions: Vec::new(),
    })
}

/// Reads the first error rows of a job, each with its slot.
async fn error_rows(context: &Context, id: &JobId) -> Result<Vec<(SlotId, RowLine)>, Error> {
    let (table, slots) = slots_with_errors(context, id).await?;
    let mut found = Vec::new();
    for slot in slots.into_iter().take(MOST_SLOTS) {
        if let SlotRows::Read(file) = rows::read(context, &table, &slot).await? {
            let lines = rows::lines(&file).into_iter();
            let failed = lines.filter(|line| line.error.is_some());
            found.extend(failed.map(|line| (slot.clone(), line)));
        }
        if found.len() >= MOST_ROWS {
            break;
        }
    }
    found.truncate(MOST_ROWS);
    Ok(found)
}

/// Returns the folder of a job's table, and its slots that have error rows.
async fn slots_with_errors(context: &Context, id: &JobId) -> Result<(String, Vec<SlotId>), Error> {
    let (table, known) = context.read_job(id, |_, job| {
        let slots = job.slots().filter_map(|(slot, state)| match state {
            SlotState::Filled(fill) if fill.errors > 0 => Some(slot.clone()),
            _ => None,
        });
        let is_in_memory = job.slots().next().is_some();
        let known = is_in_memory.then(|| slots.collect::<Vec<_>>());
        (job.table().to_owned(), known)
    })?;
    if let Some(slots) = known {
        return Ok((table, slots));
    }
    let manifest = rows::manifest(context, id).await?;
    let files = manifest.into_iter().flat_map(|manifest| manifest.files);
    let with_errors = files.filter(|file| file.errors > 0 && file.kind != SlotKind::Tombstone);
    let slots = with_errors.filter_map(|file| layout::slot_of_key(&file.key));
    Ok((table, slots.collect()))
}

/// Reads the records of the latest attempts that failed. Returns them, and how many there are.
async fn attempts(context: &Context, id: &JobId) -> Result<(Vec<Failure>, usize), Error> {
    let store = context.core().store.as_ref();
    let listed = store.list(&layout::failures(id)).await?;
    let mut keys: Vec<String> = listed.into_iter().map(|object| object.key).collect();
    // The name of an attempt begins with its time.
    keys.sort_unstable_by(|a, b| attempt_of(b).cmp(attempt_of(a)));
    let count = keys.len();
    keys.truncate(MOST_ATTEMPTS);
    let reads = keys
        .into_iter()
        .map(|key| async move { get_json::<Failure>(store, &key).await });
    let read: Vec<Option<Failure>> = stream::iter(reads)
        .buffered(READS_AT_ONCE)
        .try_collect()
        .await?;
    Ok((read.into_iter().flatten().collect(), count))
}

fn attempt_of(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or_default()
}
