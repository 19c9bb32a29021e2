//! The table `attempts` as DataFusion sees it: its records are read when a query asks for them.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{MemTable, Session, TableProvider};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::catalog::Attempts;

/// The records of a storage root.
#[derive(Debug)]
pub(super) struct AttemptsTable(pub(super) Attempts);

#[async_trait]
impl TableProvider for AttemptsTable {
    fn schema(&self) -> SchemaRef {
        Attempts::schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let records = self.0.read().await;
        let records =
            records.map_err(|failure| DataFusionError::Execution(failure.message().to_owned()))?;
        let table = MemTable::try_new(self.schema(), vec![vec![records]])?;
        table.scan(state, projection, filters, limit).await
    }
}
