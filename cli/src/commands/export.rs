//! `whence export`: writes a job's table to a file.

use std::path::Path;

use super::answering::answering;
use super::stop::unless_stopped;
use crate::Failure;
use crate::args::{Export, FileFormat, Format};
use crate::output_file::OutputFile;
use crate::query::views::named;
use crate::query::{self, Order, Session};
use crate::results::Results;

pub(super) async fn run(arguments: Export) -> Result<(), Failure> {
    let exported = answering(&arguments.storage.root, export(&arguments));
    // The state of a query is large.
    Box::pin(unless_stopped(exported, "the table was not written")).await
}

async fn export(arguments: &Export) -> Result<(), Failure> {
    let format = match arguments.format {
        Some(format) => of_file(format),
        None => of_extension(&arguments.output)?,
    };
    let view = named(&arguments.view)?;
    let root = &arguments.storage.root;
    let results = Results::open(root, &arguments.job).await?;
    results.check_attributions()?;
    let out = OutputFile::create("--output", &arguments.output)?;
    let session = Session::open(root, arguments.memory, Order::Stored).await?;
    // A job's id has only letters and digits.
    let rows = format!("SELECT * FROM {} WHERE job = '{}'", view.name, results.id());
    let answer = session.ask(&rows).await?;
    query::write(answer, out, format, usize::MAX).await
}

fn of_file(format: FileFormat) -> Format {
    match format {
        FileFormat::Parquet => Format::Parquet,
        FileFormat::Csv => Format::Csv,
        FileFormat::Json => Format::Json,
        FileFormat::Jsonl => Format::Jsonl,
        FileFormat::Arrow => Format::Arrow,
    }
}

fn of_extension(path: &Path) -> Result<Format, Failure> {
    let extension = path.extension().and_then(|extension| extension.to_str());
    match extension.map(str::to_ascii_lowercase).as_deref() {
        Some("parquet") => Ok(Format::Parquet),
        Some("csv") => Ok(Format::Csv),
        Some("json") => Ok(Format::Json),
        Some("jsonl" | "ndjson") => Ok(Format::Jsonl),
        Some("arrow" | "feather" | "ipc") => Ok(Format::Arrow),
        _ => Err(Failure::request(format!(
            "the extension of `{}` does not say in which format to write",
            path.display()
        ))
        .hint("name the format: --format parquet")),
    }
}
