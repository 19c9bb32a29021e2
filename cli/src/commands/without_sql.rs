//! `whence sql` in a program built without DataFusion, for example for a small worker image. It
//! only says where to get SQL.

use crate::Failure;
use crate::args::Sql;

#[expect(
    clippy::unused_async,
    reason = "it stands in for the command that reads a store"
)]
pub(super) async fn run(_: Sql) -> Result<(), Failure> {
    let failure = Failure::request("this whence was built without SQL");
    Err(failure.hint(
        "install one with the feature `sql`, or query the tables with DuckDB: whence views duckdb",
    ))
}
