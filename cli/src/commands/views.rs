//! `whence views`: the views of `whence sql`, as a script for another engine.

use crate::args::{ViewEngine, Views};
use crate::query::catalog::Catalog;
use crate::query::views::{Dialect, statements};
use crate::{Failure, output};

pub(super) async fn run(arguments: Views) -> Result<(), Failure> {
    let root = &arguments.storage.root;
    let schema = Catalog::read(root).await?.schema()?;
    let dialect = match arguments.engine {
        ViewEngine::Duckdb => Dialect::DuckDb {
            root: root.strip_prefix("file://").unwrap_or(root).to_owned(),
        },
    };
    for (_, statement) in statements(&schema, &dialect) {
        output::line(&format!("{statement};\n"))?;
    }
    Ok(())
}
