//! `whence views`: prints the tables of `whence sql` as a script for another engine.

use whence_schemas::layout;
use whence_schemas::store::{self, SlotStore};

use crate::args::{ViewEngine, Views};
use crate::query::catalog::Catalog;
use crate::query::views::duckdb::{self, Place};
use crate::query::views::polars;
use crate::query::views::view::CatalogTable;
use crate::results::open_root;
use crate::{Failure, output};

pub(super) async fn run(arguments: Views) -> Result<(), Failure> {
    let root = &arguments.storage.root;
    let catalog = Catalog::read(root).await?;
    let shape = catalog.shape()?;
    let (jobs, runs) = (catalog.jobs()?, catalog.runs()?);
    let attempts = catalog.attempts().read().await?;
    let rows = |table| match table {
        CatalogTable::Jobs => jobs.clone(),
        CatalogTable::Runs => runs.clone(),
        CatalogTable::Attempts => attempts.clone(),
    };
    let script = match arguments.engine {
        ViewEngine::Duckdb => duckdb::script(&duckdb_place(root).await?, &shape, rows),
        ViewEngine::Polars => polars::script(&readable_root(root)?, &shape, rows),
    };
    output::line(script.trim_end())
}

/// Returns where DuckDB finds the table files of a root.
///
/// DuckDB takes a `\` in a pattern for a separator. It opens a file of such a name if the file is
/// named without a pattern.
async fn duckdb_place(root: &str) -> Result<Place, Failure> {
    let readable = readable_root(root)?;
    if !readable.contains('\\') {
        return Ok(Place::Root(readable));
    }
    if readable.contains(['*', '?', '[']) {
        return Err(Failure::request(format!(
            "DuckDB cannot open files of `{readable}`, whose name has a `\\` and one of `*?[`"
        ))
        .hint("rename the folder, or write the tables with `whence export`"));
    }
    let store = open_root(root).await?;
    let files = table_files(store.as_ref()).await?;
    let files = files.into_iter().map(|key| format!("{readable}/{key}"));
    Ok(Place::Files(files.collect()))
}

async fn table_files(store: &dyn SlotStore) -> Result<Vec<String>, Failure> {
    let objects = store.list(layout::ATTRIBUTIONS).await?;
    let keys = objects.into_iter().map(|object| object.key);
    Ok(keys
        .filter(|key| layout::slot_of_key(key).is_some())
        .collect())
}

/// Returns a root in the form other engines expect: a path, or a bucket's URL without our own
/// settings after the `?`.
fn readable_root(root: &str) -> Result<String, Failure> {
    let Some(path) = store::local_root(root) else {
        return Ok(root.split('?').next().unwrap_or(root).to_owned());
    };
    // Other engines replace a `~` at the beginning by the home folder, also after `./`.
    let path = if path.to_string_lossy().contains('~') {
        std::path::absolute(&path)?
    } else {
        path
    };
    Ok(path.display().to_string())
}
