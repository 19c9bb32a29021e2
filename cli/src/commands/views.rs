//! `whence views`: prints the views of `whence sql` as a script for another engine.

use whence_schemas::store;

use crate::args::{ViewEngine, Views};
use crate::query::catalog::Catalog;
use crate::query::views::{Dialect, statements};
use crate::{Failure, output};

pub(super) async fn run(arguments: Views) -> Result<(), Failure> {
    let root = &arguments.storage.root;
    let schema = Catalog::read(root).await?.schema()?;
    let dialect = match arguments.engine {
        ViewEngine::Duckdb => Dialect::DuckDb {
            root: duckdb_root(root)?,
        },
    };
    for (_, statement) in statements(&schema, &dialect) {
        output::line(&format!("{statement};\n"))?;
    }
    Ok(())
}

/// Returns a root in the form DuckDB expects. Fails if DuckDB could not find its files.
fn duckdb_root(root: &str) -> Result<String, Failure> {
    let readable = readable_root(root);
    if readable.contains('\\') {
        return Err(Failure::request(format!(
            "DuckDB takes the `\\` in `{readable}` for a separator and would find no table; rename \
             the folder"
        )));
    }
    Ok(readable)
}

/// Returns a root in the form other engines expect: a path, or a bucket's URL without our own
/// settings after the `?`.
fn readable_root(root: &str) -> String {
    match store::local_root(root) {
        Some(path) => path.display().to_string(),
        None => root.split('?').next().unwrap_or(root).to_owned(),
    }
}
