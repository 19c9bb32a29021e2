//! A long table as DataFusion sees it: turns a query's columns and filters into a scan of the slots.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::listing::{
    ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl,
};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use whence_schemas::output;

use super::columns::{narrowed, schema};
use super::contexts::{self, Context};
use super::exec::UnnestSlots;
use super::filters::{is_about_slots, largest_rank, required_text};
use super::needs::needs;
use super::token_sums;
use super::unnest::What;
use crate::query::order::Order;
use crate::query::shape::Shape;
use crate::query::views::STRONGEST;
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
            schema: Arc::new(match kind {
                LongTableKind::TokenStats => token_sums::schema(),
                _ => schema(kind, shape),
            }),
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

    /// Returns the largest rank of rows that can satisfy the filters; none if all can.
    fn most(&self, filters: &[Expr]) -> Option<u32> {
        let of_table = (self.kind == LongTableKind::Alignments).then_some(STRONGEST);
        let asked = filters.iter().filter_map(largest_rank);
        asked.chain(of_table).min()
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
            most: self.most(filters),
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
            let prunes = is_about_slots(filter)
                || required_text(filter, self.part_column()).is_some()
                || largest_rank(filter).is_some();
            if prunes {
                TableProviderFilterPushDown::Inexact
            } else {
                TableProviderFilterPushDown::Unsupported
            }
        };
        Ok(filters.iter().map(support).collect())
    }
}
