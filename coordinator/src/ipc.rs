//! Sends a shard's rows as one Arrow IPC stream, in pieces.
//!
//! Only one batch at a time is encoded in memory, whatever the shard's size: the channel holds few
//! pieces, and reading stops until the receiver has taken some.

use std::time::Duration;

use arrow::ipc::CompressionType;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::Error;
use crate::rows::ShardRows;

/// Largest piece. Well below the largest gRPC message, and large enough that a shard needs few.
const PIECE_BYTES: usize = 1 << 20;
/// How long a receiver may take no piece. A worker takes them as they come; whoever opens streams and
/// reads none must not hold threads for ever.
const STALLED_AFTER: Duration = Duration::from_mins(1);

/// Reads `rows` and sends the stream's pieces until the end, or until the receiver is gone or takes none
/// for [`STALLED_AFTER`]. Blocks a thread of a runtime.
///
/// Fails if the rows cannot be read to their end.
pub(crate) fn send(
    mut rows: ShardRows,
    pieces: &mpsc::Sender<Result<Bytes, Error>>,
) -> Result<(), Error> {
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
/// gone or stalls.
fn cut(written: &mut Vec<u8>, pieces: &mpsc::Sender<Result<Bytes, Error>>) -> bool {
    let mut written = Bytes::from(std::mem::take(written));
    while !written.is_empty() {
        let piece = written.split_to(written.len().min(PIECE_BYTES));
        let sending = pieces.send_timeout(Ok(piece), STALLED_AFTER);
        if Handle::current().block_on(sending).is_err() {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::ipc::reader::StreamReader;
    use whence_schemas::{ErrorKind, JobId, input};

    use super::*;
    use crate::assignment::AttemptAt;
    use crate::testing::Stage;

    /// Returns a text of about `bytes` bytes that hardly becomes shorter when it is compressed.
    fn noise(bytes: usize, seed: usize) -> String {
        // An id is a hash, so it looks random.
        let ids = (0..bytes / 26).map(|number| JobId::of(&format!("{seed} {number}")).to_string());
        ids.collect()
    }

    /// Submits a job with these texts in one shard, and returns the attempt at it.
    async fn leased(stage: &Stage, texts: &[String]) -> AttemptAt {
        let mut spec = stage.job_of_texts(texts);
        spec.shard_tokens = u64::MAX;
        stage.coordinator.jobs().submit(spec).await.unwrap();
        let leased = stage.acquire("a", 1).await.remove(0);
        assert_eq!(leased.rows, texts.len() as u64);
        leased.at
    }

    /// Sends a shard and returns its pieces.
    async fn sent(stage: &Stage, at: &AttemptAt) -> Vec<Result<Bytes, Error>> {
        let rows = stage.coordinator.dispatch().rows(at).unwrap();
        let (sender, mut pieces) = mpsc::channel(2);
        let sending = tokio::task::spawn_blocking(move || send(rows, &sender));
        let mut received = Vec::new();
        while let Some(piece) = pieces.recv().await {
            received.push(piece);
        }
        sending.await.unwrap().unwrap();
        received
    }

    #[tokio::test]
    async fn a_shard_arrives_in_small_pieces_that_together_are_its_rows() {
        let stage = Stage::new().await;
        let texts: Vec<_> = (0..3).map(|row| noise(1 << 20, row)).collect();
        let at = leased(&stage, &texts).await;
        let pieces = sent(&stage, &at).await;
        let pieces: Vec<_> = pieces.into_iter().map(Result::unwrap).collect();
        assert!(pieces.len() > 1);
        assert!(pieces.iter().all(|piece| piece.len() <= PIECE_BYTES));
        let mut received = Vec::new();
        for batch in StreamReader::try_new(pieces.concat().as_slice(), None).unwrap() {
            let batch = batch.unwrap();
            let column = batch.column_by_name(input::INPUT_TEXT).unwrap();
            let texts = column.as_string::<i32>().iter().flatten();
            received.extend(texts.map(str::to_owned));
        }
        assert_eq!(received, texts);
    }

    #[tokio::test]
    async fn a_file_that_changed_since_it_was_planned_ends_the_shard_with_an_error() {
        let stage = Stage::new().await;
        let at = leased(&stage, &["one".to_owned(), "two".to_owned()]).await;
        let opened = stage.coordinator.dispatch().rows(&at);
        drop(opened.unwrap());
        let file = stage.data.path().join("2.jsonl");
        std::fs::write(file, r#"{"text": "one"}"#).unwrap();
        let error = stage.coordinator.dispatch().rows(&at).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(error.to_string().contains("2.jsonl"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_receiver_that_takes_nothing_is_given_up() {
        let stage = Stage::new().await;
        let texts: Vec<_> = (0..3).map(|row| noise(1 << 20, row)).collect();
        let at = leased(&stage, &texts).await;
        let rows = stage.coordinator.dispatch().rows(&at).unwrap();
        let (sender, pieces) = mpsc::channel(1);
        let sending = tokio::task::spawn_blocking(move || send(rows, &sender));
        // Time is paused while a thread blocks, so it is advanced by hand.
        while !sending.is_finished() {
            tokio::time::advance(STALLED_AFTER).await;
            tokio::task::yield_now().await;
        }
        sending.await.unwrap().unwrap();
        drop(pieces);
    }

    #[tokio::test]
    async fn rows_that_nobody_takes_are_read_no_further() {
        let stage = Stage::new().await;
        let at = leased(&stage, &["one".to_owned()]).await;
        let rows = stage.coordinator.dispatch().rows(&at).unwrap();
        let (sender, pieces) = mpsc::channel(1);
        drop(pieces);
        let sending = tokio::task::spawn_blocking(move || send(rows, &sender));
        sending.await.unwrap().unwrap();
    }
}
