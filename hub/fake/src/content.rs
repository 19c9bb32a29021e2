//! The bytes of a file, in memory or on disk, with the names that the Hub gives them.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use axum::body::Bytes;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// A file at least this large is in Git LFS, whatever its name.
const LFS_FROM: u64 = 20_000;

/// Extensions of files that are always in Git LFS, as the Hub's `.gitattributes` has it.
const LFS_EXTENSIONS: &[&str] = &[
    "parquet",
    "arrow",
    "safetensors",
    "bin",
    "gguf",
    "gz",
    "zst",
    "zip",
    "h5",
    "model",
];

/// A file of a repository.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    source: Source,
    pub(crate) size: u64,
    /// Git's name of the blob; of the pointer if the file is in LFS.
    pub(crate) blob_id: String,
    /// SHA-256 of a file in LFS.
    pub(crate) lfs: Option<String>,
}

#[derive(Debug, Clone)]
enum Source {
    Memory(Bytes),
    Disk(PathBuf),
}

impl Content {
    pub(crate) fn from_memory(path: &str, bytes: Vec<u8>) -> Self {
        Self::describe(path, Source::Memory(bytes.into())).expect("memory can be read")
    }

    pub(crate) fn from_disk(path: &str, file: &Path) -> io::Result<Self> {
        Self::describe(path, Source::Disk(file.to_owned()))
    }

    fn describe(path: &str, source: Source) -> io::Result<Self> {
        let size = source.size()?;
        let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
        let is_lfs = size >= LFS_FROM || LFS_EXTENSIONS.contains(&extension);
        let mut git = Sha1::new_with_prefix(format!("blob {size}\0"));
        let mut sha = Sha256::new();
        let mut start = 0;
        while start < size {
            let end = size.min(start + (1 << 20));
            let piece = source.read(start..end)?;
            git.update(&piece);
            sha.update(&piece);
            start = end;
        }
        let lfs = is_lfs.then(|| HEXLOWER.encode(&sha.finalize()));
        let pointer = lfs.as_ref().map(|oid| pointer_id(oid, size));
        Ok(Self {
            blob_id: pointer.unwrap_or_else(|| HEXLOWER.encode(&git.finalize())),
            source,
            size,
            lfs,
        })
    }

    /// Returns the name of the bytes that HTTP gives them.
    pub(crate) fn etag(&self) -> String {
        format!("\"{}\"", self.lfs.as_ref().unwrap_or(&self.blob_id))
    }

    pub(crate) fn read(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        self.source.read(range)
    }

    /// Returns the file's entry in a list of files.
    pub(crate) fn entry(&self, path: &str) -> Value {
        let mut entry = json!({
            "type": "file", "oid": self.blob_id, "size": self.size, "path": path,
        });
        if let Some(oid) = &self.lfs {
            entry["lfs"] = json!({"oid": oid, "size": self.size, "pointerSize": 130});
        }
        entry
    }
}

/// Returns Git's name of the pointer to a file in LFS.
fn pointer_id(oid: &str, size: u64) -> String {
    let pointer =
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n");
    let blob = format!("blob {}\0{pointer}", pointer.len());
    HEXLOWER.encode(&Sha1::digest(blob))
}

impl Source {
    fn size(&self) -> io::Result<u64> {
        match self {
            Self::Memory(bytes) => Ok(bytes.len() as u64),
            Self::Disk(path) => Ok(path.metadata()?.len()),
        }
    }

    fn read(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        match self {
            Self::Memory(bytes) => Ok(bytes[range.start as usize..range.end as usize].to_vec()),
            Self::Disk(path) => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(range.start))?;
                let mut bytes = vec![0; (range.end - range.start) as usize];
                file.read_exact(&mut bytes)?;
                Ok(bytes)
            }
        }
    }
}
