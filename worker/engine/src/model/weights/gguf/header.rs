//! Checks a GGUF file's header before candle reads it.
//!
//! candle divides by `general.alignment` and multiplies dimensions without checking them, and a
//! file from outside may contain anything. Source of the format:
//! <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

use std::io::{self, BufRead, Read, Seek};

use candle_core::quantized::gguf_file::{Content, TensorInfo};

const MAGIC: &[u8; 4] = b"GGUF";
/// The metadata key for the alignment of tensors.
const ALIGNMENT: &[u8] = b"general.alignment";
/// Maximum depth of nested arrays, more than any real file has.
const MAX_NESTING: usize = 8;

/// Type numbers of metadata values.
mod kind {
    pub(super) const UINT32: u32 = 4;
    pub(super) const STRING: u32 = 8;
    pub(super) const ARRAY: u32 = 9;
}

/// Fails if the metadata is truncated or malformed, or if its alignment is not an unsigned 32-bit
/// integer that is a power of two and at least 8, as the format requires.
pub(super) fn check_alignment(reader: &mut (impl BufRead + Seek)) -> io::Result<()> {
    if &bytes::<4>(reader)? != MAGIC {
        return Err(damaged("it does not begin with `GGUF`"));
    }
    let lengths = match u32::from_le_bytes(bytes(reader)?) {
        1 => Lengths::Short,
        2 | 3 => Lengths::Long,
        version => return Err(damaged(&format!("version {version} of GGUF is unknown"))),
    };
    lengths.read(reader)?;
    for _ in 0..lengths.read(reader)? {
        let length = lengths.read(reader)?;
        let is_alignment = length == ALIGNMENT.len() as u64 && {
            let start = reader.stream_position()?;
            let found = bytes::<{ ALIGNMENT.len() }>(reader)?;
            reader.seek(io::SeekFrom::Start(start))?;
            found == ALIGNMENT
        };
        skip(reader, length)?;
        let kind = u32::from_le_bytes(bytes(reader)?);
        if is_alignment {
            let alignment = match kind {
                kind::UINT32 => u32::from_le_bytes(bytes(reader)?),
                _ => 0,
            };
            if alignment < 8 || !alignment.is_power_of_two() {
                return Err(damaged(
                    "`general.alignment` is not a power of two from 8 on",
                ));
            }
        } else {
            lengths.skip_value(reader, kind, 0)?;
        }
    }
    Ok(())
}

/// Fails if the size of a tensor overflows, or if a tensor extends beyond the end of the file.
pub(super) fn check_extents(content: &Content, file_bytes: u64) -> Result<(), String> {
    for (name, info) in &content.tensor_infos {
        let start = content.tensor_data_offset.checked_add(info.offset);
        let end = start
            .zip(tensor_bytes(info))
            .and_then(|(start, bytes)| start.checked_add(bytes));
        if end.is_none_or(|end| end > file_bytes) {
            return Err(format!(
                "tensor `{name}` reaches beyond the file's {file_bytes} bytes; copy it again"
            ));
        }
    }
    Ok(())
}

/// Returns the size of a tensor in bytes, or `None` if it overflows. Quantized numbers are stored
/// in blocks.
fn tensor_bytes(info: &TensorInfo) -> Option<u64> {
    let mut numbers = 1_u64;
    for &size in info.shape.dims() {
        numbers = numbers.checked_mul(size as u64)?;
    }
    let blocks = numbers.div_ceil(info.ggml_dtype.block_size() as u64);
    blocks.checked_mul(info.ggml_dtype.type_size() as u64)
}

/// Width of the lengths and counts in a file.
#[derive(Clone, Copy)]
enum Lengths {
    /// 32 bits, in version 1.
    Short,
    /// 64 bits, from version 2 on.
    Long,
}

impl Lengths {
    fn read(self, reader: &mut impl Read) -> io::Result<u64> {
        Ok(match self {
            Self::Short => u32::from_le_bytes(bytes(reader)?).into(),
            Self::Long => u64::from_le_bytes(bytes(reader)?),
        })
    }

    fn skip_value(self, reader: &mut impl BufRead, kind: u32, nesting: usize) -> io::Result<()> {
        match kind {
            kind::STRING => {
                let length = self.read(reader)?;
                skip(reader, length)
            }
            kind::ARRAY if nesting < MAX_NESTING => {
                let kind = u32::from_le_bytes(bytes(reader)?);
                let count = self.read(reader)?;
                if let Some(width) = width(kind) {
                    return skip(reader, count.saturating_mul(width));
                }
                for _ in 0..count {
                    self.skip_value(reader, kind, nesting + 1)?;
                }
                Ok(())
            }
            _ => match width(kind) {
                Some(width) => skip(reader, width),
                None => Err(damaged(&format!(
                    "its metadata have a value of kind {kind}"
                ))),
            },
        }
    }
}

/// Returns the number of bytes of a value of this kind, or `None` if values of this kind vary in
/// size.
fn width(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

/// Skips `count` bytes. Fails if the file has fewer.
fn skip(reader: &mut impl BufRead, count: u64) -> io::Result<()> {
    let skipped = io::copy(&mut reader.take(count), &mut io::sink())?;
    if skipped < count {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

fn bytes<const N: usize>(reader: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn damaged(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.to_owned())
}
