//! Reads the shapes of `goldens.json` and compares the rows with those that `datasets` reads.
//!
//! Where `datasets` refuses, so must we. Where it reads rows, we read the same ones, or the shape
//! says what our refusal must name.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its functions included"
)]

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};
use whence_datasets::resolve::{LocalSource, escape};
use whence_datasets::{Cell, Copies, DatasetReader, Split, pin};
use whence_schemas::location::{DataFile, DatasetLocation, DatasetOrigin};

#[derive(Deserialize)]
struct Goldens {
    shapes: Vec<Shape>,
    splits: Vec<SplitOf>,
}

#[derive(Deserialize)]
struct Shape {
    name: String,
    files: Map<String, Value>,
    loads: Vec<Load>,
}

#[derive(Deserialize)]
struct Load {
    asked: Asked,
    /// `None` if `datasets` refuses.
    rows: Option<Vec<Option<String>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    split: Option<String>,
    builder: Option<String>,
    config: Option<String>,
    data_files: Vec<String>,
    data_dir: Option<String>,
    arguments: Map<String, Value>,
    /// What our refusal must name, where `datasets` reads rows.
    refused: Option<String>,
}

#[derive(Deserialize)]
struct SplitOf {
    split: String,
    /// Name, start and end of each range; `None` if `datasets` refuses.
    ranges: Option<Vec<(String, u64, u64)>>,
}

fn goldens() -> Goldens {
    serde_json::from_str(include_str!("goldens.json")).unwrap()
}

fn build(files: &Map<String, Value>, folder: &Path) {
    let shapes = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shapes");
    for (name, content) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let content = content.as_str().unwrap();
        if let Some(target) = content.strip_prefix("->") {
            std::os::unix::fs::symlink(target, path).unwrap();
        } else if let Some(binary) = content.strip_prefix('@') {
            fs::copy(shapes.join(binary), path).unwrap();
        } else {
            fs::write(path, content).unwrap();
        }
    }
}

fn location(folder: &Path, asked: &Asked) -> DatasetLocation {
    let folder = folder.to_str().unwrap();
    let mut location = DatasetLocation {
        config: asked.config.clone(),
        data_files: asked.data_files.clone(),
        data_dir: asked.data_dir.clone(),
        arguments: asked.arguments.clone(),
        ..DatasetLocation::of(DatasetOrigin::Folder {
            path: folder.to_owned(),
        })
    };
    if asked.builder.is_some() {
        location.origin = DatasetOrigin::Files;
        location.builder.clone_from(&asked.builder);
        match &mut location.data_dir {
            Some(inside) => *inside = format!("{folder}/{inside}"),
            None => {
                for file in &mut location.data_files {
                    *file = format!("{}/{file}", escape(folder));
                }
            }
        }
    }
    location
}

/// Reads the `text` of every row of `split`.
fn read(
    location: &DatasetLocation,
    split: &str,
    cache: &Path,
) -> Result<Vec<Option<String>>, String> {
    let report = |error: whence_datasets::Error| whence_schemas::chain(&error);
    let pinned = pin(location, split, &LocalSource).map_err(report)?;
    let mut names: Vec<&str> = pinned
        .files
        .iter()
        .map(|file| file.split.as_str())
        .collect();
    names.dedup();
    let copies = Copies::new(cache.to_owned(), 1 << 20);
    let reader = DatasetReader::new(Box::new(LocalSource), &pinned.format, copies);
    let reader = reader.map_err(report)?;
    let split = Split::parse(split).map_err(report)?;
    let mut rows = Vec::new();
    for part in split.parts(&names).map_err(report)? {
        let mut of_split = Vec::new();
        for file in pinned.files.iter().filter(|file| file.split == part.name()) {
            of_split.extend(rows_of(&reader, file).map_err(report)?);
        }
        let range = split
            .resolve(&part, of_split.len() as u64)
            .map_err(report)?;
        rows.extend_from_slice(&of_split[range.start as usize..range.end as usize]);
    }
    Ok(rows)
}

fn rows_of(
    reader: &DatasetReader,
    file: &DataFile,
) -> Result<Vec<Option<String>>, whence_datasets::Error> {
    let mut reader = reader.rows(file, 0, &["text".parse()?])?;
    let mut rows = Vec::new();
    while let Some(row) = reader.next()? {
        rows.push(match row.map(|cells| cells.into_iter().next()) {
            Ok(Some(Cell::Text(text) | Cell::Json(text) | Cell::Other(text))) => Some(text),
            Ok(_) => None,
            Err(reason) => {
                let path = file.path.clone().into();
                return Err(whence_datasets::Error::Format { path, reason });
            }
        });
    }
    Ok(rows)
}

#[test]
fn every_shape_is_read_as_datasets_reads_it_or_refused_by_name() {
    let mut wrong = Vec::new();
    let mut num_read = 0;
    for shape in goldens().shapes {
        let temporary = tempfile::tempdir().unwrap();
        let folder: PathBuf = temporary.path().join("data");
        build(&shape.files, &folder);
        for Load { asked, rows } in &shape.loads {
            let split = asked.split.as_deref().unwrap_or("train");
            let found = read(
                &location(&folder, asked),
                split,
                &temporary.path().join("cache"),
            );
            let is_right = match (rows, &asked.refused, &found) {
                (Some(_), Some(part), Err(error)) => error.contains(part),
                (Some(rows), None, Ok(found)) => rows == found,
                (None, None, Err(_)) => true,
                _ => false,
            };
            num_read += usize::from(found.is_ok());
            if !is_right {
                wrong.push(format!(
                    "{}, {asked:?}:\n  {rows:?}\n  {found:?}",
                    shape.name
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(num_read >= 70, "only {num_read} loads gave rows");
}

/// `load_dataset` refuses blanks around the `+`, although the grammar that it documents has them.
const ALSO_READ: &[&str] = &["train + test"];

#[test]
fn every_split_selects_the_rows_that_it_selects_in_datasets() {
    let select = |text: &str| -> Result<Vec<(String, u64, u64)>, whence_datasets::Error> {
        let split = Split::parse(text)?;
        let mut ranges = Vec::new();
        for part in split.parts(&["train", "test"])? {
            let num_rows = if part.name() == "train" { 250 } else { 10 };
            let range = split.resolve(&part, num_rows)?;
            if !range.is_empty() {
                ranges.push((part.name().to_owned(), range.start, range.end));
            }
        }
        Ok(ranges)
    };
    let splits = goldens().splits;
    assert!(splits.len() >= 40);
    for SplitOf { split, ranges } in splits {
        let found = select(&split).ok();
        match ranges {
            Some(ranges) => assert_eq!(found, Some(ranges), "{split:?}"),
            None if ALSO_READ.contains(&split.as_str()) => {
                assert_eq!(found, select(&split.replace(' ', "")).ok());
            }
            // A slice without rows is refused when it is planned.
            None => assert!(found.is_none_or(|ranges| ranges.is_empty()), "{split:?}"),
        }
    }
}
