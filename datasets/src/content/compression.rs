//! The compressions of data files, told by the first bytes of a file as in `datasets`.
//!
//! A file's name says nothing: a cache stores files under their digest, and people rename files.

use std::io::{self, Read};

/// Bytes at the start of a file that are enough to tell its compression.
pub(super) const MAGIC_BYTES: u64 = 8;

/// A compression that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    Zstd,
    Bzip2,
    Xz,
    Lz4,
}

const COMPRESSIONS: [(&[u8], Compression); 5] = [
    (b"\x1f\x8b", Compression::Gzip),
    (b"\x28\xb5\x2f\xfd", Compression::Zstd),
    (b"BZh", Compression::Bzip2),
    (b"\xfd7zXZ\0", Compression::Xz),
    (b"\x04\x22\x4d\x18", Compression::Lz4),
];

/// Archives that are not read, with what to do about them.
const REFUSED: [(&[u8], &str); 2] = [
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
];

impl Compression {
    /// Returns the compression of a file that starts with `start`, or `None` for plain bytes.
    pub(super) fn from_magic(start: &[u8]) -> Option<Self> {
        let found = COMPRESSIONS
            .iter()
            .find(|(magic, _)| start.starts_with(magic));
        found.map(|(_, compression)| *compression)
    }

    /// Returns a reader of the unpacked bytes. A file may consist of several packed pieces, one
    /// after another, as `cat` makes them.
    pub(super) fn unpack(self, packed: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::Gzip => Box::new(flate2::read::MultiGzDecoder::new(packed)),
            Self::Zstd => Box::new(zstd::Decoder::new(packed)?),
            Self::Bzip2 => Box::new(bzip2::read::MultiBzDecoder::new(packed)),
            Self::Xz => Box::new(liblzma::read::XzDecoder::new_multi_decoder(packed)),
            Self::Lz4 => Box::new(Lz4Frames::new(packed)),
        })
    }
}

/// Returns whether a file that starts with `start` is compressed or an archive, so that it has to be
/// read from its beginning.
pub(crate) fn is_packed(start: &[u8]) -> bool {
    Compression::from_magic(start).is_some()
        || refused_archive(start).is_some()
        || start.starts_with(b"PK")
}

/// Returns what kind of unsupported archive starts with `start`, if it is one.
pub(super) fn refused_archive(start: &[u8]) -> Option<&'static str> {
    let found = REFUSED.iter().find(|(magic, _)| start.starts_with(magic));
    found.map(|(_, what)| *what)
}

/// Reads LZ4 frames one after another; the decoder stops at the end of each.
struct Lz4Frames {
    frame: lz4_flex::frame::FrameDecoder<Box<dyn Read + Send>>,
    /// Whether the current frame gave any byte: two empty reads in a row are the end of the file.
    has_read: bool,
}

impl Lz4Frames {
    fn new(packed: Box<dyn Read + Send>) -> Self {
        Self {
            frame: lz4_flex::frame::FrameDecoder::new(packed),
            has_read: false,
        }
    }
}

impl Read for Lz4Frames {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.frame.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                self.has_read = true;
                return Ok(read);
            }
            if !std::mem::take(&mut self.has_read) {
                return Ok(0);
            }
        }
    }
}
