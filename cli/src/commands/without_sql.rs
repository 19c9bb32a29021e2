//! `whence sql` and `whence export` in a program built without DataFusion, for example for a small
//! worker image. They only say where to get SQL.

use crate::Failure;

#[expect(
    clippy::unused_async,
    reason = "it stands in for the commands that read a store"
)]
pub(super) async fn run<Arguments>(_: Arguments) -> Result<(), Failure> {
    let failure = Failure::request("this whence was built without SQL");
    Err(failure.hint(
        "install one with the feature `sql`, or query the tables with DuckDB: whence views duckdb",
    ))
}
