//! A `pytorch_model.bin` file: a zip archive of a pickled dictionary and the bytes of the tensors.
//!
//! Source of the format: `torch/serialization.py` and `torch/_utils.py` of PyTorch. candle decodes
//! the pickle, which only builds objects and never runs code. What the objects say is checked
//! here, because a file from outside may contain anything.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use candle_core::pickle::{Object, Stack};
use candle_core::{DType, Tensor};
use zip::ZipArchive;

use super::floats::{self, Format, ReadError};
use super::tensor_file::TensorFile;
use crate::Error;
use crate::model::disk;

/// An open PyTorch file.
#[derive(Debug)]
pub(super) struct PytorchFile {
    path: PathBuf,
    archive: Mutex<ZipArchive<BufReader<File>>>,
    tensors: HashMap<String, Stored>,
}

/// Where a tensor is in the archive, and how it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stored {
    /// Name of the archive entry that holds its bytes.
    entry: String,
    /// `None` if the numbers are not floating point.
    format: Option<Format>,
    /// Index, in the entry, of the tensor's first number.
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

impl PytorchFile {
    /// Opens the file. Fails if it is truncated or not in the zip format.
    pub(super) fn open(path: PathBuf) -> Result<Self, Error> {
        let file = disk::open(&path)?;
        let damaged = |reason: String| Error::ModelContent {
            path: path.clone(),
            reason,
        };
        let not_a_zip = |error| {
            damaged(format!(
                "{error}; a file from before PyTorch 1.6 can be saved again by a newer one"
            ))
        };
        let mut archive = ZipArchive::new(BufReader::new(file)).map_err(not_a_zip)?;
        let (folder, pickle) = pickled_dictionary(&mut archive).map_err(damaged)?;
        let mut tensors = HashMap::new();
        for (name, object) in pickle {
            let Object::Unicode(name) = name else {
                continue;
            };
            // A state dictionary may contain objects other than tensors.
            if let Some(mut stored) = stored(object) {
                stored.entry = format!("{folder}{}", stored.entry);
                tensors.insert(name, stored);
            }
        }
        Ok(Self {
            path,
            archive: Mutex::new(archive),
            tensors,
        })
    }
}

/// Reads the pickled dictionary and the name of the archive folder that it is in. The archive's
/// checksum detects a damaged pickle.
fn pickled_dictionary(
    archive: &mut ZipArchive<BufReader<File>>,
) -> Result<(String, Vec<(Object, Object)>), String> {
    const PICKLE: &str = "data.pkl";
    let name = (archive.file_names().flatten())
        .find(|name| name.ends_with(PICKLE))
        .map(std::borrow::Cow::into_owned)
        .ok_or_else(|| format!("the archive has no `{PICKLE}`"))?;
    let mut bytes = Vec::new();
    let mut entry = archive.by_name(&name).map_err(|error| error.to_string())?;
    entry
        .read_to_end(&mut bytes)
        .map_err(|error| format!("`{PICKLE}`: {error}"))?;
    let mut stack = Stack::empty();
    let object = stack
        .read_loop(&mut bytes.as_slice())
        .and_then(|()| stack.finalize())
        .map_err(|error| format!("`{PICKLE}`: {error}"))?;
    let Object::Dict(entries) = object else {
        return Err(format!("`{PICKLE}` is not a dictionary of tensors"));
    };
    let folder = name.strip_suffix(PICKLE).unwrap_or_default().to_owned();
    Ok((folder, entries))
}

/// Reads a tensor's description from a pickled object, or returns `None` if it is not a tensor.
fn stored(object: Object) -> Option<Stored> {
    let (callable, args) = object.reduce().ok()?;
    let (module, function) = callable.class().ok()?;
    let mut args = args.tuple().ok()?.into_iter();
    match (module.as_str(), function.as_str()) {
        ("torch._utils", "_rebuild_tensor_v2") => {}
        ("torch._utils", "_rebuild_parameter") => return stored(args.next()?),
        _ => return None,
    }
    let storage = args.next()?.persistent_load().ok()?.tuple().ok()?;
    let [_, class, Object::Unicode(key), ..] = storage.as_slice() else {
        return None;
    };
    let Object::Class { class_name, .. } = class else {
        return None;
    };
    Some(Stored {
        entry: format!("data/{key}"),
        format: match class_name.as_str() {
            "HalfStorage" => Some(Format::F16),
            "BFloat16Storage" => Some(Format::BF16),
            "FloatStorage" => Some(Format::F32),
            "DoubleStorage" => Some(Format::F64),
            _ => None,
        },
        offset: size(&args.next()?)?,
        shape: sizes(args.next()?)?,
        strides: sizes(args.next()?)?,
    })
}

/// Returns the value of a pickled non-negative integer, or `None` for any other object.
fn size(object: &Object) -> Option<usize> {
    match object {
        Object::Int(value) => usize::try_from(*value).ok(),
        Object::Long(value) => usize::try_from(*value).ok(),
        _ => None,
    }
}

/// Returns the values of a pickled tuple of non-negative integers, such as a shape.
fn sizes(object: Object) -> Option<Vec<usize>> {
    object.tuple().ok()?.iter().map(size).collect()
}

impl Stored {
    /// Returns how many numbers the tensor spans, from its first to its last inclusive; `None` if
    /// that overflows.
    fn extent(&self) -> Option<usize> {
        if self.shape.contains(&0) {
            return Some(0);
        }
        let mut last = 0_usize;
        for (&size, &stride) in self.shape.iter().zip(&self.strides) {
            last = last.checked_add((size - 1).checked_mul(stride)?)?;
        }
        last.checked_add(1)
    }

    /// Returns the tensor's first byte within its entry, which has `entry_bytes` bytes, and its
    /// extent in numbers; `None` if it reaches beyond the entry.
    fn section(&self, format: Format, entry_bytes: u64) -> Option<(u64, usize)> {
        let start = self.offset.checked_mul(format.bytes())? as u64;
        let extent = self.extent()?;
        let bytes = extent.checked_mul(format.bytes())? as u64;
        (start.checked_add(bytes)? <= entry_bytes).then_some((start, extent))
    }

    /// Returns whether the numbers are stored contiguously, last dimension fastest.
    fn is_in_order(&self) -> bool {
        let mut expected = 1;
        let dimensions = self.shape.iter().zip(&self.strides).rev();
        dimensions.into_iter().all(|(&size, &stride)| {
            let in_order = size == 1 || stride == expected;
            expected *= size;
            in_order
        })
    }
}

impl TensorFile for PytorchFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.get(name).map(|stored| stored.shape.clone())
    }

    fn precision(&self, name: &str) -> Option<DType> {
        self.tensors.get(name)?.format.map(Format::dtype)
    }

    fn read(&self, name: &str, dtype: DType) -> Result<Tensor, Error> {
        let flat = self.extract(name, |bytes, format, count| {
            floats::read(bytes, format, count, dtype)
        })?;
        let stored = self.tensors.get(name).expect("it was just read");
        Ok(lay_out(&flat, stored)?)
    }

    fn check(&self, name: &str) -> Result<(), Error> {
        self.extract(name, |bytes, format, count| {
            floats::check(bytes, format, count)
        })
    }
}

impl PytorchFile {
    /// Passes the bytes of a tensor to `take`, together with the format of its numbers and how
    /// many it spans.
    fn extract<T>(
        &self,
        name: &str,
        take: impl FnOnce(&mut dyn Read, Format, usize) -> Result<T, ReadError>,
    ) -> Result<T, Error> {
        let refused = |reason: String| Error::Tensor {
            path: self.path.clone(),
            name: name.to_owned(),
            reason,
        };
        let Some(stored) = self.tensors.get(name) else {
            return Err(refused("the file does not have it".to_owned()));
        };
        let Some(format) = stored.format else {
            return Err(refused(
                "its numbers are not floating-point ones".to_owned(),
            ));
        };
        let mut archive = self
            .archive
            .lock()
            .map_err(|_| refused("reading another tensor failed".to_owned()))?;
        let mut entry = archive
            .by_name(&stored.entry)
            .map_err(|error| refused(format!("`{}`: {error}", stored.entry)))?;
        let Some((start, count)) = stored.section(format, entry.size()) else {
            return Err(refused(format!(
                "it reaches beyond `{}`; copy the file again",
                stored.entry
            )));
        };
        let skip = |reader: &mut dyn Read| io::copy(reader, &mut io::sink());
        skip(&mut entry.by_ref().take(start))
            .map_err(ReadError::from)
            .and_then(|_| take(&mut entry, format, count))
            // Reading to the end of the entry makes the archive verify its checksum.
            .and_then(|taken| Ok(skip(&mut entry).map(|_| taken)?))
            .map_err(|error| refused(format!("`{}`: {error}", stored.entry)))
    }
}

/// Gives a tensor its shape. Numbers that are stored in another order are reordered.
fn lay_out(flat: &Tensor, stored: &Stored) -> candle_core::Result<Tensor> {
    let shape = stored.shape.as_slice();
    if stored.is_in_order() {
        return flat.reshape(shape);
    }
    // Builds one index per number of the tensor, last dimension fastest.
    let mut index = vec![0_u32];
    for (&size, &stride) in shape.iter().zip(&stored.strides) {
        index = index
            .iter()
            .flat_map(|&at| (0..size).map(move |step| at + (step * stride) as u32))
            .collect();
    }
    let count = index.len();
    flat.index_select(&Tensor::from_vec(index, count, flat.device())?, 0)?
        .reshape(shape)
}
