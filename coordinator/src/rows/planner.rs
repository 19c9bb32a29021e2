//! Cuts the selected rows of a dataset into shards of similar work.

use std::ops::Range;

use whence_datasets::{Cell, DatasetReader, FieldPath, Row, Split, nearest_name};
use whence_schemas::job::DatasetSource;
use whence_schemas::location::DataFile;
use whence_schemas::plan::{Cursor, Plan, PlannedShard};

use super::digest::RowsDigest;
use super::fields::RowFields;
use super::files;
use crate::Error;

/// Most rows in a shard, so that a dataset of one-word rows does not become a single shard.
const MAX_SHARD_ROWS: u64 = 8192;
/// Bytes of text that are estimated to make one token. Languages differ, but four is close enough
/// to cut shards of similar work.
const BYTES_PER_TOKEN: u64 = 4;

/// How much is generated for each row, which adds to the work of the row's own texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generated {
    /// Tokens generated for each sequence.
    pub tokens: u64,
    /// Sequences per row. Each is attributed separately, so the work of a row is multiplied by it.
    pub sequences: u64,
}

impl Generated {
    /// Nothing is generated: the dataset gives one target per row.
    pub const NOTHING: Self = Self {
        tokens: 0,
        sequences: 1,
    };

    /// Estimates the work of a row whose texts have `text_bytes` bytes, in tokens. Every row costs
    /// something, even if it is empty.
    pub fn estimated_tokens(&self, text_bytes: u64) -> u64 {
        let of_sequence = text_bytes / BYTES_PER_TOKEN + self.tokens;
        1 + of_sequence.saturating_mul(self.sequences)
    }
}

/// Cuts the rows that `dataset` selects into shards of about `shard_tokens` estimated tokens.
///
/// Fails if a file has changed or cannot be read, if a requested field exists in no row, or if no
/// row is selected.
pub fn plan(
    dataset: &DatasetSource,
    shard_tokens: u64,
    generated: Generated,
) -> Result<Plan, Error> {
    let split = Split::parse(&dataset.split)?;
    let fields = RowFields::new(dataset)?;
    let reader = files::reader(dataset)?;
    let files = Files {
        list: files::find(dataset, &reader)?,
        reader,
    };
    let mut splits: Vec<&str> = files.list.iter().map(|file| file.split.as_str()).collect();
    splits.dedup();
    let mut planner = Planner {
        shard_tokens,
        generated,
        num_texts: fields.num_of_texts(),
        shards: Vec::new(),
        open: None,
        next_row: 0,
        found: vec![false; fields.paths().len()],
        columns: Vec::new(),
        has_readable_row: false,
    };
    let mut num_rows_there_are = 0;
    for part in split.parts(&splits)? {
        let is_chosen = |&file: &usize| files.list[file].split == part.name();
        let chosen: Vec<usize> = (0..files.list.len()).filter(is_chosen).collect();
        // Counting may read whole files, so it is done only for slices that depend on the count.
        let num_rows = if part.needs_count() {
            let counts = chosen
                .iter()
                .map(|&file| files.reader.count(&files.list[file]));
            counts.sum::<Result<u64, whence_datasets::Error>>()?
        } else {
            u64::MAX
        };
        let rows = split.resolve(&part, num_rows)?;
        num_rows_there_are += planner.add_part(&files, &chosen, &rows, fields.paths())?;
    }
    planner.finish(dataset, files.list, fields.paths(), num_rows_there_are)
}

/// The files of a dataset, and what opens them.
struct Files {
    list: Vec<DataFile>,
    reader: DatasetReader,
}

/// A shard that rows are still being added to.
struct OpenShard {
    rows: Range<u64>,
    cursor: Cursor,
    estimated_tokens: u64,
    digest: RowsDigest,
}

impl OpenShard {
    fn finish(self) -> PlannedShard {
        PlannedShard {
            rows: self.rows,
            cursor: self.cursor,
            estimated_tokens: self.estimated_tokens,
            digest: self.digest.finish(),
        }
    }
}

struct Planner {
    shard_tokens: u64,
    generated: Generated,
    num_texts: usize,
    shards: Vec<PlannedShard>,
    /// The shard that rows are being added to.
    open: Option<OpenShard>,
    next_row: u64,
    /// Whether each requested field exists in some row so far.
    found: Vec<bool>,
    /// Field names seen so far, for error messages.
    columns: Vec<String>,
    has_readable_row: bool,
}

impl Planner {
    /// Adds the rows `rows` of the files `chosen`, numbered across these files. Returns how many
    /// rows it read or skipped.
    fn add_part(
        &mut self,
        files: &Files,
        chosen: &[usize],
        rows: &Range<u64>,
        fields: &[FieldPath],
    ) -> Result<u64, Error> {
        // A shard is read straight on from its start, so its rows must be consecutive in the file,
        // and may continue only in the next file of the dataset.
        self.cut();
        let mut previous = None;
        let mut row = 0;
        for &file in chosen {
            if row >= rows.end || rows.is_empty() {
                break;
            }
            if previous.is_some_and(|previous| previous + 1 != file) {
                self.cut();
            }
            previous = Some(file);
            let mut reader = files.reader.rows(&files.list[file], 0, fields)?;
            while row < rows.start && reader.skip()? {
                row += 1;
            }
            while row >= rows.start && row < rows.end {
                let offset = reader.offset();
                let Some(cells) = reader.next()? else {
                    break;
                };
                row += 1;
                self.add_row(Cursor { file, offset }, &cells);
            }
            self.columns.extend(reader.columns());
        }
        Ok(row)
    }

    fn add_row(&mut self, cursor: Cursor, row: &Row) {
        // A row that cannot be read costs something too.
        let mut tokens = 1;
        if let Ok(cells) = row {
            self.has_readable_row = true;
            for (found, cell) in self.found.iter_mut().zip(cells) {
                *found |= *cell != Cell::Absent;
            }
            let texts = cells.iter().take(self.num_texts).map(|cell| match cell {
                Cell::Text(text) | Cell::Json(text) | Cell::Other(text) => text.len() as u64,
                Cell::Absent | Cell::Null => 0,
            });
            tokens = self.generated.estimated_tokens(texts.sum());
        }
        let is_full = |shard: &OpenShard| {
            shard.estimated_tokens + tokens > self.shard_tokens
                || shard.rows.end - shard.rows.start >= MAX_SHARD_ROWS
        };
        if self.open.as_ref().is_some_and(is_full) {
            self.cut();
        }
        let first = self.next_row;
        let shard = self.open.get_or_insert_with(|| OpenShard {
            rows: first..first,
            cursor,
            estimated_tokens: 0,
            digest: RowsDigest::default(),
        });
        shard.rows.end += 1;
        shard.estimated_tokens += tokens;
        shard.digest.add(row);
        self.next_row += 1;
    }

    /// Ends the open shard, so that the next row starts a new one.
    fn cut(&mut self) {
        self.shards.extend(self.open.take().map(OpenShard::finish));
    }

    fn finish(
        mut self,
        dataset: &DatasetSource,
        files: Vec<DataFile>,
        fields: &[FieldPath],
        num_rows_there_are: u64,
    ) -> Result<Plan, Error> {
        self.cut();
        if self.next_row == 0 {
            let split = &dataset.split;
            let reason = format!("`{split}` selects none of the {num_rows_there_are} rows read");
            return Err(whence_datasets::Error::Empty { reason }.into());
        }
        // If no row could be read, nobody knows which fields exist. The rows get their own errors.
        let missing = fields.iter().zip(&self.found).find(|(_, found)| !**found);
        if let Some((field, _)) = missing
            && self.has_readable_row
        {
            self.columns.sort_unstable();
            self.columns.dedup();
            let missing = whence_datasets::Error::MissingField {
                field: field.to_string(),
                suggestion: nearest_name(field.as_str(), &self.columns),
                columns: self.columns,
            };
            return Err(missing.into());
        }
        Ok(Plan {
            files,
            shards: self.shards,
        })
    }
}
