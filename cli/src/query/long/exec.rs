//! Runs a scan of a long table: reads batches of slots and unnests them.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    Boundedness, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
};
use futures::{StreamExt, TryStreamExt, stream};

use super::columns::view;
use super::unnest::{What, pieces, unnest};

/// Unnests the batches of its input.
#[derive(Debug)]
pub(super) struct UnnestSlots {
    input: Arc<dyn ExecutionPlan>,
    what: What,
    properties: Arc<PlanProperties>,
}

impl UnnestSlots {
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, what: What) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&what.schema)),
            Partitioning::UnknownPartitioning(input.properties().partitioning.partition_count()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self {
            input,
            what,
            properties: Arc::new(properties),
        }
    }
}

impl DisplayAs for UnnestSlots {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let table = view(self.what.kind).name;
        write!(f, "UnnestSlots: table={table}, parts={:?}", self.what.parts)
    }
}

impl ExecutionPlan for UnnestSlots {
    fn name(&self) -> &'static str {
        "UnnestSlots"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let [input] = <[_; 1]>::try_from(children).map_err(|children| {
            DataFusionError::Internal(format!("{} inputs to unnest", children.len()))
        })?;
        Ok(Arc::new(Self::new(input, self.what.clone())))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        self.replace_children(children, options)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let slots = self.input.execute(partition, context)?;
        let what = self.what.clone();
        let unnested = slots.map_ok(move |slots| {
            let pending = Pending::new(slots, what.clone());
            stream::iter(pending)
        });
        let stream = unnested.try_flatten();
        let schema = Arc::clone(&self.what.schema);
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            schema,
            stream.boxed(),
        )))
    }
}

/// A batch of slots that is unnested piece by piece, so that only one piece is in memory.
struct Pending {
    slots: RecordBatch,
    what: What,
    /// Ranges of examples, and the part of the table that is due.
    due: VecDeque<(Range<usize>, usize)>,
}

impl Pending {
    fn new(slots: RecordBatch, what: What) -> Self {
        let pieces = pieces(&slots, &what);
        let due = pieces
            .into_iter()
            .flat_map(|piece| (0..what.parts.len()).map(move |part| (piece.clone(), part)));
        Self {
            due: due.collect(),
            slots,
            what,
        }
    }
}

impl Iterator for Pending {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let (rows, part) = self.due.pop_front()?;
        let piece = self.slots.slice(rows.start, rows.len());
        let unnested = unnest(&self.what, part, &piece);
        Some(unnested.map_err(DataFusionError::from))
    }
}
