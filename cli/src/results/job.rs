//! Reads the table of one job: all examples in order, or a single one.
//!
//! The plan says which slot holds a row, so reading one example fetches only one object.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StructArray};
use arrow::error::ArrowError;
use whence_coordinator::durable::manifest::Manifest;
use whence_engine::Attribution;
use whence_schemas::store::SlotStore;
use whence_schemas::{
    Footer, JobId, JobSpec, Plan, RowError, RowId, chain, layout, output, slot_file,
};
use whence_schemas::{panics, slot_file::SlotFile};
use whence_worker::table::{self, ContextRow, TableRow};

use super::root::{get, jobs, open_root};
use crate::Failure;
use crate::remote::find;

/// The rows of one slot, with everything else that its file holds.
#[derive(Debug, Clone)]
pub struct SlotRows<R = Attribution> {
    /// Who filled the slot, and with what.
    pub footer: Footer,
    /// The rows.
    pub rows: Vec<TableRow<R>>,
    /// The dataset columns that were carried along, with one value per row.
    pub columns: Option<StructArray>,
}

/// The table of one job.
#[derive(Debug)]
pub struct Results {
    store: Arc<dyn SlotStore>,
    id: JobId,
    spec: JobSpec,
    plan: Plan,
}

impl Results {
    /// Opens the table of the job whose id begins with `job`, below the storage root at `root`.
    ///
    /// Fails if there is no such root or job, or if several jobs begin with `job`.
    pub async fn open(root: &str, job: &str) -> Result<Self, Failure> {
        let store = open_root(root).await?;
        let id = match job.parse() {
            Ok(id) => id,
            Err(_) => find(job, &jobs(store.as_ref()).await?)?,
        };
        let missing = || {
            Failure::request(format!("there is no job `{id}` below `{root}`")).hint(format!(
                "whence sql --root {root} \"SELECT job, state FROM jobs\""
            ))
        };
        let spec = get(store.as_ref(), &layout::spec(&id)).await?;
        let plan = get(store.as_ref(), &layout::plan(&id)).await?;
        Ok(Self {
            spec: spec.ok_or_else(missing)?,
            plan: plan.ok_or_else(missing)?,
            store,
            id,
        })
    }

    /// Fails if the table is not one of attributions.
    pub fn check_attributions(&self) -> Result<(), Failure> {
        if self.spec.context.is_none() {
            return Ok(());
        }
        let id = &self.id;
        Err(Failure::request(format!(
            "job `{id}` asks what depends on a context; it has no attributions of whole texts"
        ))
        .hint(format!("whence show {id}")))
    }

    /// Returns the store with the table.
    pub(crate) fn store(&self) -> &dyn SlotStore {
        self.store.as_ref()
    }

    /// Returns the job's id.
    pub fn id(&self) -> &JobId {
        &self.id
    }

    /// Returns the job's specification.
    pub fn spec(&self) -> &JobSpec {
        &self.spec
    }

    /// Returns how the job's rows are cut into shards.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Returns the names of the step scores, in the order in which attributions list them.
    pub fn step_scores(&self) -> Vec<String> {
        self.spec.attribution.step_score_labels()
    }

    /// Returns the object keys of the filled slots, in row order.
    pub async fn slots(&self) -> Result<Vec<String>, Failure> {
        let objects = self.store.list(&layout::table(&self.spec)).await?;
        let keys = objects.into_iter().map(|object| object.key);
        Ok(keys
            .filter(|key| layout::slot_of_key(key).is_some())
            .collect())
    }

    /// Reads all rows of one slot. Fails if its file is missing or damaged.
    pub async fn rows(&self, slot: &str) -> Result<Vec<TableRow>, Failure> {
        Ok(self.slot(slot).await?.rows)
    }

    /// Reads all rows of one slot of the context table. Fails if its file is missing or damaged.
    pub async fn context_rows(&self, slot: &str) -> Result<Vec<ContextRow>, Failure> {
        let decode = |batch: &RecordBatch| table::context::decode(batch);
        Ok(self.decoded(slot, decode).await?.rows)
    }

    /// Reads the errors of one slot; it may belong to either table.
    pub async fn errors(&self, slot: &str) -> Result<Vec<(RowId, RowError)>, Failure> {
        fn errors<R>(rows: Vec<TableRow<R>>) -> Vec<(RowId, RowError)> {
            let errors = rows.into_iter();
            let errors = errors.filter_map(|row| Some((row.id, row.result.err()?)));
            errors.collect()
        }
        Ok(match self.spec.context {
            Some(_) => errors(self.context_rows(slot).await?),
            None => errors(self.rows(slot).await?),
        })
    }

    /// Reads everything that one slot of the attribution table holds. Fails if its file is missing or
    /// damaged.
    pub async fn slot(&self, slot: &str) -> Result<SlotRows, Failure> {
        let names = self.step_scores();
        self.decoded(slot, |batch| table::decode(batch, &names))
            .await
    }

    async fn decoded<R>(
        &self,
        slot: &str,
        decode: impl Fn(&RecordBatch) -> Result<Vec<TableRow<R>>, ArrowError>,
    ) -> Result<SlotRows<R>, Failure> {
        let bytes = self.store.get(slot).await?;
        let bytes = bytes.ok_or_else(|| Failure::run(format!("the object `{slot}` vanished")))?;
        let read = || -> Result<SlotRows<R>, String> {
            let SlotFile { footer, batches } =
                slot_file::decode(bytes).map_err(|error| chain(&error))?;
            let mut rows = Vec::new();
            for batch in &batches {
                rows.extend(decode(batch).map_err(|error| chain(&error))?);
            }
            let columns = batches
                .iter()
                .map(|batch| batch.column_by_name(output::COLUMNS));
            let columns: Option<Vec<&ArrayRef>> = columns.collect();
            Ok(SlotRows {
                footer,
                rows,
                columns: columns.map_or(Ok(None), |columns| joined(&columns))?,
            })
        };
        panics::caught(read)
            .unwrap_or_else(|panic| Err(format!("the Parquet reader cannot take it ({panic})")))
            .map_err(|reason| Failure::run(format!("the table file `{slot}` is damaged: {reason}")))
    }

    /// Returns the first row of the context table without an error; `None` if there is none so far.
    pub async fn first_analyzed(&self) -> Result<Option<ContextRow>, Failure> {
        let decode = |batch: &RecordBatch| table::context::decode(batch);
        self.first_good(decode).await
    }

    /// Returns the row `id` of the context table. Fails as [`Results::row`] does.
    pub async fn context_row(&self, id: RowId) -> Result<ContextRow, Failure> {
        let decode = |batch: &RecordBatch| table::context::decode(batch);
        self.found(id, decode).await
    }

    /// Returns the row `id`.
    ///
    /// Fails if it has not been computed yet, or if the job has no such row.
    pub async fn row(&self, id: RowId) -> Result<TableRow, Failure> {
        let names = self.step_scores();
        self.found(id, |batch| table::decode(batch, &names)).await
    }

    async fn found<R>(
        &self,
        id: RowId,
        decode: impl Fn(&RecordBatch) -> Result<Vec<TableRow<R>>, ArrowError>,
    ) -> Result<TableRow<R>, Failure> {
        for slot in self.slots().await? {
            if !self.may_hold(&slot, id.example) {
                continue;
            }
            let mut samples = self.decoded(&slot, &decode).await?.rows;
            samples.retain(|row| row.id.example == id.example);
            let last = samples.iter().map(|row| row.id.sample).max();
            if let Some(row) = samples.into_iter().find(|row| row.id == id) {
                return Ok(row);
            }
            if let Some(last) = last {
                return Err(Failure::request(format!(
                    "example {} has no sample {}; it has 0 to {last}",
                    id.example, id.sample
                )));
            }
        }
        let total = self.plan.num_rows();
        let is_planned = u64::try_from(id.example).is_ok_and(|row| row < total);
        Err(if is_planned {
            Failure::run(format!("example {} is not computed yet", id.example))
        } else {
            Failure::request(format!(
                "job `{}` has no example {}; it has 0 to {}",
                self.id,
                id.example,
                total.saturating_sub(1)
            ))
        })
    }

    /// Returns the first row that was attributed without an error; `None` if there is none so far.
    pub async fn first_attributed(&self) -> Result<Option<TableRow>, Failure> {
        let names = self.step_scores();
        self.first_good(|batch| table::decode(batch, &names)).await
    }

    async fn first_good<R>(
        &self,
        decode: impl Fn(&RecordBatch) -> Result<Vec<TableRow<R>>, ArrowError>,
    ) -> Result<Option<TableRow<R>>, Failure> {
        for slot in self.slots().await? {
            let mut rows = self.decoded(&slot, &decode).await?.rows.into_iter();
            if let Some(row) = rows.find(|row| row.result.is_ok()) {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// Returns the job's manifest; `None` if the job is not sealed.
    pub async fn manifest(&self) -> Result<Option<Manifest>, Failure> {
        get(self.store.as_ref(), &layout::sealed(&self.id)).await
    }

    fn may_hold(&self, slot: &str, example: i64) -> bool {
        let rows = layout::slot_of_key(slot).and_then(|slot| self.plan.rows(&slot));
        rows.is_some_and(|rows| u64::try_from(example).is_ok_and(|row| rows.contains(&row)))
    }
}

/// Joins the carried columns of a slot's batches; `None` if there are no batches.
fn joined(columns: &[&ArrayRef]) -> Result<Option<StructArray>, String> {
    if columns.is_empty() {
        return Ok(None);
    }
    let columns: Vec<&dyn Array> = columns.iter().map(AsRef::as_ref).collect();
    let joined = arrow::compute::concat(&columns).map_err(|error| error.to_string())?;
    Ok(joined.as_struct_opt().cloned())
}
