//! Finds the damaged table file after a query has failed because of one.
//!
//! DataFusion's errors do not name the file, and the Parquet reader may panic. So the files are
//! read one by one until one of them fails. That takes time, but only when the query has already
//! failed.

use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use whence_schemas::layout;
use whence_schemas::panics;

use super::stored::StoredTable;
use crate::Failure;
use crate::results::open_root;

/// Returns a failure that names the damaged file in `root`, or `failure` itself if none is found.
pub(crate) async fn name_damaged(failure: Failure, root: &str) -> Failure {
    match find(root).await {
        Ok(Some((file, reason))) => {
            Failure::run(format!("the table file `{file}` is damaged: {reason}"))
                .hint("compute the job again with another --run-id, or ask about the other jobs")
        }
        // No file is damaged, or the search itself failed. Keep the original failure.
        Ok(None) | Err(_) => failure,
    }
}

/// Returns the first table file below `root` that cannot be read, and why.
async fn find(root: &str) -> Result<Option<(String, String)>, Failure> {
    let store = open_root(root).await?;
    let mut objects = Vec::new();
    for table in StoredTable::ALL {
        objects.extend(store.list(table.folder()).await?);
    }
    for object in objects {
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
