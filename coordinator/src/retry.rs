//! The job that computes the failed rows of a sealed one again.
//!
//! A sealed table never changes, so the rows go into the slots of another job with the same rows and the
//! same plan: the next generation. What was computed well is copied into its slots, failed rows are left
//! open, and a slot with rows of both kinds is split until they are apart. The copies are written first
//! and the specification last, so a job is seen only when nothing but failed rows is missing.

use std::collections::BTreeSet;
use std::ops::Range;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::Int64Type;
use arrow::error::ArrowError;
use bytes::Bytes;
use whence_schemas::placement::halves;
use whence_schemas::slot_file::{self, SlotFile, SlotFileError};
use whence_schemas::store::SlotStore;
use whence_schemas::{
    Attempt, Epoch, Footer, JobId, JobSpec, Plan, SlotId, SlotKind, layout, output,
};

use crate::Error;
use crate::blocking::blocking;
use crate::durable::manifest::{Manifest, ManifestFile};
use crate::durable::recover::Submitted;
use crate::durable::{Author, create_json, get_json, tombstone};

/// Returns the specification of the job that computes the failed rows of the job `id` again.
///
/// Fails with [`Error::Retry`] if the job is not sealed, has no failed rows, or was not computed by a
/// model.
pub(crate) async fn next_job(store: &dyn SlotStore, id: &JobId) -> Result<JobSpec, Error> {
    let spec: Option<JobSpec> = get_json(store, &layout::spec(id)).await?;
    let spec = spec.ok_or_else(|| Error::UnknownJob(id.clone()))?;
    let refuse = |reason: &str| Error::Retry {
        job: id.clone(),
        reason: reason.to_owned(),
    };
    if spec.derived_from.is_some() {
        return Err(refuse("its table was made by `aggregate`, not by a model"));
    }
    let manifest: Option<Manifest> = get_json(store, &layout::sealed(id)).await?;
    match manifest {
        None => Err(refuse(
            "it is not complete; submit it again to resume it, and retry what has failed then",
        )),
        Some(manifest) if manifest.errors == 0 => Err(refuse("none of its rows has failed")),
        Some(_) => Ok(JobSpec {
            retry_of: Some(id.clone()),
            ..spec
        }),
    }
}

/// Writes the job `next`, which retries the job `of`: its plan, the rows that need no retry, and last its
/// specification. Safe to repeat after a crash.
pub(crate) async fn write(
    store: &dyn SlotStore,
    of: &JobId,
    next: &JobSpec,
    epoch: Epoch,
) -> Result<(), Error> {
    let (plan, manifest) = (layout::plan(of), layout::sealed(of));
    let vanished = |key: &str| Error::Stored {
        key: key.to_owned(),
        reason: "it vanished".to_owned(),
    };
    let plan: Plan = get_json(store, &plan)
        .await?
        .ok_or_else(|| vanished(&plan))?;
    let manifest: Manifest = get_json(store, &manifest)
        .await?
        .ok_or_else(|| vanished(&manifest))?;
    let id = next.id();
    create_json(store, &layout::plan(&id), &plan).await?;
    let first: Option<Submitted> = get_json(store, &layout::submitted(of)).await?;
    let tenant = first.and_then(|first| first.tenant);
    let submitted = Submitted::now_by(tenant.as_ref());
    create_json(store, &layout::submitted(&id), &submitted).await?;
    let mut files = manifest.files;
    // A slot's tombstone comes before what is in its halves, as everywhere.
    files.sort_by_key(|file| layout::slot_of_key(&file.key));
    for file in files {
        let bytes = store.get(&file.key).await?;
        let bytes = bytes.ok_or_else(|| vanished(&file.key))?;
        let (next, plan) = (next.clone(), plan.clone());
        let kept = move || kept(bytes, &file, &plan, &next, epoch);
        for (key, bytes) in blocking("copy the rows of a slot", kept).await? {
            store.create(&key, bytes).await?;
        }
    }
    create_json(store, &layout::spec(&id), next).await?;
    Ok(())
}

/// Returns the objects that a table file leaves to the next job, each with its name.
fn kept(
    bytes: Bytes,
    file: &ManifestFile,
    plan: &Plan,
    next: &JobSpec,
    epoch: Epoch,
) -> Result<Vec<(String, Bytes)>, Error> {
    let damaged = |reason: String| Error::Stored {
        key: file.key.clone(),
        reason,
    };
    let found = slot_file::verify(bytes.clone()).map_err(|error| damaged(error.to_string()))?;
    if !file.digest.is_empty() && found.digest != file.digest {
        return Err(damaged("it is not the file that was sealed".to_owned()));
    }
    let slot = found.footer.slot;
    let rows = plan.rows(&slot);
    let rows = rows.ok_or_else(|| damaged("it is no slot of its job".to_owned()))?;
    let decoded = slot_file::decode(bytes).map_err(|error| damaged(error.to_string()))?;
    let pieces = match decoded.footer.kind {
        SlotKind::Tombstone => vec![Piece::Split(slot)],
        SlotKind::Full | SlotKind::Quarantine => {
            let failed = failed_rows(&decoded.batches);
            let failed = failed.map_err(|error| damaged(error.to_string()))?;
            pieces(&slot, rows, &failed)
        }
    };
    let table = layout::table(next);
    let write = |piece: Piece| {
        let written = match &piece {
            Piece::Split(slot) => split(slot, next, epoch)?,
            Piece::Keep(slot, rows) => {
                let copied = copy(&decoded, slot, rows, next);
                copied.map_err(|error| damaged(error.to_string()))?
            }
        };
        let (Piece::Split(slot) | Piece::Keep(slot, _)) = piece;
        Ok((layout::slot(&table, &slot), written))
    };
    pieces.into_iter().map(write).collect()
}

/// Encodes a tombstone of the job `next`.
fn split(slot: &SlotId, next: &JobSpec, epoch: Epoch) -> Result<Bytes, Error> {
    let attempt = Attempt::of(ulid::Ulid::new());
    tombstone(Author {
        spec: next,
        slot,
        attempt: &attempt,
        epoch,
    })
}

/// Encodes some rows of a file as a slot of the job `next`.
fn copy(
    file: &SlotFile,
    slot: &SlotId,
    rows: &Range<u64>,
    next: &JobSpec,
) -> Result<Bytes, SlotFileError> {
    let footer = Footer {
        slot: slot.clone(),
        attempt: Attempt::of(ulid::Ulid::new()),
        kind: SlotKind::Full,
        examples: rows.end - rows.start,
        errors: 0,
        spec_json: next.canonical_json(),
        // Who computed the rows, and with which version.
        ..file.footer.clone()
    };
    let batch = rows_in(&file.batches, rows)?;
    Ok(slot_file::encode(&batch, &footer)?.into())
}

/// What goes into a slot of the next job. A slot that is not mentioned is left open.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    /// These rows, none of which has failed.
    Keep(SlotId, Range<u64>),
    /// A tombstone.
    Split(SlotId),
}

/// Takes the rows of a slot apart until none of its parts has both failed rows and others.
fn pieces(slot: &SlotId, rows: Range<u64>, failed: &BTreeSet<u64>) -> Vec<Piece> {
    let num_failed = failed.range(rows.clone()).count() as u64;
    if num_failed == 0 {
        return vec![Piece::Keep(slot.clone(), rows)];
    }
    match halves(&rows) {
        Some(of_halves) if num_failed < rows.end - rows.start => {
            let slots = slot.split().into_iter().zip(of_halves);
            let below = slots.flat_map(|(slot, rows)| pieces(&slot, rows, failed));
            std::iter::once(Piece::Split(slot.clone()))
                .chain(below)
                .collect()
        }
        _ => Vec::new(),
    }
}

/// Returns the numbers of the rows that have an error, in one of their sequences at least.
fn failed_rows(batches: &[RecordBatch]) -> Result<BTreeSet<u64>, ArrowError> {
    let mut failed = BTreeSet::new();
    for batch in batches {
        let ids = ids(batch)?;
        let status = batch.column_by_name(output::STATUS);
        let status = status.and_then(|status| status.as_string_opt::<i32>());
        let status = status.ok_or_else(|| missing(output::STATUS))?;
        for (id, status) in ids.iter().zip(status) {
            if status != Some(output::STATUS_OK) {
                failed.insert(*id as u64);
            }
        }
    }
    Ok(failed)
}

/// Returns the rows with these numbers as one batch.
fn rows_in(batches: &[RecordBatch], rows: &Range<u64>) -> Result<RecordBatch, ArrowError> {
    let [first, ..] = batches else {
        return Err(missing(output::EXAMPLE_ID));
    };
    let all = concat_batches(&first.schema(), batches)?;
    let is_in = |id: &i64| Some(rows.contains(&(*id as u64)));
    let chosen: BooleanArray = ids(&all)?.iter().map(is_in).collect();
    filter_record_batch(&all, &chosen)
}

fn ids(batch: &RecordBatch) -> Result<&[i64], ArrowError> {
    let ids = batch.column_by_name(output::EXAMPLE_ID);
    let ids = ids.and_then(|ids| ids.as_primitive_opt::<Int64Type>());
    ids.map(|ids| &ids.values()[..])
        .ok_or_else(|| missing(output::EXAMPLE_ID))
}

fn missing(column: &str) -> ArrowError {
    ArrowError::SchemaError(format!("it has no column `{column}`"))
}

#[cfg(test)]
mod tests {
    use whence_schemas::ErrorKind;

    use super::*;
    use crate::access::Caller;
    use crate::job::FailureClass;
    use crate::testing::{Stage, slot};

    fn keep(slot: &SlotId, rows: Range<u64>) -> Piece {
        Piece::Keep(slot.clone(), rows)
    }

    #[test]
    fn a_slot_is_split_until_failed_rows_are_apart() {
        let [first, second] = slot(0).split();
        let [third, fourth] = second.split();
        let of = |failed: &[u64]| pieces(&slot(0), 10..17, &failed.iter().copied().collect());
        assert_eq!(of(&[]), [keep(&slot(0), 10..17)]);
        assert_eq!(of(&[10, 11, 12, 13, 14, 15, 16]), []);
        let split = Piece::Split(slot(0));
        assert_eq!(of(&[10, 11, 12]), [split.clone(), keep(&second, 13..17)]);
        let below = Piece::Split(second.clone());
        assert_eq!(
            of(&[15, 16]),
            [split, keep(&first, 10..13), below, keep(&third, 13..15)]
        );
        assert_eq!(pieces(&fourth, 15..16, &[15].into()), []);
    }

    /// Seals a job of `num_rows` slots of one row, of which the first could not be computed.
    async fn sealed_with_an_error(stage: &Stage, num_rows: usize) -> JobId {
        let job = stage.job(num_rows);
        let (id, _) = stage.coordinator.jobs().submit(job).await.unwrap();
        for _ in 0..3 {
            let leased = stage.acquire("a", 1).await.remove(0);
            stage.fail(&leased.at, FailureClass::Internal).await;
        }
        stage.coordinator.reconciler().write_due_now().await;
        for leased in stage.acquire("a", num_rows).await {
            stage.fill(&leased).await;
            let reported = stage.coordinator.dispatch().complete(&leased.at, 1);
            reported.await.unwrap();
        }
        for _ in 0..3 {
            stage.coordinator.reconciler().write_due_now().await;
        }
        id
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_has_failed_is_computed_again() {
        let stage = Stage::new().await;
        let id = sealed_with_an_error(&stage, 3).await;
        let jobs = stage.coordinator.jobs();
        let before = jobs.summary(&id).unwrap().totals;
        assert_eq!((before.rows_done, before.rows_failed), (3, 1));
        let (next, existed) = jobs.retry(&id).await.unwrap();
        assert!(!existed && next != id);
        let totals = jobs.summary(&next).unwrap().totals;
        assert_eq!(
            (totals.rows, totals.rows_done, totals.rows_failed),
            (3, 2, 0)
        );
        let leased = stage.acquire("a", 9).await;
        assert_eq!(leased.len(), 1);
        assert_eq!((&leased[0].at.job, &leased[0].at.slot), (&next, &slot(0)));
        assert_eq!(jobs.retry(&id).await.unwrap(), (next, true));
        // The sealed job is what it was.
        assert_eq!(jobs.summary(&id).unwrap().totals, before);
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_nothing_to_retry_is_refused() {
        let stage = Stage::new().await;
        let (id, _) = stage.coordinator.jobs().submit(stage.job(2)).await.unwrap();
        let jobs = stage.coordinator.jobs();
        let refused = jobs.retry(&id).await.unwrap_err();
        assert!(refused.to_string().contains("not complete"), "{refused}");
        for leased in stage.acquire("a", 2).await {
            stage.fill(&leased).await;
            let reported = stage.coordinator.dispatch().complete(&leased.at, 1);
            reported.await.unwrap();
        }
        for _ in 0..3 {
            stage.coordinator.reconciler().write_due_now().await;
        }
        let refused = jobs.retry(&id).await.unwrap_err();
        assert!(
            refused.to_string().contains("none of its rows"),
            "{refused}"
        );
        assert_eq!(refused.kind(), ErrorKind::Invalid);
        let unknown = jobs.retry(&JobId::of("gone")).await.unwrap_err();
        assert_eq!(unknown.kind(), ErrorKind::NotFound);
    }

    #[tokio::test(start_paused = true)]
    async fn a_damaged_file_is_not_copied() {
        let stage = Stage::new().await;
        let id = sealed_with_an_error(&stage, 2).await;
        let jobs = stage.coordinator.jobs();
        let table = jobs.summary(&id).unwrap().table;
        let path = stage.root.path().join(layout::slot(&table, &slot(1)));
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let refused = jobs.retry(&id).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Data);
        assert!(refused.to_string().contains("p000001"), "{refused}");
        assert_eq!(jobs.list(&Caller::default()).await.unwrap().len(), 1);
    }
}
