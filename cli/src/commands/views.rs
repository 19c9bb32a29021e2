//! `whence views`: prints the tables of `whence sql` as a script for another engine.

use whence_schemas::layout;
use whence_schemas::store::{self, SlotStore};

use crate::args::{ViewEngine, Views};
use crate::query::catalog::Catalog;
use crate::query::stored::StoredTable;
use crate::query::views::duckdb::{self, Files};
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
    let store = open_root(root).await?;
    let mut found = Vec::new();
    for table in StoredTable::ALL {
        found.push((table, table_files(store.as_ref(), table).await?));
    }
    let files_of = |table| {
        let found = found.iter().find(|(of, _)| *of == table);
        found.map_or(&[][..], |(_, files)| files)
    };
    let readable = readable_root(root)?;
    let script = match arguments.engine {
        ViewEngine::Duckdb => {
            check_duckdb_opens(&readable)?;
            let files = |table| duckdb_files(&readable, files_of(table));
            duckdb::script(files, &shape, rows)
        }
        ViewEngine::Polars => {
            let has_files = |table| !files_of(table).is_empty();
            polars::script(&readable, &shape, has_files, rows)
        }
    };
    output::line(script.trim_end())
}

/// Fails if DuckDB cannot be told of files below this root. It takes a `\` in a pattern for a separator,
/// and a name without one may have no character that patterns give a meaning.
fn check_duckdb_opens(root: &str) -> Result<(), Failure> {
    if root.contains('\\') && root.contains(['*', '?', '[']) {
        return Err(Failure::request(format!(
            "DuckDB cannot open files of `{root}`, whose name has a `\\` and one of `*?[`"
        ))
        .hint("rename the folder, or write the tables with `whence export`"));
    }
    Ok(())
}

/// Returns where DuckDB finds the table files `keys` below a root.
fn duckdb_files(root: &str, keys: &[String]) -> Files {
    if keys.is_empty() {
        Files::None
    } else if root.contains('\\') {
        Files::Listed(keys.iter().map(|key| format!("{root}/{key}")).collect())
    } else {
        Files::In {
            root: root.to_owned(),
        }
    }
}

async fn table_files(store: &dyn SlotStore, table: StoredTable) -> Result<Vec<String>, Failure> {
    let objects = store.list(table.folder()).await?;
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
