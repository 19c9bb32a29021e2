//! A storage root opened for SQL queries.
//!
//! DataFusion reads the slots of all jobs as one listing table. Sorting and grouping share a
//! limited memory pool; what does not fit into it spills to files.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTableUrl};
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{DataFrame, SQLOptions, SessionConfig, SessionContext};
use whence_schemas::store;

use super::attempts_table::AttemptsTable;
use super::catalog::Catalog;
use super::documentation;
use super::explain;
use super::json_lines::{self, JsonLines};
use super::long::{self, LongTable, SlotFiles, partition_type};
use super::order::Order;
use super::shape::Shape;
use super::stored::StoredTable;
use super::views::keys::PARTITIONS;
use super::views::view::{CatalogTable, LongTableKind, Rows, View};
use super::views::{self, VIEWS};
use crate::Failure;

/// Rows per batch, of slots when they are read and of everything else later. A larger batch of slots
/// would take a lot of memory.
const BATCH_ROWS: usize = 4096;

/// A storage root that is ready for queries.
pub struct Session {
    context: SessionContext,
    /// Why there is no storage root, if only files can be queried.
    missing_root: Option<Failure>,
}

impl Session {
    /// Opens the storage root at `root`. Queries hold at most about `memory` bytes before they
    /// spill to disk. Fails if it is not a storage root.
    pub async fn open(root: &str, memory: u64, order: Order) -> Result<Self, Failure> {
        let catalog = Catalog::read(root).await?;
        let context = context(memory, order)?;
        let shape = catalog.shape()?;
        let slots = |stored: StoredTable| slot_files(&context, root, stored, order);
        for view in views::by_dependency() {
            match table(&context, view, (&catalog, &shape), slots)? {
                Definition::Table(table) => {
                    context.register_table(view.name, table)?;
                }
                Definition::Query(query) => {
                    let statement = format!("CREATE VIEW {} AS {query}", view.name);
                    context.sql(&statement).await?;
                }
            }
        }
        let session = Self {
            context,
            missing_root: None,
        };
        session.document().await?;
        Ok(session)
    }

    /// Returns a session that has no tables, in which queries can name files. A query that names a table
    /// fails with `missing_root`.
    pub(crate) fn without_root(memory: u64, missing_root: Failure) -> Result<Self, Failure> {
        Ok(Self {
            context: context(memory, Order::Any)?,
            missing_root: Some(missing_root),
        })
    }

    /// Registers the tables that explain the others.
    async fn document(&self) -> Result<(), Failure> {
        let mut schemas = HashMap::new();
        for view in VIEWS {
            let table = self.context.table_provider(view.name).await?;
            schemas.insert(view.name, table.schema());
        }
        let columns = documentation::columns(|name| schemas.get(name).cloned());
        let columns = columns.map_err(DataFusionError::from)?;
        let tables = documentation::tables().map_err(DataFusionError::from)?;
        self.context
            .register_batch(documentation::COLUMNS, columns)?;
        self.context.register_batch(documentation::TABLES, tables)?;
        Ok(())
    }

    /// Returns the names that a query may have in it: of tables, columns and functions.
    pub(crate) fn words(&self) -> Vec<String> {
        let mut words: BTreeSet<String> = BTreeSet::new();
        for view in VIEWS {
            words.insert(view.name.to_owned());
            words.extend(view.columns.iter().map(|column| column.name.to_owned()));
        }
        let state = self.context.state();
        words.extend(state.scalar_functions().keys().cloned());
        words.extend(state.aggregate_functions().keys().cloned());
        words.extend(state.window_functions().keys().cloned());
        words.into_iter().collect()
    }

    /// Plans a query without running it.
    ///
    /// Fails if it is not valid SQL, names a table or column that does not exist, or would modify
    /// anything: only reading statements are allowed.
    pub async fn ask(&self, query: &str) -> Result<DataFrame, Failure> {
        let only_questions = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false);
        let planned = self.context.sql_with_options(query, only_questions).await;
        match (&self.missing_root, planned) {
            (Some(missing), Err(error)) if explain::is_missing_table(&error) => {
                Err(missing.clone())
            }
            (_, planned) => Ok(planned?),
        }
    }
}

/// Returns a context without tables, in which files are tables by their quoted paths.
fn context(memory: u64, order: Order) -> Result<SessionContext, Failure> {
    let memory = usize::try_from(memory).unwrap_or(usize::MAX);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(memory)))
        .build_arc()?;
    let config = SessionConfig::new()
        .with_batch_size(BATCH_ROWS)
        .with_information_schema(true)
        .with_collect_statistics(false);
    let config = match order {
        Order::Any => config,
        Order::Stored => config.with_target_partitions(1),
    };
    let context = SessionContext::new_with_config_rt(config, runtime).enable_url_table();
    for extension in json_lines::EXTENSIONS {
        let format = Arc::new(JsonLines::of(extension));
        context
            .state_ref()
            .write()
            .register_file_format(format, false)?;
    }
    Ok(context)
}

/// How DataFusion gets a view.
enum Definition {
    Table(Arc<dyn TableProvider>),
    Query(String),
}

fn table(
    context: &SessionContext,
    view: &View,
    (catalog, shape): (&Catalog, &Shape),
    slots: impl Fn(StoredTable) -> Result<SlotFiles, Failure>,
) -> Result<Definition, Failure> {
    let in_memory = |batch: arrow::array::RecordBatch| -> Result<Arc<dyn TableProvider>, Failure> {
        Ok(Arc::new(MemTable::try_new(
            batch.schema(),
            vec![vec![batch]],
        )?))
    };
    let table: Arc<dyn TableProvider> = match view.rows {
        Rows::Query(query) => return Ok(Definition::Query(query(shape))),
        Rows::Stored(stored) => Arc::new(slots(stored)?.table(shape.columns_of(stored).clone())?),
        Rows::Unnested(unnested) => {
            let slots = slots(unnested.kind.stored())?;
            let rows = Arc::new(LongTable::new(unnested.kind, slots, shape));
            match unnested.kind {
                LongTableKind::TokenStats => long::statistics(context, rows)?,
                _ => rows,
            }
        }
        Rows::Catalog(CatalogTable::Jobs) => in_memory(catalog.jobs()?)?,
        Rows::Catalog(CatalogTable::Runs) => in_memory(catalog.runs()?)?,
        Rows::Catalog(CatalogTable::Attempts) => Arc::new(AttemptsTable(catalog.attempts())),
    };
    Ok(Definition::Table(table))
}

/// Returns where the slots of all jobs that fill `table` are.
fn slot_files(
    context: &SessionContext,
    root: &str,
    table: StoredTable,
    order: Order,
) -> Result<SlotFiles, Failure> {
    let objects = store::objects(root)?;
    let folder = objects.url_of(table.folder());
    let folder = ListingTableUrl::parse(&folder)?;
    context.register_object_store(folder.object_store().as_ref(), objects.store);
    let partition = |name: &str| (name.to_owned(), partition_type());
    let options = ListingOptions::new(Arc::new(ParquetFormat::default()))
        .with_file_extension(".parquet")
        .with_table_partition_cols(PARTITIONS.map(partition).to_vec());
    Ok(SlotFiles {
        places: vec![folder],
        options,
        order,
    })
}
