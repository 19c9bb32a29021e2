//! `whence sql`: a question, answered by DataFusion over the storage root's tables.

use crate::Failure;
use crate::args::Sql;
use crate::query::{self, Session};

pub(super) async fn run(arguments: Sql) -> Result<(), Failure> {
    let session = Session::open(&arguments.storage.root, arguments.memory).await?;
    let answer = session.ask(&arguments.query).await?;
    query::write(answer, &arguments.output).await?;
    Ok(())
}
