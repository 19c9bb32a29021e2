//! What `whence doctor --dataset` says of a dataset: its files, splits, columns and first row.

use std::path::Path;

use whence_datasets::{
    Cell, Copies, DatasetReader, Error, FieldPath, Resolved, Split, open, resolve,
};
use whence_schemas::dataset::FormatName;
use whence_schemas::location::{DataFile, DatasetLocation, DatasetOrigin};

use super::inspection::Inspection;
use crate::args::{DatasetPlace, ProgressMode};
use crate::output::{self, counted, grouped};
use crate::progress::DataArrivals;
use crate::{Failure, job};

/// Files of a split that are named; the rest is counted.
const NAMED_FILES: usize = 3;
/// Largest local file whose rows are counted by reading all of them, which takes about a second.
const MAX_COUNTED_BYTES: u64 = 256 << 20;
/// Characters of the first row that are shown.
const SHOWN_CHARACTERS: usize = 500;

/// Resolves a dataset, and reads the first row of the split that is asked for.
pub(super) fn inspect(place: &DatasetPlace) -> Result<Inspection, Failure> {
    let _arrivals = DataArrivals::show(ProgressMode::Auto);
    let location = job::location(place)?;
    let source = open(&location)?;
    let resolved = resolve(&location, source.as_ref())?;
    for notice in &resolved.notices {
        output::warn(notice);
    }
    let mut details: Vec<_> = resolved.splits.iter().map(files_of_split).collect();
    let copies = Copies::from_env(|name| std::env::var(name).ok());
    let reader = DatasetReader::new(source, &resolved.format, copies)?;
    details.extend(rows(place, &resolved, &reader)?);
    Ok(Inspection {
        summary: summary(&location, &resolved),
        details,
    })
}

fn summary(location: &DatasetLocation, resolved: &Resolved) -> String {
    let format = resolved.format.name.as_str();
    let splits = counted(resolved.splits.len() as u64, "split");
    match &location.origin {
        DatasetOrigin::Hub { commit, .. } => format!("{format}, {splits}, at commit {commit}"),
        DatasetOrigin::Files | DatasetOrigin::Folder { .. } | DatasetOrigin::Rows { .. } => {
            format!("{format}, {splits}")
        }
    }
}

fn files_of_split((split, files): &(String, Vec<String>)) -> (&'static str, String) {
    let named = files.iter().take(NAMED_FILES).cloned().collect::<Vec<_>>();
    let more = if files.len() > NAMED_FILES {
        ", …"
    } else {
        ""
    };
    let count = counted(files.len() as u64, "file");
    (
        "split",
        format!("{split}: {count}: {}{more}", named.join(", ")),
    )
}

/// Describes the rows of the split that is asked for.
fn rows(
    place: &DatasetPlace,
    resolved: &Resolved,
    reader: &DatasetReader,
) -> Result<Vec<(&'static str, String)>, Failure> {
    let known: Vec<&str> = resolved
        .splits
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    let parts = Split::parse(&place.dataset_split)?.parts(&known)?;
    let Some(part) = parts.first() else {
        return Ok(Vec::new());
    };
    let of_split = resolved.splits.iter().find(|(name, _)| name == part.name());
    let paths = of_split.map_or(&[][..], |(_, paths)| paths);
    let mut details = Vec::new();
    let Some(first) = paths.first() else {
        return Ok(details);
    };
    let first = first_file(reader, first, part.name())?;
    if paths.len() == 1 && first.member.is_none() && is_soon_counted(resolved, &first) {
        let count = grouped(reader.count(&first)?);
        details.push(("rows", format!("{}: {count}", part.name())));
    }
    let columns = columns(reader, &first)?;
    details.push(("columns", columns.join(", ")));
    details.push(("first row", first_row(reader, &first, &columns)?));
    Ok(details)
}

/// Returns whether the rows of a file are counted soon: because the format says how many there are,
/// or because the whole file can be read quickly.
fn is_soon_counted(resolved: &Resolved, file: &DataFile) -> bool {
    let says_its_count = matches!(
        resolved.format.name,
        FormatName::Parquet | FormatName::Arrow
    );
    says_its_count || (file.bytes <= MAX_COUNTED_BYTES && Path::new(&file.path).is_file())
}

/// Returns a file, or the first of its members if it is an archive.
fn first_file(reader: &DatasetReader, path: &str, split: &str) -> Result<DataFile, Error> {
    let file = reader.source().describe(path, split)?;
    let files = whence_datasets::members_of(file, reader.source())?;
    files.into_iter().next().ok_or_else(|| Error::Empty {
        reason: format!("the archive `{path}` is empty"),
    })
}

fn columns(reader: &DatasetReader, file: &DataFile) -> Result<Vec<String>, Error> {
    let mut rows = reader.rows(file, 0, &[])?;
    // Some formats know the columns of the rows that they have read.
    rows.next()?;
    Ok(rows.columns())
}

fn first_row(reader: &DatasetReader, file: &DataFile, columns: &[String]) -> Result<String, Error> {
    let fields: Vec<(&String, FieldPath)> = columns
        .iter()
        .filter_map(|column| Some((column, column.parse().ok()?)))
        .collect();
    let paths: Vec<FieldPath> = fields.iter().map(|(_, path)| path.clone()).collect();
    let Some(row) = reader.rows(file, 0, &paths)?.next()? else {
        return Ok("none".to_owned());
    };
    let cells = match row {
        Ok(cells) => cells,
        Err(reason) => return Ok(format!("cannot be read: {reason}")),
    };
    let shown = fields.iter().zip(&cells).filter_map(|((column, _), cell)| {
        let value = match cell {
            Cell::Text(text) => serde_json::Value::from(text.as_str()).to_string(),
            Cell::Json(value) | Cell::Other(value) => value.clone(),
            Cell::Null => "null".to_owned(),
            Cell::Absent => return None,
        };
        Some(format!(
            "{}: {value}",
            serde_json::Value::from(column.as_str())
        ))
    });
    let text = format!("{{{}}}", shown.collect::<Vec<_>>().join(", "));
    let cut: String = text.chars().take(SHOWN_CHARACTERS).collect();
    Ok(if cut.len() < text.len() {
        format!("{cut}…")
    } else {
        cut
    })
}
