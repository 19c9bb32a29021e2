//! A storage root opened for SQL queries.
//!
//! DataFusion reads the slots of all jobs as one listing table. Sorting and grouping share a
//! limited memory pool; what does not fit into it spills to files.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{
    ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl,
};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use whence_schemas::layout;
use whence_schemas::store;

use super::catalog::Catalog;
use super::views::{self, Dialect, PARTITIONS, SLOTS};
use crate::Failure;

/// Rows per batch. Unnesting multiplies rows, so a larger batch would take a lot of memory; a much
/// smaller one would make the work on single scores inefficient.
const BATCH_ROWS: usize = 4096;

/// A storage root that is ready for queries.
pub struct Session {
    context: SessionContext,
}

impl Session {
    /// Opens the storage root at `root`. Queries hold at most about `memory` bytes before they
    /// spill to disk. Fails if it is not a storage root.
    pub async fn open(root: &str, memory: u64) -> Result<Self, Failure> {
        let catalog = Catalog::read(root).await?;
        let memory = usize::try_from(memory).unwrap_or(usize::MAX);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(memory)))
            .build_arc()?;
        let config = SessionConfig::new()
            .with_batch_size(BATCH_ROWS)
            .with_information_schema(true)
            .with_collect_statistics(false);
        let context = SessionContext::new_with_config_rt(config, runtime);
        context.register_table(SLOTS, slots(&context, root, &catalog)?)?;
        context.register_batch("jobs", catalog.jobs()?)?;
        for (_, statement) in views::statements(&catalog.schema()?, &Dialect::DataFusion) {
            context.sql(&statement).await?;
        }
        Ok(Self { context })
    }

    /// Plans a query without running it.
    ///
    /// Fails if it is not valid SQL, names a table or column that does not exist, or would modify
    /// anything: only reading statements are allowed.
    pub async fn ask(&self, query: &str) -> Result<datafusion::prelude::DataFrame, Failure> {
        let only_questions = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false);
        let planned = self.context.sql_with_options(query, only_questions).await;
        Ok(planned?)
    }
}

/// Returns the table of the slots of all jobs.
fn slots(
    context: &SessionContext,
    root: &str,
    catalog: &Catalog,
) -> Result<Arc<ListingTable>, Failure> {
    let objects = store::objects(root)?;
    let folder = objects.url_of(layout::ATTRIBUTIONS);
    let folder = ListingTableUrl::parse(&folder)?;
    context.register_object_store(folder.object_store().as_ref(), objects.store);
    let partition = |name: &str| {
        // A dictionary, because each value repeats for every row of a file.
        let of_text = DataType::Dictionary(Box::new(DataType::UInt16), Box::new(DataType::Utf8));
        (name.to_owned(), of_text)
    };
    let options = ListingOptions::new(Arc::new(ParquetFormat::default()))
        .with_file_extension(".parquet")
        .with_table_partition_cols(PARTITIONS.map(partition).to_vec());
    let schema: Arc<Schema> = Arc::new(catalog.schema()?);
    let config = ListingTableConfig::new(folder)
        .with_listing_options(options)
        .with_schema(schema);
    Ok(Arc::new(ListingTable::try_new(config)?))
}
