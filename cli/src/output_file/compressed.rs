//! An output file that may be compressed with gzip.

use std::io::{self, Write};

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};

use super::OutputFile;
use crate::Failure;

/// Level of compression. It is Inseq's.
const LEVEL: u32 = 5;

/// An output file, compressed or not.
#[derive(Debug)]
pub(crate) enum SavedFile {
    /// As it is written.
    Plain(OutputFile),
    /// Compressed. The file has no time in it: the same contents make the same bytes.
    Gzip(Box<GzEncoder<OutputFile>>),
}

impl SavedFile {
    /// Writes to `file`, compressed if `is_gzip`.
    pub(crate) fn new(file: OutputFile, is_gzip: bool) -> Self {
        if is_gzip {
            let file = GzBuilder::new().write(file, Compression::new(LEVEL));
            Self::Gzip(Box::new(file))
        } else {
            Self::Plain(file)
        }
    }

    /// Completes the file.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Plain(file) => file.finish(),
            Self::Gzip(file) => file.finish()?.finish(),
        }
    }
}

impl Write for SavedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.write(bytes),
            Self::Gzip(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.flush(),
            Self::Gzip(file) => file.flush(),
        }
    }
}
