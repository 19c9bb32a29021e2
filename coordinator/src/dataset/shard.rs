//! Cuts rows into shards, and reads a shard's rows as Arrow batches.
//!
//! Planning is one pass over the selected rows. It estimates each row's work, starts a new shard
//! when one is full, and notes where in the file each shard starts. A shard can then be read
//! without reading what comes before it.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanBuilder, Int64Array, RecordBatch, StringBuilder, StructArray};
use arrow::datatypes::{Fields, Schema};
use whence_schemas::job::DatasetSource;
use whence_schemas::plan::{Cursor, Plan, PlannedShard};
use whence_schemas::{AttributionSpec, SlotId, input};

use super::fields::nearest_name;
use super::{Cell, FieldPath, Row, RowReader, Split, files, format_of};
use crate::Error;

/// Most rows in a shard, so that a dataset of one-word rows does not become a single shard.
const MAX_SHARD_ROWS: u64 = 8192;
/// Bytes of text that are estimated to make one token. Languages differ, but four is close enough
/// to cut shards of similar work.
const BYTES_PER_TOKEN: u64 = 4;
/// A batch ends after this many rows or this many bytes of text, whichever comes first.
const BATCH_ROWS: usize = 256;
const BATCH_BYTES: usize = 512 << 10;

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
    let fields = fields(dataset)?;
    let paths: Vec<PathBuf> = dataset
        .files
        .iter()
        .map(files::verify)
        .collect::<Result<_, _>>()?;
    let mut planner = Planner {
        shard_tokens,
        generated,
        num_texts: text_fields(dataset).into_iter().flatten().count(),
        shards: Vec::new(),
        open: None,
        next_row: 0,
        found: vec![false; fields.len()],
        columns: Vec::new(),
        has_readable_row: false,
    };
    let mut num_rows_there_are = 0;
    for part in split.parts() {
        let chosen = split.files(part, &dataset.files)?;
        // Counting may read whole files, so it is done only for slices that depend on the count.
        let num_rows = if part.needs_count() {
            let counts = chosen
                .iter()
                .map(|&file| format_of(&paths[file])?.count(&paths[file]));
            counts.sum::<Result<u64, Error>>()?
        } else {
            u64::MAX
        };
        let rows = split.resolve(part, num_rows)?;
        num_rows_there_are += planner.add_part(&paths, &chosen, &rows, &fields)?;
    }
    planner.finish(dataset, &fields, num_rows_there_are)
}

/// Opens the rows of `slot`. A split slot is read from the start of its shard, because only shards
/// have a known position in the file; the rows before it are skipped.
pub fn read_rows(dataset: &DatasetSource, plan: &Plan, slot: &SlotId) -> Result<ShardRows, Error> {
    let unknown = || Error::Internal(format!("the plan has no slot `{slot}`"));
    let shard = plan.shards.get(slot.shard_index()).ok_or_else(unknown)?;
    let rows = plan.rows(slot).ok_or_else(unknown)?;
    let fields = fields(dataset)?;
    let paths: Result<Vec<_>, _> = dataset
        .files
        .iter()
        .map(|file| files::local_path(&file.path))
        .collect();
    let paths = paths?;
    let path = paths.get(shard.cursor.file).ok_or_else(unknown)?;
    let mut reader = ShardRows {
        reader: format_of(path)?.open(path, shard.cursor.offset, &fields)?,
        paths,
        file: shard.cursor.file,
        has_text: text_fields(dataset).map(|field| field.is_some()),
        inputs: Inputs::Texts,
        columns: input::text_columns(&dataset.columns),
        fields,
        rows: rows.clone(),
    };
    for _ in shard.rows.start..rows.start {
        reader.skip()?;
    }
    Ok(reader)
}

/// Returns the fields to read of each row: first its texts, then the columns that are carried
/// along to the result.
fn fields(dataset: &DatasetSource) -> Result<Vec<FieldPath>, Error> {
    let texts = text_fields(dataset).into_iter().flatten();
    let names = texts.chain(&dataset.columns);
    names.map(|name| name.parse()).collect()
}

/// Number of text columns in an input batch.
const NUM_TEXTS: usize = 4;

/// Returns the field for each text column of an input batch, in the order of [`input::schema`].
/// `None` means that the dataset has no such text.
fn text_fields(dataset: &DatasetSource) -> [Option<&String>; NUM_TEXTS] {
    [
        Some(&dataset.input_field),
        dataset.generated_field.as_ref(),
        dataset.contrast_source_field.as_ref(),
        dataset.contrast_target_field.as_ref(),
    ]
}

struct Planner {
    shard_tokens: u64,
    generated: Generated,
    num_texts: usize,
    shards: Vec<PlannedShard>,
    /// The shard that rows are being added to.
    open: Option<PlannedShard>,
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
        paths: &[PathBuf],
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
            let path: &Path = &paths[file];
            let mut reader = format_of(path)?.open(path, 0, fields)?;
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
        // Every row costs something, even if it is empty or cannot be read.
        let mut tokens = 1;
        if let Ok(cells) = row {
            self.has_readable_row = true;
            for (found, cell) in self.found.iter_mut().zip(cells) {
                *found |= *cell != Cell::Absent;
            }
            let texts = cells.iter().take(self.num_texts).map(|cell| match cell {
                Cell::Text(text) | Cell::Json(text) => text.len() as u64,
                Cell::Absent | Cell::Null => 0,
            });
            let of_sequence = texts.sum::<u64>() / BYTES_PER_TOKEN + self.generated.tokens;
            tokens += of_sequence.saturating_mul(self.generated.sequences);
        }
        let is_full = |shard: &PlannedShard| {
            shard.estimated_tokens + tokens > self.shard_tokens
                || shard.rows.end - shard.rows.start >= MAX_SHARD_ROWS
        };
        if self.open.as_ref().is_some_and(is_full) {
            self.cut();
        }
        let row = self.next_row;
        let shard = self.open.get_or_insert(PlannedShard {
            rows: row..row,
            cursor,
            estimated_tokens: 0,
        });
        shard.rows.end += 1;
        shard.estimated_tokens += tokens;
        self.next_row += 1;
    }

    /// Ends the open shard, so that the next row starts a new one.
    fn cut(&mut self) {
        self.shards.extend(self.open.take());
    }

    fn finish(
        mut self,
        dataset: &DatasetSource,
        fields: &[FieldPath],
        num_rows_there_are: u64,
    ) -> Result<Plan, Error> {
        self.cut();
        if self.next_row == 0 {
            let split = &dataset.split;
            return Err(Error::Empty {
                reason: format!("`{split}` selects none of the {num_rows_there_are} rows read"),
            });
        }
        // If no row could be read, nobody knows which fields exist. The rows get their own errors.
        let missing = fields.iter().zip(&self.found).find(|(_, found)| !**found);
        if let Some((field, _)) = missing
            && self.has_readable_row
        {
            self.columns.sort_unstable();
            self.columns.dedup();
            return Err(Error::MissingField {
                field: field.to_string(),
                suggestion: nearest_name(field.as_str(), &self.columns),
                columns: self.columns,
            });
        }
        Ok(Plan {
            shards: self.shards,
        })
    }
}

/// Reads a slot's rows as batches of [`input::schema`].
pub struct ShardRows {
    paths: Vec<PathBuf>,
    file: usize,
    reader: Box<dyn RowReader>,
    fields: Vec<FieldPath>,
    has_text: [bool; NUM_TEXTS],
    inputs: Inputs,
    columns: Fields,
    rows: Range<u64>,
}

/// What the input field of a row may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inputs {
    Texts,
    /// Texts, and also lists of messages, which are passed on as JSON.
    Conversations,
}

impl ShardRows {
    /// Accepts lists of messages as inputs, besides texts, if `spec` uses a chat template.
    #[must_use]
    pub fn for_attribution(self, spec: &AttributionSpec) -> Self {
        let inputs = match spec.chat {
            Some(_) => Inputs::Conversations,
            None => Inputs::Texts,
        };
        Self { inputs, ..self }
    }

    /// Returns the schema of the batches, which is an [`input::schema`].
    pub fn schema(&self) -> Schema {
        input::schema(&self.columns)
    }

    /// Returns the next batch of rows, or `None` after the last.
    ///
    /// A row that cannot be read becomes a row with an error. Fails if a file cannot be read or has
    /// fewer rows than when the job was submitted.
    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>, Error> {
        if self.rows.is_empty() {
            return Ok(None);
        }
        let first = self.rows.start;
        let mut builder = BatchBuilder::new(self.columns.len());
        let max_rows = (self.rows.end - first).min(BATCH_ROWS as u64);
        while self.rows.start - first < max_rows && builder.num_bytes < BATCH_BYTES {
            let row = loop {
                if let Some(row) = self.reader.next()? {
                    break row;
                }
                self.open_next_file()?;
            };
            builder.add(&row, &self.fields, (self.has_text, self.inputs));
            self.rows.start += 1;
        }
        let ids = first as i64..self.rows.start as i64;
        builder
            .finish(ids, Arc::new(self.schema()), &self.columns)
            .map(Some)
    }

    fn skip(&mut self) -> Result<(), Error> {
        while !self.reader.skip()? {
            self.open_next_file()?;
        }
        Ok(())
    }

    fn open_next_file(&mut self) -> Result<(), Error> {
        let Some(path) = self.paths.get(self.file + 1) else {
            return Err(Error::Content {
                path: self.paths[self.file].clone(),
                reason: "it ends before the rows it had at submission".to_owned(),
            });
        };
        self.file += 1;
        self.reader = format_of(path)?.open(path, 0, &self.fields)?;
        Ok(())
    }
}

struct BatchBuilder {
    texts: [StringBuilder; NUM_TEXTS],
    /// Whether a row's input is a list of messages.
    are_messages: BooleanBuilder,
    errors: StringBuilder,
    columns: Vec<StringBuilder>,
    num_bytes: usize,
}

impl BatchBuilder {
    fn new(num_columns: usize) -> Self {
        Self {
            texts: std::array::from_fn(|_| StringBuilder::new()),
            are_messages: BooleanBuilder::new(),
            errors: StringBuilder::new(),
            columns: (0..num_columns).map(|_| StringBuilder::new()).collect(),
            num_bytes: 0,
        }
    }

    fn add(
        &mut self,
        row: &Row,
        fields: &[FieldPath],
        (has_text, inputs): ([bool; NUM_TEXTS], Inputs),
    ) {
        let mut error = row.as_ref().err().cloned();
        let cells = row.as_deref().unwrap_or_default();
        // Only a real list in the data counts. A text is a text, even if it looks like JSON.
        let is_list = matches!(cells.first(), Some(Cell::Json(_)));
        self.are_messages
            .append_value(is_list && inputs == Inputs::Conversations);
        let mut read = cells.iter().zip(fields);
        let mut num_texts = 0;
        for (text, has_text) in self.texts.iter_mut().zip(has_text) {
            let mut found = None;
            if has_text {
                let of_field = |(cell, field)| match inputs {
                    // Only the input, the first of the texts, may be a conversation.
                    Inputs::Conversations if num_texts == 0 => conversation_of(cell, field),
                    _ => text_of(cell, field),
                };
                let text = read.next().map(of_field);
                num_texts += 1;
                match text {
                    Some(Ok(of_row)) => found = Some(of_row),
                    Some(Err(reason)) => error = error.or(Some(reason)),
                    None => {}
                }
            }
            self.num_bytes += found.map_or(0, str::len);
            text.append_option(found);
        }
        self.errors.append_option(error);
        let carried = cells
            .iter()
            .skip(num_texts)
            .map(Some)
            .chain(std::iter::repeat(None));
        for (column, cell) in self.columns.iter_mut().zip(carried) {
            let value = match cell {
                Some(Cell::Text(text) | Cell::Json(text)) => Some(text.as_str()),
                _ => None,
            };
            self.num_bytes += value.map_or(0, str::len);
            column.append_option(value);
        }
    }

    fn finish(
        mut self,
        ids: Range<i64>,
        schema: Arc<Schema>,
        columns: &Fields,
    ) -> Result<RecordBatch, Error> {
        let mut arrays: Vec<ArrayRef> = vec![Arc::new(Int64Array::from_iter_values(ids))];
        let [input, others @ ..] = &mut self.texts;
        arrays.push(Arc::new(input.finish()));
        arrays.push(Arc::new(self.are_messages.finish()));
        arrays.extend(
            others
                .iter_mut()
                .map(|text| Arc::new(text.finish()) as ArrayRef),
        );
        arrays.push(Arc::new(self.errors.finish()));
        if !columns.is_empty() {
            let carried = self
                .columns
                .iter_mut()
                .map(|column| Arc::new(column.finish()) as ArrayRef);
            arrays.push(Arc::new(StructArray::new(
                columns.clone(),
                carried.collect(),
                None,
            )));
        }
        RecordBatch::try_new(schema, arrays)
            .map_err(|error| Error::Internal(format!("build an input batch: {error}")))
    }
}

/// Returns the cell's text, or its list of messages as JSON. Fails if it holds anything else.
fn conversation_of<'a>(cell: &'a Cell, field: &FieldPath) -> Result<&'a str, String> {
    match cell {
        Cell::Json(list) if list.starts_with('[') => Ok(list),
        Cell::Json(_) => Err(format!(
            "field `{field}` holds neither text nor a list of messages"
        )),
        _ => text_of(cell, field),
    }
}

fn text_of<'a>(cell: &'a Cell, field: &FieldPath) -> Result<&'a str, String> {
    match cell {
        Cell::Text(text) if text.is_empty() => Err(format!("field `{field}` is empty")),
        Cell::Text(text) => Ok(text),
        Cell::Absent => Err(format!("the row has no field `{field}`")),
        Cell::Null => Err(format!("field `{field}` is null")),
        Cell::Json(_) => Err(format!("field `{field}` holds no text")),
    }
}
