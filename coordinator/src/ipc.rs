//! Sends a shard's rows as one Arrow IPC stream, in pieces.
//!
//! Only one batch at a time is encoded in memory, whatever the shard's size: the channel holds few
//! pieces, and reading stops until the receiver has taken some.

use arrow::ipc::CompressionType;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::Error;
use crate::rows::ShardRows;

/// Largest piece. Well below the largest gRPC message, and large enough that a shard needs few.
const PIECE_BYTES: usize = 1 << 20;

/// Reads `rows` and sends the stream's pieces until the end, or until the receiver is gone. Blocks.
pub(crate) fn send(rows: ShardRows, pieces: &mpsc::Sender<Result<Bytes, Error>>) {
    if let Err(error) = try_send(rows, pieces) {
        // If the receiver is gone, the worker no longer wants the rows. That is not a failure.
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

/// Takes the bytes out of `written` and sends them in pieces. Returns false if the receiver is
/// gone.
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
