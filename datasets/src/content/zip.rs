//! Files in zip archives.

use std::io::{self, BufReader, Read};

use ::zip::CompressionMethod;

use super::failure::carried_by;
use super::positioned::Positioned;
use super::{SharedContent, unreadable};
use crate::Error;

/// Returns the names of the files in a zip archive, in the order in which `datasets` reads them;
/// `None` if `content` is not a zip archive.
///
/// That order is the one of a walk through the unpacked folders: the files of a folder by name,
/// then its subfolders by name. Hidden files and those that begin with `__` are left out.
pub fn members(content: &SharedContent) -> Result<Option<Vec<String>>, Error> {
    if !is_zip(content).map_err(unreadable(content))? {
        return Ok(None);
    }
    let archive = open(content)?;
    let mut names = Vec::new();
    for name in archive.file_names() {
        let name = name.map_err(|error| damaged(content, &error.to_string()))?;
        if !name.ends_with('/') && is_visible(&name) {
            names.push(name.into_owned());
        }
    }
    names.sort_by(|one, other| walk_order(one).cmp(&walk_order(other)));
    Ok(Some(names))
}

fn is_visible(name: &str) -> bool {
    let is_hidden = |part: &str| part.starts_with('.') || part.starts_with("__");
    !name.split('/').any(is_hidden)
}

/// Sort key of a walk: at each level, the files come before the folders.
fn walk_order(name: &str) -> Vec<(bool, &str)> {
    let last = name.matches('/').count();
    let parts = name.split('/').enumerate();
    parts.map(|(at, part)| (at != last, part)).collect()
}

/// Returns whether a file is a zip archive, by its first bytes.
pub(super) fn is_zip(content: &SharedContent) -> io::Result<bool> {
    const MAGIC: [&[u8]; 3] = [b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"];
    let start = content.read_range(0..content.num_bytes().min(4))?;
    Ok(MAGIC.contains(&start.as_ref()))
}

type Archive = ::zip::ZipArchive<BufReader<Positioned>>;

pub(super) fn open(content: &SharedContent) -> Result<Archive, Error> {
    let reader = BufReader::new(Positioned::new(content));
    Archive::new(reader).map_err(|error| broken(content, error))
}

fn broken(content: &SharedContent, error: ::zip::result::ZipError) -> Error {
    match error {
        ::zip::result::ZipError::Io(error) if carried_by(&error).is_some() => {
            unreadable(content)(error)
        }
        error => damaged(content, &error.to_string()),
    }
}

pub(super) fn damaged(content: &SharedContent, reason: &str) -> Error {
    Error::Content {
        path: content.name().into(),
        reason: format!("it is not a whole zip archive: {reason}"),
    }
}

/// Returns a reader of a member's bytes. The archive's checksum is compared at the end.
pub(super) fn unpack(content: &SharedContent, member: &str) -> Result<Box<dyn Read + Send>, Error> {
    let broken = |error: ::zip::result::ZipError| broken(content, error);
    let mut archive = open(content)?;
    let index = archive.index_for_name(member).ok_or_else(|| {
        let reason = format!("it has no member `{member}`");
        damaged(content, &reason)
    })?;
    // The raw bytes are taken and unpacked here, because the archive's own decoders cannot outlive
    // the archive.
    let entry = archive.by_index_raw(index).map_err(broken)?;
    if entry.encrypted() {
        return Err(refused(content, member, "it is encrypted; unpack it first"));
    }
    let start = entry
        .data_start()
        .ok_or_else(|| damaged(content, "a member has no data"))?;
    let packed = content.reader(start).map_err(unreadable(content))?;
    let packed = Box::new(packed.take(entry.compressed_size()));
    let unpacked: Box<dyn Read + Send> = match entry.compression() {
        CompressionMethod::Stored => packed,
        CompressionMethod::DEFLATE => Box::new(flate2::read::DeflateDecoder::new(packed)),
        method => {
            let reason = format!("its compression ({method:?}) is not supported; unpack it first");
            return Err(refused(content, member, &reason));
        }
    };
    Ok(Box::new(Checked {
        unpacked,
        found: flate2::Crc::new(),
        expected: entry.crc32(),
    }))
}

fn refused(content: &SharedContent, member: &str, reason: &str) -> Error {
    Error::Format {
        path: format!("{}/{member}", content.name()).into(),
        reason: reason.to_owned(),
    }
}

/// Compares the checksum when everything has been read.
struct Checked {
    unpacked: Box<dyn Read + Send>,
    found: flate2::Crc,
    expected: u32,
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.unpacked.read(buffer)?;
        self.found.update(&buffer[..read]);
        if read == 0 && !buffer.is_empty() && self.found.sum() != self.expected {
            let reason = "its checksum is not the one in the archive";
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        Ok(read)
    }
}
