//! Arrow IPC files: the cache of `datasets`, what `save_to_disk` writes, and Feather.
//!
//! Both kinds hold the same messages: schema, dictionaries, record batches. A stream starts with
//! them; a file has a magic number before and an index after them, which is not needed, because the
//! head of each message says how many rows and bytes it has. An offset is a row number: to start
//! in the middle, the heads of the messages before are read and their bodies are passed over. Of the
//! bodies that follow, only the columns that were asked for are read.

mod bytes;
mod message;

use std::io::{self, Cursor, Read};
use std::ops::Range;

use ::bytes::Bytes;
use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;

use super::batches::{BatchRows, Batches, damaged, guarded};
use super::columnar::Places;
use crate::Error;
use crate::content::{SharedContent, unreadable};
use crate::field::FieldPath;
use crate::format::{Format, RowReader};
use bytes::ColumnBytes;
use message::{FORMAT, Message};

/// What a file starts with, as opposed to a stream, and the padding after it.
const FILE_MAGIC: &[u8] = b"ARROW1\0\0";

/// The Arrow format.
#[derive(Debug)]
pub(super) struct Arrow;

impl Format for Arrow {
    fn open(
        &self,
        content: &SharedContent,
        offset: u64,
        fields: &[FieldPath],
    ) -> Result<Box<dyn RowReader>, Error> {
        let start = Start::find(content, offset)?;
        let before = start
            .before
            .iter()
            .map(|range| content.read_range(range.clone()));
        let before = before
            .collect::<io::Result<Vec<_>>>()
            .map_err(unreadable(content))?;
        let before = Bytes::from(before.concat());
        let whole = guarded(content, FORMAT, || {
            StreamReader::try_new(Cursor::new(before.clone()), None)
        })?;
        let schema = whole.schema();
        let places = Places::find(fields, &schema);
        let columns = schema.fields().iter().enumerate();
        let columns = columns.filter(|(_, field)| places.has_column(field.name()));
        let columns: Vec<usize> = columns.map(|(column, _)| column).collect();
        let batches = ColumnBytes::new(content, start.batches, &schema, &columns);
        let bytes: Box<dyn Read + Send> = Box::new(Cursor::new(before).chain(batches));
        let reader = guarded(content, FORMAT, || {
            StreamReader::try_new(bytes, Some(columns))
        })?;
        let batches = ArrowBatches {
            content: SharedContent::clone(content),
            reader,
        };
        let mut rows = BatchRows::new(batches, schema, places, start.row);
        while rows.offset() < offset && rows.skip()? {}
        Ok(Box::new(rows))
    }

    fn count(&self, content: &SharedContent) -> Result<u64, Error> {
        Ok(Start::find(content, u64::MAX)?.row)
    }
}

/// Where to start reading in order to reach a row.
#[derive(Debug)]
struct Start {
    /// The messages that must come first: the schema and the dictionaries before the batch.
    before: Vec<Range<u64>>,
    /// Where the batch with the row starts.
    batches: u64,
    /// The number of the batch's first row.
    row: u64,
}

impl Start {
    /// Finds the batch that holds the row `wanted`, or the end.
    fn find(content: &SharedContent, wanted: u64) -> Result<Self, Error> {
        let magic = content.read_range(0..content.num_bytes().min(FILE_MAGIC.len() as u64));
        let magic = magic.map_err(unreadable(content))?;
        let mut start = Self {
            before: Vec::new(),
            batches: if *magic == *FILE_MAGIC {
                FILE_MAGIC.len() as u64
            } else {
                0
            },
            row: 0,
        };
        while let Some(message) = Message::read(content, start.batches)? {
            match message.num_rows {
                Some(rows) if start.row + rows > wanted => break,
                Some(rows) => start.row += rows,
                None => start.before.push(start.batches..message.end),
            }
            start.batches = message.end;
        }
        if start.before.is_empty() {
            return Err(damaged(content, FORMAT, "it holds no schema"));
        }
        Ok(start)
    }
}

struct ArrowBatches {
    content: SharedContent,
    reader: StreamReader<Box<dyn Read + Send>>,
}

impl Batches for ArrowBatches {
    fn next(&mut self) -> Result<Option<RecordBatch>, Error> {
        guarded(&self.content, FORMAT, || self.reader.next().transpose())
    }
}
