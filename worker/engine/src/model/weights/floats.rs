//! Floating-point numbers from a file, widened as they are read unless halves are wanted.
//!
//! A block at a time goes from the file into the precision the engine computes in, so that loading
//! a model needs the memory of the model and of one block.

use std::io::{self, Read};

use candle_core::{DType, Tensor, WithDType};
use half::{bf16, f16};

use crate::kernels::host;

/// Bytes read at once: large enough for the disk, small enough for the cache.
const BLOCK_BYTES: usize = 1 << 18;

/// How a file writes a number, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    F16,
    BF16,
    F32,
    F64,
}

impl Format {
    /// Returns the precision.
    pub(super) fn dtype(self) -> DType {
        match self {
            Self::F16 => DType::F16,
            Self::BF16 => DType::BF16,
            Self::F32 => DType::F32,
            Self::F64 => DType::F64,
        }
    }

    /// Returns how many bytes a number takes.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::F16 | Self::BF16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// Returns which number of `block` is the first that is infinite or none: the exponent of such a
    /// number has all its bits set.
    fn first_not_finite(self, block: &[u8]) -> Option<usize> {
        match self {
            Self::F16 => first(block, |bytes| u16::from_le_bytes(bytes) & 0x7C00 == 0x7C00),
            Self::BF16 => first(block, |bytes| u16::from_le_bytes(bytes) & 0x7F80 == 0x7F80),
            Self::F32 => first(block, |bytes| !f32::from_le_bytes(bytes).is_finite()),
            Self::F64 => first(block, |bytes| !f64::from_le_bytes(bytes).is_finite()),
        }
    }
}

/// Returns the first number of `N` bytes that `is_bad`. Goes over all of them without a branch first:
/// hardly ever is there one.
fn first<const N: usize>(block: &[u8], is_bad: impl Fn([u8; N]) -> bool) -> Option<usize> {
    let (numbers, _) = block.as_chunks::<N>();
    let any = numbers
        .iter()
        .fold(false, |any, &number| any | is_bad(number));
    any.then(|| numbers.iter().position(|&number| is_bad(number)))
        .flatten()
}

/// Why numbers could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// The file could not be read.
    #[error(transparent)]
    File(#[from] io::Error),
    /// A number is infinite or none, in the file or in the precision the engine computes in.
    #[error(
        "number {index} of {count} is not finite; copy the file again, or take another checkpoint: no score of this one would be a number"
    )]
    NotFinite {
        /// Which, from 0.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// The tensor could not be made.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// Reads `count` numbers as a flat tensor of `dtype`. Fails if one of them is not finite.
pub(super) fn read(
    reader: impl Read,
    format: Format,
    count: usize,
    dtype: DType,
) -> Result<Tensor, ReadError> {
    match (format, dtype) {
        (Format::F16, DType::F16) => {
            let halves = widened(reader, format, count, |bytes| {
                f16::from_le_bytes(fixed(bytes))
            })?;
            return Ok(flat(halves, dtype)?);
        }
        (Format::BF16, DType::BF16) => {
            let halves = widened(reader, format, count, |bytes| {
                bf16::from_le_bytes(fixed(bytes))
            })?;
            return Ok(flat(halves, dtype)?);
        }
        _ => {}
    }
    // Through the wider of the two precisions: what a file says is never rounded twice.
    if format == Format::F64 || dtype == DType::F64 {
        let values = widened(reader, format, count, |bytes| match format {
            Format::F16 => f16::from_le_bytes([bytes[0], bytes[1]]).to_f64(),
            Format::BF16 => bf16::from_le_bytes([bytes[0], bytes[1]]).to_f64(),
            Format::F32 => f64::from(f32::from_le_bytes(fixed(bytes))),
            Format::F64 => f64::from_le_bytes(fixed(bytes)),
        })?;
        // A double may be larger than any single.
        let overflows = |value: &f64| dtype == DType::F32 && !(*value as f32).is_finite();
        if let Some(index) = values.iter().position(overflows) {
            return Err(ReadError::NotFinite { index, count });
        }
        return Ok(flat(values, dtype)?);
    }
    let values = widened(reader, format, count, |bytes| match format {
        Format::F16 => f16::from_le_bytes([bytes[0], bytes[1]]).to_f32(),
        Format::BF16 => bf16::from_le_bytes([bytes[0], bytes[1]]).to_f32(),
        Format::F32 | Format::F64 => f32::from_le_bytes(fixed(bytes)),
    })?;
    Ok(flat(values, dtype)?)
}

/// Fails if one of `count` numbers is not finite. Keeps none of them.
pub(super) fn check(reader: impl Read, format: Format, count: usize) -> Result<(), ReadError> {
    for_each_block(reader, format, count, |_| ())
}

fn flat<T: WithDType>(values: Vec<T>, dtype: DType) -> Result<Tensor, candle_core::Error> {
    let count = values.len();
    host::upload(values, count)?.to_dtype(dtype)
}

fn widened<T>(
    reader: impl Read,
    format: Format,
    count: usize,
    widen: impl Fn(&[u8]) -> T,
) -> Result<Vec<T>, ReadError> {
    let mut values = Vec::with_capacity(count);
    for_each_block(reader, format, count, |block| {
        values.extend(block.chunks_exact(format.bytes()).map(&widen));
    })?;
    Ok(values)
}

/// Hands `count` numbers to `take`, a block at a time. Fails if one of them is not finite.
fn for_each_block(
    mut reader: impl Read,
    format: Format,
    count: usize,
    mut take: impl FnMut(&[u8]),
) -> Result<(), ReadError> {
    let width = format.bytes();
    let mut block = vec![0; BLOCK_BYTES.min(count.saturating_mul(width))];
    let mut done = 0;
    while done < count {
        let bytes = (count - done).saturating_mul(width).min(block.len());
        let block = &mut block[..bytes];
        reader.read_exact(block)?;
        if let Some(index) = format.first_not_finite(block) {
            let index = done + index;
            return Err(ReadError::NotFinite { index, count });
        }
        take(block);
        done += bytes / width;
    }
    Ok(())
}

/// Returns the bytes of one number; the chunk has exactly as many.
fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut number = [0; N];
    number.copy_from_slice(bytes);
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_is_widened_exactly_across_blocks() {
        let count = BLOCK_BYTES / 2 + 3;
        let number = |index: usize| (index % 97) as f64 * 0.5 - 7.0;
        let numbers: Vec<f64> = (0..count).map(number).collect();
        for format in [Format::F16, Format::BF16, Format::F32, Format::F64] {
            let bytes: Vec<u8> = numbers
                .iter()
                .flat_map(|&number| match format {
                    Format::F16 => f16::from_f64(number).to_le_bytes().to_vec(),
                    Format::BF16 => bf16::from_f64(number).to_le_bytes().to_vec(),
                    Format::F32 => (number as f32).to_le_bytes().to_vec(),
                    Format::F64 => number.to_le_bytes().to_vec(),
                })
                .collect();
            for dtype in [DType::F32, DType::F64] {
                let tensor = read(bytes.as_slice(), format, count, dtype).unwrap();
                assert_eq!(tensor.dtype(), dtype);
                let read = tensor.to_dtype(DType::F64).unwrap().to_vec1::<f64>();
                assert_eq!(read.unwrap(), numbers, "{format:?} as {dtype:?}");
            }
        }
    }

    #[test]
    fn a_number_that_is_not_finite_is_found_in_every_format_and_block() {
        let count = BLOCK_BYTES / 2 + 3;
        let bytes = |format: Format, number: f64| match format {
            Format::F16 => f16::from_f64(number).to_le_bytes().to_vec(),
            Format::BF16 => bf16::from_f64(number).to_le_bytes().to_vec(),
            Format::F32 => (number as f32).to_le_bytes().to_vec(),
            Format::F64 => number.to_le_bytes().to_vec(),
        };
        for format in [Format::F16, Format::BF16, Format::F32, Format::F64] {
            let whole = bytes(format, -1.5).repeat(count);
            check(whole.as_slice(), format, count).unwrap();
            for (bad, at) in [
                (f64::NAN, 0),
                (f64::INFINITY, 7),
                (f64::NEG_INFINITY, count - 1),
            ] {
                let mut spoilt = whole.clone();
                let start = at * format.bytes();
                spoilt[start..start + format.bytes()].copy_from_slice(&bytes(format, bad));
                for outcome in [
                    check(spoilt.as_slice(), format, count),
                    read(spoilt.as_slice(), format, count, format.dtype()).map(drop),
                    read(spoilt.as_slice(), format, count, DType::F32).map(drop),
                ] {
                    let error = outcome.unwrap_err();
                    assert!(
                        matches!(error, ReadError::NotFinite { index, .. } if index == at),
                        "{format:?}: {error}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_double_beyond_the_largest_single_is_not_read_as_infinite() {
        let bytes = [1.0_f64, 1e300].map(f64::to_le_bytes).concat();
        read(bytes.as_slice(), Format::F64, 2, DType::F64).unwrap();
        let error = read(bytes.as_slice(), Format::F64, 2, DType::F32).unwrap_err();
        assert!(
            matches!(error, ReadError::NotFinite { index: 1, .. }),
            "{error}"
        );
    }
}
