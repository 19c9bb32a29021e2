//! Reads every row of a data file and says how long it took, and how many bytes were read:
//! `cargo run --example read_rows -- FILE FIELD...`
//!
//! `tests/data/stream_rows.py` does the same with the streaming mode of `datasets`.

use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use bytes::Bytes;
use whence_datasets::{Content, Copies, FieldPath, SharedContent, content, formats};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().context("name a data file")?;
    let fields: Vec<FieldPath> = arguments
        .map(|field| field.parse())
        .collect::<Result<_, _>>()?;
    let spec = formats::by_extension(&file).context("the file's name says no format")?;
    let copies = Copies::from_env(|name| std::env::var(name).ok());
    let plain = copies.plain(&content::local(Path::new(&file))?, &file, &spec.options)?;
    let num_read = Arc::new(AtomicU64::new(0));
    let counted: SharedContent = Arc::new(Counted {
        content: plain,
        num_read: Arc::clone(&num_read),
    });
    #[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
    let start = std::time::Instant::now();
    let mut reader = formats::format(&spec)?.open(&counted, 0, &fields)?;
    let (mut rows, mut bad) = (0_u64, 0_u64);
    while let Some(row) = reader.next()? {
        rows += 1;
        bad += u64::from(row.is_err());
    }
    let seconds = start.elapsed().as_secs_f64();
    let speed = rows as f64 / seconds;
    let bytes = num_read.load(Ordering::Relaxed);
    #[expect(clippy::print_stdout, reason = "the result of the benchmark")]
    {
        println!("{rows} rows, {bad} bad, {seconds:.2} s, {speed:.0} rows/s, {bytes} bytes read");
    }
    Ok(())
}

/// A file that counts how much of it is read.
#[derive(Debug)]
struct Counted {
    content: SharedContent,
    num_read: Arc<AtomicU64>,
}

impl Content for Counted {
    fn name(&self) -> &str {
        self.content.name()
    }

    fn num_bytes(&self) -> u64 {
        self.content.num_bytes()
    }

    fn read_range(&self, range: Range<u64>) -> io::Result<Bytes> {
        self.num_read
            .fetch_add(range.end - range.start, Ordering::Relaxed);
        self.content.read_range(range)
    }

    fn reader(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(CountedRead {
            reader: self.content.reader(offset)?,
            num_read: Arc::clone(&self.num_read),
        }))
    }
}

struct CountedRead {
    reader: Box<dyn Read + Send>,
    num_read: Arc<AtomicU64>,
}

impl Read for CountedRead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.num_read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
