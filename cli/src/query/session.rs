//! A storage root, opened for SQL.
//!
//! DataFusion reads the slots of all jobs as one listing table. Sorting and grouping share one memory
//! pool with a limit, and spill to files beyond it.

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

/// Rows of a batch: of the table a small piece, of its scores enough to work on at once.
const BATCH_ROWS: usize = 4096;

/// A storage root, ready for questions.
pub struct Session {
    context: SessionContext,
}

impl Session {
    /// Opens the storage root at `root`, for questions that hold at most about `memory` bytes before
    /// they spill. Fails if there is no such root.
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

    /// Plans the answer to a question. Nothing is read yet.
    ///
    /// Fails if the question is not SQL, names what does not exist, or would change something.
    pub async fn ask(&self, query: &str) -> Result<datafusion::prelude::DataFrame, Failure> {
        let only_questions = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false);
        let planned = self.context.sql_with_options(query, only_questions).await;
        Ok(planned?)
    }
}

/// Returns the table of every job's slots.
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
