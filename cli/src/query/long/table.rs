//! A long table as DataFusion sees it: turns a query's columns and filters into a scan of the slots.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Column, ScalarValue};
use datafusion::datasource::listing::{
    ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl,
};
use datafusion::error::Result;
use datafusion::logical_expr::{
    BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType,
};
use datafusion::physical_plan::ExecutionPlan;
use whence_schemas::output;

use super::columns::{narrowed, schema};
use super::contexts::{self, Context};
use super::exec::{UnnestSlots, What};
use super::needs::needs;
use crate::query::order::Order;
use crate::query::shape::Shape;
use crate::query::views::keys::KEYS;
use crate::query::views::view::LongTableKind;

/// Where the slots are and how they are listed.
#[derive(Debug, Clone)]
pub(crate) struct SlotFiles {
    /// Folders or files.
    pub(crate) places: Vec<ListingTableUrl>,
    /// How they are read, and which partition columns their paths have.
    pub(crate) options: ListingOptions,
    /// In which order their rows are wanted.
    pub(crate) order: Order,
}

impl SlotFiles {
    /// Returns the table of the columns `schema` of all slots.
    pub(crate) fn table(&self, schema: Schema) -> Result<ListingTable> {
        let config = ListingTableConfig::new_with_multi_paths(self.places.clone())
            .with_listing_options(self.options.clone())
            .with_schema(Arc::new(schema));
        ListingTable::try_new(config)
    }
}

/// A table with one row per token, step, score or word.
#[derive(Debug)]
pub(crate) struct LongTable {
    kind: LongTableKind,
    slots: SlotFiles,
    /// Columns of the slots.
    full: Schema,
    /// Sides, step scores or contexts; each has rows of its own.
    parts: Vec<String>,
    schema: SchemaRef,
}

impl LongTable {
    /// Describes the table of `kind` of the slots in `slots`, which have this shape.
    pub(crate) fn new(kind: LongTableKind, slots: SlotFiles, shape: &Shape) -> Self {
        let parts = match kind {
            LongTableKind::Steps
            | LongTableKind::SequenceScores
            | LongTableKind::ContextSensitiveTokens => vec![String::new()],
            LongTableKind::ContextAttributions => Context::ALL.map(Context::name).to_vec(),
            LongTableKind::StepScores => {
                shape.step_scores().into_iter().map(str::to_owned).collect()
            }
            _ => vec![
                output::SIDE_SOURCE.to_owned(),
                output::SIDE_TARGET.to_owned(),
            ],
        };
        Self {
            kind,
            slots,
            parts,
            schema: Arc::new(schema(kind, shape)),
            full: shape.columns_of(kind.stored()).clone(),
        }
    }

    /// Returns the column whose value is the same in all rows of a part.
    fn part_column(&self) -> &'static str {
        match self.kind {
            LongTableKind::StepScores => output::NAME,
            LongTableKind::ContextAttributions => contexts::CONTEXT,
            _ => output::SIDE,
        }
    }

    /// Returns the parts whose rows can satisfy the filters.
    fn parts(&self, filters: &[Expr]) -> Vec<String> {
        let column = self.part_column();
        let mut parts = self.parts.clone();
        for filter in filters {
            if let Some(value) = required_text(filter, column) {
                parts.retain(|part| part.is_empty() || *part == value);
            }
        }
        parts
    }
}

#[async_trait]
impl TableProvider for LongTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => Arc::clone(&self.schema),
        };
        let wanted: BTreeSet<&str> = schema
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .collect();
        let (of_slots, _): (Vec<_>, Vec<_>) = filters.iter().cloned().partition(is_about_slots);
        let parts = self.parts(filters);
        let names: Vec<&str> = parts.iter().map(String::as_str).collect();
        let mut needed = needs(self.kind, &wanted, &names);
        for column in of_slots.iter().flat_map(Expr::column_refs) {
            needed.insert(column.name.clone());
        }
        let slots = self.slots.table(narrowed(&self.full, &needed))?;
        let input = slots.scan(state, None, &of_slots, None).await?;
        let what = What {
            kind: self.kind,
            parts,
            schema,
            order: self.slots.order,
        };
        Ok(Arc::new(UnnestSlots::new(input, what)))
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        // The slots are pruned by them, which need not leave out every row.
        let support = |filter: &&Expr| {
            if is_about_slots(filter) || required_text(filter, self.part_column()).is_some() {
                TableProviderFilterPushDown::Inexact
            } else {
                TableProviderFilterPushDown::Unsupported
            }
        };
        Ok(filters.iter().map(support).collect())
    }
}

/// Returns whether a filter reads only columns that a slot's rows have too.
fn is_about_slots(filter: &Expr) -> bool {
    let columns = filter.column_refs();
    !columns.is_empty()
        && columns
            .iter()
            .all(|column| KEYS.contains(&column.name.as_str()))
}

/// Returns the text that `column` must be equal to for the filter to hold.
fn required_text(filter: &Expr, column: &str) -> Option<String> {
    let Expr::BinaryExpr(BinaryExpr {
        left,
        op: Operator::Eq,
        right,
    }) = filter
    else {
        return None;
    };
    match (&**left, &**right) {
        (Expr::Column(Column { name, .. }), Expr::Literal(value, _))
        | (Expr::Literal(value, _), Expr::Column(Column { name, .. }))
            if name == column =>
        {
            ScalarValue::try_as_str(value).flatten().map(str::to_owned)
        }
        _ => None,
    }
}
