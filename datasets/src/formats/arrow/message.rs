//! The heads of the messages that an Arrow file consists of.

use arrow::ipc::{MessageHeader, root_as_message};
use bytes::Bytes;

use crate::Error;
use crate::content::{SharedContent, unreadable};
use crate::formats::batches::damaged;

/// What errors call a file.
pub(super) const FORMAT: &str = "Arrow";
/// What comes before the length of a message. Streams of old versions lack it.
const CONTINUATION: [u8; 4] = [0xff; 4];
/// Most bytes of a message's head. It describes the columns, not their values.
const MAX_HEAD_BYTES: u64 = 256 << 20;

/// What the head of a message says.
pub(super) struct Message {
    /// Rows of a record batch; `None` for a schema or a dictionary.
    pub(super) num_rows: Option<u64>,
    /// The head, without its length.
    pub(super) head: Bytes,
    /// Where the body starts.
    pub(super) body: u64,
    /// Where the message after it starts.
    pub(super) end: u64,
}

impl Message {
    /// Reads the head of the message at `at`. Returns `None` at the end of the messages.
    pub(super) fn read(content: &SharedContent, at: u64) -> Result<Option<Self>, Error> {
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
        let length_of_body = message.bodyLength();
        let end = u64::try_from(length_of_body)
            .ok()
            .map(|body| head + length + body);
        match end.filter(|end| *end <= content.num_bytes()) {
            Some(end) => Ok(Some(Self {
                body: head + length,
                head: bytes,
                num_rows,
                end,
            })),
            None => Err(damaged(
                content,
                FORMAT,
                &format!("the message at byte {at} is cut off"),
            )),
        }
    }
}
