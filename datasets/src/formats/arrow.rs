//! Arrow IPC files: the cache of `datasets`, what `save_to_disk` writes, and Feather.
//!
//! Both kinds hold the same messages: schema, dictionaries, record batches. A stream starts with
//! them; a file has a magic number before and an index after them, which is not needed, because the
//! head of each message says how many rows and bytes it has. An offset is a row number: to start
//! in the middle, the heads of the messages before are read and their bodies are passed over.

use std::io::{self, BufReader, Cursor, Read};
use std::ops::Range;

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::{MessageHeader, root_as_message};
use bytes::Bytes;

use super::batches::{BatchRows, Batches, damaged, guarded};
use super::columnar::Places;
use crate::Error;
use crate::content::{SharedContent, unreadable};
use crate::field::FieldPath;
use crate::format::{Format, RowReader};

/// What errors call a file.
const FORMAT: &str = "Arrow";
/// What a file starts with, as opposed to a stream, and the padding after it.
const FILE_MAGIC: &[u8] = b"ARROW1\0\0";
/// What comes before the length of a message. Streams of old versions lack it.
const CONTINUATION: [u8; 4] = [0xff; 4];
/// Most bytes of a message's head. It describes the columns, not their values.
const MAX_HEAD_BYTES: u64 = 256 << 20;

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
        let batches = content.reader(start.batches).map_err(unreadable(content))?;
        let before = start
            .before
            .iter()
            .map(|range| content.read_range(range.clone()));
        let before = before
            .collect::<io::Result<Vec<_>>>()
            .map_err(unreadable(content))?;
        let before = Bytes::from(before.concat());
        let bytes = Cursor::new(before.clone()).chain(batches);
        let whole = guarded(content, FORMAT, || {
            StreamReader::try_new(Cursor::new(before), None)
        })?;
        let schema = whole.schema();
        let places = Places::find(fields, &schema);
        let columns = schema.fields().iter().enumerate();
        let columns = columns.filter(|(_, field)| places.has_column(field.name()));
        let columns = columns.map(|(column, _)| column).collect();
        let bytes: Box<dyn Read + Send> = Box::new(BufReader::new(bytes));
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

/// What the head of a message says.
struct Message {
    /// Rows of a record batch; `None` for a schema or a dictionary.
    num_rows: Option<u64>,
    /// Where the message after it starts.
    end: u64,
}

impl Message {
    /// Reads the head of the message at `at`. Returns `None` at the end of the messages.
    fn read(content: &SharedContent, at: u64) -> Result<Option<Self>, Error> {
        let length_at = |at: u64| -> Result<Option<[u8; 4]>, Error> {
            if at + 4 > content.num_bytes() {
                return Ok(None);
            }
            let bytes = content
                .read_range(at..at + 4)
                .map_err(unreadable(content))?;
            Ok(bytes.as_ref().try_into().ok())
        };
        let (length, head) = match length_at(at)? {
            Some(CONTINUATION) => (length_at(at + 4)?, at + 8),
            length => (length, at + 4),
        };
        // A length of zero marks the end.
        let length = length.map_or(0, |length| u64::from(u32::from_le_bytes(length)));
        if length == 0 {
            return Ok(None);
        }
        if length > MAX_HEAD_BYTES || head + length > content.num_bytes() {
            return Err(damaged(
                content,
                FORMAT,
                &format!("the message at byte {at} is cut off"),
            ));
        }
        let bytes = content
            .read_range(head..head + length)
            .map_err(unreadable(content))?;
        let message = root_as_message(&bytes).map_err(|error| {
            damaged(
                content,
                FORMAT,
                &format!("the message at byte {at}: {error}"),
            )
        })?;
        let num_rows = match message.header_type() {
            MessageHeader::RecordBatch => message
                .header_as_record_batch()
                .and_then(|batch| u64::try_from(batch.length()).ok()),
            _ => None,
        };
        let end = u64::try_from(message.bodyLength())
            .ok()
            .map(|body| head + length + body);
        match end.filter(|end| *end <= content.num_bytes()) {
            Some(end) => Ok(Some(Self { num_rows, end })),
            None => Err(damaged(
                content,
                FORMAT,
                &format!("the message at byte {at} is cut off"),
            )),
        }
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
