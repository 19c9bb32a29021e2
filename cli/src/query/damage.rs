//! Which of a root's table files is damaged, once a question has failed over one.
//!
//! DataFusion's errors name no file, and a reader may panic. So the files are read one after the
//! other until one cannot be: it costs time only where the question has failed already.

use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use whence_coordinator::panics;
use whence_schemas::layout;

use crate::Failure;
use crate::results::open_root;

/// Returns `failure` with the damaged file of `root` named, if there is one.
pub(crate) async fn name_damaged(failure: Failure, root: &str) -> Failure {
    match find(root).await {
        Ok(Some((file, reason))) => {
            Failure::run(format!("the table file `{file}` is damaged: {reason}"))
                .hint("compute the job again with another --run-id, or ask about the other jobs")
        }
        // Nothing is damaged, or it cannot be found out: what is known already stays.
        Ok(None) | Err(_) => failure,
    }
}

/// Returns the first table file below `root` that cannot be read, and why.
async fn find(root: &str) -> Result<Option<(String, String)>, Failure> {
    let store = open_root(root).await?;
    for object in store.list(layout::ATTRIBUTIONS).await? {
        if layout::slot_of_key(&object.key).is_none() {
            continue;
        }
        let Some(bytes) = store.get(&object.key).await? else {
            continue;
        };
        let checked = tokio::task::spawn_blocking(move || check(bytes)).await;
        if let Ok(Err(reason)) = checked {
            return Ok(Some((object.key, reason)));
        }
    }
    Ok(None)
}

/// Reads a whole Parquet file. Fails with the reason if it cannot be read.
fn check(bytes: Bytes) -> Result<(), String> {
    let read = || -> Result<(), String> {
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)
            .and_then(ParquetRecordBatchReaderBuilder::build)
            .map_err(|error| error.to_string())?;
        for batch in reader {
            batch.map_err(|error| error.to_string())?;
        }
        Ok(())
    };
    panics::caught(read)
        .unwrap_or_else(|panic| Err(format!("the Parquet reader cannot take it ({panic})")))
}
