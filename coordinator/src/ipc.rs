//! A shard's rows as one Arrow IPC stream, in pieces.
//!
//! One batch at a time is in memory, whatever the shard's size: the reader waits until a piece was
//! taken before it reads on.

use arrow::ipc::CompressionType;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::Error;
use crate::dataset::ShardRows;

/// Small beside the largest message, and few of them for a shard.
const PIECE_BYTES: usize = 1 << 20;

/// Reads `rows` and sends the stream's pieces, until the end or until nobody listens. Blocks.
pub(crate) fn send(rows: ShardRows, pieces: &mpsc::Sender<Result<Bytes, Error>>) {
    if let Err(error) = try_send(rows, pieces) {
        // Nobody listening any more is what ends the reading, not a failure.
        let _ = pieces.blocking_send(Err(error));
    }
}

fn try_send(mut rows: ShardRows, pieces: &mpsc::Sender<Result<Bytes, Error>>) -> Result<(), Error> {
    let failed =
        |error: arrow::error::ArrowError| Error::Internal(format!("encode a shard: {error}"));
    let options = IpcWriteOptions::default()
        .try_with_compression(Some(CompressionType::ZSTD))
        .map_err(failed)?;
    let mut writer =
        StreamWriter::try_new_with_options(Vec::new(), &rows.schema(), options).map_err(failed)?;
    while let Some(batch) = rows.next_batch()? {
        writer.write(&batch).map_err(failed)?;
        if !cut(writer.get_mut(), pieces) {
            return Ok(());
        }
    }
    writer.finish().map_err(failed)?;
    cut(writer.get_mut(), pieces);
    Ok(())
}

/// Sends what was written. Returns whether anybody listens.
fn cut(written: &mut Vec<u8>, pieces: &mpsc::Sender<Result<Bytes, Error>>) -> bool {
    let mut written = Bytes::from(std::mem::take(written));
    while !written.is_empty() {
        let piece = written.split_to(written.len().min(PIECE_BYTES));
        if pieces.blocking_send(Ok(piece)).is_err() {
            return false;
        }
    }
    true
}
