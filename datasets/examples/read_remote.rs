//! Reads one field of every row of a file on another machine, and says how long it took, how many
//! bytes arrived, and how much memory it needed:
//! `cargo run --example read_remote -- ADDRESS FIELD`
//!
//! `tests/data/make_large.py` writes a file to measure with. The fake Hub serves a folder:
//! `cargo run -p whence-fake-hub --example serve -- FOLDER` prints the value of `HF_ENDPOINT`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use whence_datasets::content::{Arrival, listen};
use whence_datasets::resolve::pinned;
use whence_datasets::{Copies, DatasetReader, FieldPath, open, pin};
use whence_schemas::location::{DatasetLocation, DatasetOrigin};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().context("name an address")?;
    let field: FieldPath = arguments.next().context("name a field")?.parse()?;
    let num_arrived = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&num_arrived);
    let _listening = listen(Arc::new(move |arrival| {
        if let Arrival::Range { num_bytes, .. } = arrival {
            counter.fetch_add(num_bytes, Ordering::Relaxed);
        }
    }));
    let location = DatasetLocation {
        data_files: vec![pinned(&address)?],
        ..DatasetLocation::of(DatasetOrigin::Files)
    };
    let list = pin(&location, "train", open(&location)?.as_ref())?;
    let copies = Copies::from_env(|name| std::env::var(name).ok());
    let reader = DatasetReader::new(open(&location)?, &list.format, copies)?;
    #[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
    let start = std::time::Instant::now();
    // Twice, as a job does: to plan the shards, and to read them.
    for pass in ["first", "second"] {
        let mut rows = 0_u64;
        for file in &list.files {
            let mut reader = reader.rows(file, 0, std::slice::from_ref(&field))?;
            while reader.next()?.is_some() {
                rows += 1;
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        let arrived = num_arrived.load(Ordering::Relaxed);
        #[expect(clippy::print_stdout, reason = "the result of the benchmark")]
        {
            println!("{pass} pass: {rows} rows, {seconds:.1} s, {arrived} bytes arrived so far");
        }
    }
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find(|line| line.starts_with("VmHWM"));
    #[expect(clippy::print_stdout, reason = "the result of the benchmark")]
    {
        println!("peak memory: {}", peak.unwrap_or("unknown"));
    }
    Ok(())
}
