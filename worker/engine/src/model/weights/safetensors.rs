//! A safetensors file.
//!
//! Source of the format: <https://huggingface.co/docs/safetensors>. The header is read and checked
//! when the file is opened, and the bytes of a tensor when it is asked for.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use candle_core::{DType, Tensor};
use safetensors::tensor::Metadata;

use super::floats::{self, Format};
use super::tensor_file::TensorFile;
use crate::Error;
use crate::model::disk;

/// The file begins with the length of the header, in eight bytes.
const LENGTH_BYTES: u64 = 8;
/// The limit of the format. A longer header means that this is another kind of file.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// An open safetensors file.
#[derive(Debug)]
pub(super) struct SafetensorsFile {
    path: PathBuf,
    file: File,
    header: Metadata,
    data_start: u64,
}

impl SafetensorsFile {
    /// Opens the file. Fails if it is truncated or not a safetensors file.
    pub(super) fn open(path: PathBuf) -> Result<Self, Error> {
        let file = disk::open(&path)?;
        let (file_bytes, header_bytes) = match read_length(&file) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(Error::ModelContent {
                    path,
                    reason: "the file is too short for a header".to_owned(),
                });
            }
            Err(source) => return Err(Error::ModelFile { path, source }),
        };
        let damaged = |reason: String| Error::ModelContent {
            path: path.clone(),
            reason,
        };
        if header_bytes > MAX_HEADER_BYTES || header_bytes + LENGTH_BYTES > file_bytes {
            return Err(damaged(
                "it is not a safetensors file, or it is truncated".to_owned(),
            ));
        }
        let mut header = vec![0; header_bytes as usize];
        file.read_exact_at(&mut header, LENGTH_BYTES)
            .map_err(|source| Error::ModelFile {
                path: path.clone(),
                source,
            })?;
        let header: Metadata =
            serde_json::from_slice(&header).map_err(|error| damaged(error.to_string()))?;
        let data_start = LENGTH_BYTES + header_bytes;
        let expected = data_start + header.data_len() as u64;
        // This finds an incomplete copy before any tensor is read.
        if expected != file_bytes {
            return Err(damaged(format!(
                "it has {file_bytes} bytes where its header says {expected}; copy it again"
            )));
        }
        Ok(Self {
            path,
            file,
            header,
            data_start,
        })
    }
}

/// Returns the length of the file, and the length of the header according to the file.
fn read_length(file: &File) -> io::Result<(u64, u64)> {
    let file_bytes = file.metadata()?.len();
    let mut length = [0; LENGTH_BYTES as usize];
    file.read_exact_at(&mut length, 0)?;
    Ok((file_bytes, u64::from_le_bytes(length)))
}

impl TensorFile for SafetensorsFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn names(&self) -> Vec<String> {
        self.header.tensors().into_keys().collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.header.info(name).map(|info| info.shape.clone())
    }

    fn precision(&self, name: &str) -> Option<DType> {
        format(self.header.info(name)?.dtype).map(Format::dtype)
    }

    fn read(&self, name: &str, dtype: DType) -> Result<Tensor, Error> {
        let stored = self.stored(name)?;
        let values = floats::read(stored.bytes, stored.format, stored.count, dtype);
        let values = values.map_err(|error| self.refused(name, error.to_string()))?;
        Ok(values.reshape(stored.shape)?)
    }

    fn read_block(
        &self,
        name: &str,
        dtype: DType,
        (index, count): (usize, usize),
    ) -> Result<Tensor, Error> {
        let mut stored = self.stored(name)?;
        let len = stored.count / count;
        stored.bytes.position += (index * len * stored.format.bytes()) as u64;
        floats::read(stored.bytes, stored.format, len, dtype)
            .map_err(|error| self.refused(name, error.to_string()))
    }

    fn check(&self, name: &str) -> Result<(), Error> {
        let stored = self.stored(name)?;
        floats::check(stored.bytes, stored.format, stored.count)
            .map_err(|error| self.refused(name, error.to_string()))
    }
}

/// Where a tensor is in its file, and how it is stored.
struct Stored<'f> {
    bytes: Section<'f>,
    format: Format,
    count: usize,
    shape: &'f [usize],
}

impl SafetensorsFile {
    /// Finds a floating-point tensor.
    fn stored(&self, name: &str) -> Result<Stored<'_>, Error> {
        let Some(info) = self.header.info(name) else {
            return Err(self.refused(name, "the file does not have it".to_owned()));
        };
        let Some(format) = format(info.dtype) else {
            let reason = format!(
                "its type is {:?}, expected a floating-point type of 16 bits or more",
                info.dtype
            );
            return Err(self.refused(name, reason));
        };
        let (start, end) = info.data_offsets;
        Ok(Stored {
            bytes: Section {
                file: &self.file,
                position: self.data_start + start as u64,
            },
            format,
            count: (end - start) / format.bytes(),
            shape: &info.shape,
        })
    }

    fn refused(&self, name: &str, reason: String) -> Error {
        Error::Tensor {
            path: self.path.clone(),
            name: name.to_owned(),
            reason,
        }
    }
}

/// Returns the format of a data type, or `None` if it is not a supported floating-point type.
fn format(dtype: safetensors::Dtype) -> Option<Format> {
    match dtype {
        safetensors::Dtype::F16 => Some(Format::F16),
        safetensors::Dtype::BF16 => Some(Format::BF16),
        safetensors::Dtype::F32 => Some(Format::F32),
        safetensors::Dtype::F64 => Some(Format::F64),
        _ => None,
    }
}

/// Reads from a position of a file without moving the file's own cursor, so that threads can share
/// it.
struct Section<'a> {
    file: &'a File,
    position: u64,
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}
