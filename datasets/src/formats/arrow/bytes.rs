//! Reads the messages of an Arrow file, but fetches only the columns that are needed.
//!
//! The decoder takes whole messages, but skips the columns that it is not asked for without looking
//! at their bytes. Those bytes are therefore replaced by zeros. Heads and dictionaries are fetched
//! whole. So are batches if the schema has a type whose buffers are not known here.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::iter::once;
use std::ops::Range;

use arrow::datatypes::{DataType, Field, SchemaRef};
use arrow::ipc::root_as_message;

use super::message::Message;
use crate::Error;
use crate::content::{SharedContent, carry};

/// Bytes of a column that are in memory at a time, besides the batch itself.
const PIECE_BYTES: u64 = 1 << 20;

/// Reads messages from the start of one of them on.
pub(super) struct ColumnBytes {
    content: SharedContent,
    /// The columns of the file, each with whether it is needed.
    columns: Vec<(Field, bool)>,
    position: u64,
    /// Where the current message ends.
    end: u64,
    /// The parts of the current message that are needed, in order.
    needed: VecDeque<Range<u64>>,
    /// Bytes that were fetched; the first is the one at `position`.
    fetched: bytes::Bytes,
}

impl ColumnBytes {
    pub(super) fn new(
        content: &SharedContent,
        position: u64,
        schema: &SchemaRef,
        needed: &[usize],
    ) -> Self {
        let columns = schema.fields().iter().enumerate();
        let columns = columns.map(|(at, field)| (field.as_ref().clone(), needed.contains(&at)));
        Self {
            content: SharedContent::clone(content),
            columns: columns.collect(),
            position,
            end: position,
            needed: VecDeque::new(),
            fetched: bytes::Bytes::new(),
        }
    }

    /// Moves to the message at the current position. What comes after the last one is given as it
    /// is.
    fn open_message(&mut self) -> io::Result<()> {
        let message = Message::read(&self.content, self.position).map_err(|error| match error {
            Error::Remote(failure) => carry(failure),
            error => io::Error::other(error),
        })?;
        let Some(message) = message else {
            self.end = self.content.num_bytes();
            self.needed = once(self.position..self.end).collect();
            return Ok(());
        };
        self.end = message.end;
        self.needed = match self.needed_of(&message) {
            Some(needed) => needed,
            None => once(self.position..self.end).collect(),
        };
        Ok(())
    }

    /// Returns the parts of a batch that are needed; `None` if all of it is.
    fn needed_of(&self, message: &Message) -> Option<VecDeque<Range<u64>>> {
        let head = root_as_message(&message.head).ok()?;
        let batch = head.header_as_record_batch()?;
        let buffers = batch.buffers()?;
        let variadic = batch.variadicBufferCounts();
        let mut variadic = variadic.into_iter().flatten();
        let mut needed: VecDeque<_> = once(self.position..message.body).collect();
        let mut next = 0;
        for (field, is_needed) in &self.columns {
            let count = num_buffers(field, &mut variadic)?;
            for index in next..next + count {
                let buffer = (index < buffers.len()).then(|| buffers.get(index))?;
                let start = message.body + u64::try_from(buffer.offset()).ok()?;
                let end = start + u64::try_from(buffer.length()).ok()?;
                if *is_needed && start < end && end <= message.end {
                    // Buffers come in the order of the file in all files that anybody writes.
                    let is_behind = needed.back().is_none_or(|last| last.end <= start);
                    needed.push_back(is_behind.then_some(start..end)?);
                }
            }
            next += count;
        }
        Some(needed)
    }
}

/// Returns how many buffers a column has; `None` if that is not known here.
fn num_buffers(field: &Field, variadic: &mut impl Iterator<Item = i64>) -> Option<usize> {
    let mut of = |fields: &[&Field]| -> Option<usize> {
        fields
            .iter()
            .map(|field| num_buffers(field, &mut *variadic))
            .sum()
    };
    Some(match field.data_type() {
        DataType::Null => 0,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary => 3,
        DataType::Utf8View | DataType::BinaryView => 2 + usize::try_from(variadic.next()?).ok()?,
        DataType::List(item) | DataType::LargeList(item) | DataType::Map(item, _) => {
            2 + of(&[item])?
        }
        DataType::FixedSizeList(item, _) => 1 + of(&[item])?,
        DataType::Struct(fields) => {
            let fields: Vec<&Field> = fields.iter().map(AsRef::as_ref).collect();
            1 + of(&fields)?
        }
        DataType::ListView(_)
        | DataType::LargeListView(_)
        | DataType::Union(..)
        | DataType::RunEndEncoded(..) => return None,
        // The values of a dictionary are in a message of their own.
        _ => 2,
    })
}

impl Read for ColumnBytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position == self.end {
            self.open_message()?;
        }
        while self
            .needed
            .front()
            .is_some_and(|needed| needed.end <= self.position)
        {
            self.needed.pop_front();
        }
        let next = self.needed.front().cloned().unwrap_or(self.end..self.end);
        let read = if self.position < next.start {
            let zeros = buffer.len().min((next.start - self.position) as usize);
            buffer[..zeros].fill(0);
            zeros
        } else {
            if self.fetched.is_empty() {
                let end = next.end.min(self.position + PIECE_BYTES);
                self.fetched = self.content.read_range(self.position..end)?;
            }
            let read = buffer.len().min(self.fetched.len());
            buffer[..read].copy_from_slice(&self.fetched.split_to(read));
            read
        };
        self.position += read as u64;
        Ok(read)
    }
}
