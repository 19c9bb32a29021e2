//! A reader that knows nothing of jobs: it reads every file of a table's folder, as Parquet tools do, and
//! does so again and again while the table is written.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::{Int32Type, Int64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use whence_schemas::output;

/// Time between two passes, so that the processes that write the table have the processors.
const PAUSE: Duration = Duration::from_millis(50);

/// Reads a folder until it is told to stop.
#[derive(Debug)]
pub struct NaiveReader {
    passes: JoinSet<usize>,
    stop: CancellationToken,
}

impl NaiveReader {
    /// Starts to read `folder`, which need not exist yet.
    pub fn start(folder: PathBuf) -> Self {
        let stop = CancellationToken::new();
        let mut passes = JoinSet::new();
        passes.spawn(read_until(folder, stop.clone()));
        Self { passes, stop }
    }

    /// Stops, and returns how often the folder was read.
    ///
    /// # Panics
    ///
    /// If a file could not be read, a row was there twice, or rows had vanished.
    pub async fn stop(mut self) -> usize {
        self.stop.cancel();
        let passes = self.passes.join_next().await.expect("there is one reader");
        passes.expect("every pass finds whole files and each row once")
    }
}

async fn read_until(folder: PathBuf, stop: CancellationToken) -> usize {
    let mut passes = 0;
    let mut seen = 0;
    let mut pause = tokio::time::interval(PAUSE);
    while !stop.is_cancelled() {
        pause.tick().await;
        let of_pass = folder.clone();
        let rows = tokio::task::spawn_blocking(move || pass(&of_pass).len());
        let rows = rows.await.expect("the table can be read");
        assert!(rows >= seen, "{seen} rows, then {rows}");
        seen = rows;
        passes += 1;
    }
    passes
}

/// Reads all files of a folder. Returns the example and the sample of every row.
///
/// # Panics
///
/// If a file cannot be read, or a row is there twice.
pub fn pass(folder: &Path) -> BTreeSet<(i64, i32)> {
    let mut rows = BTreeSet::new();
    // The folder appears with its first file.
    let files = std::fs::read_dir(folder).into_iter().flatten();
    for file in files {
        let path = file.expect("a folder can be read").path();
        let file = File::open(&path).expect("a listed file opens");
        let reader = ParquetRecordBatchReaderBuilder::try_new(file)
            .and_then(ParquetRecordBatchReaderBuilder::build);
        let reader = reader.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for batch in reader {
            let batch = batch.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let ids = batch[output::EXAMPLE_ID].as_primitive::<Int64Type>();
            let samples = batch[output::SAMPLE].as_primitive::<Int32Type>();
            for row in ids
                .values()
                .iter()
                .copied()
                .zip(samples.values().iter().copied())
            {
                assert!(rows.insert(row), "row {row:?} is there twice");
            }
        }
    }
    rows
}
