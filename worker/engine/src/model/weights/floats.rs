//! Reads floating-point numbers from a file and widens them on the way, unless half precision is
//! wanted.
//!
//! One block at a time goes from the file into the precision the engine computes in, so that
//! loading a model needs the memory of the model plus one block.

use std::io::{self, Read};

use candle_core::{DType, Tensor, WithDType};
use half::{bf16, f16};

use crate::kernels::host;

/// Bytes per read: large enough for the disk, small enough for the CPU cache.
const BLOCK_BYTES: usize = 1 << 18;

/// How a file stores a number. All formats are little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    F16,
    BF16,
    F32,
    F64,
}

impl Format {
    /// Returns the corresponding candle type.
    pub(super) fn dtype(self) -> DType {
        match self {
            Self::F16 => DType::F16,
            Self::BF16 => DType::BF16,
            Self::F32 => DType::F32,
            Self::F64 => DType::F64,
        }
    }

    /// Returns the number of bytes per number.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::F16 | Self::BF16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// Returns the index of the first number of `block` that is infinite or NaN, that is, whose
    /// exponent bits are all set.
    fn first_not_finite(self, block: &[u8]) -> Option<usize> {
        match self {
            Self::F16 => first(block, |bytes| u16::from_le_bytes(bytes) & 0x7C00 == 0x7C00),
            Self::BF16 => first(block, |bytes| u16::from_le_bytes(bytes) & 0x7F80 == 0x7F80),
            Self::F32 => first(block, |bytes| !f32::from_le_bytes(bytes).is_finite()),
            Self::F64 => first(block, |bytes| !f64::from_le_bytes(bytes).is_finite()),
        }
    }
}

/// Returns the index of the first number of `N` bytes for which `is_bad` is true. The first loop
/// only tells whether there is one, without branches, so that the compiler can vectorize it. The
/// second one, which finds the index, hardly ever runs.
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
    /// A number is infinite or NaN, in the file or after conversion to the engine's precision.
    #[error(
        "number {index} of {count} is not finite; copy the file again, or take another checkpoint: every score of this one would be NaN"
    )]
    NotFinite {
        /// Index of the number, from 0.
        index: usize,
        /// How many numbers there are.
        count: usize,
    },
    /// candle could not create the tensor.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// Reads `count` numbers into a flat tensor of `dtype`. Fails if one of them is not finite.
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
    // Convert through the wider of the two precisions, so that a number is never rounded twice.
    if format == Format::F64 || dtype == DType::F64 {
        let values = widened(reader, format, count, |bytes| match format {
            Format::F16 => f16::from_le_bytes([bytes[0], bytes[1]]).to_f64(),
            Format::BF16 => bf16::from_le_bytes([bytes[0], bytes[1]]).to_f64(),
            Format::F32 => f64::from(f32::from_le_bytes(fixed(bytes))),
            Format::F64 => f64::from_le_bytes(fixed(bytes)),
        })?;
        // A double may be too large for single precision.
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

/// Fails if one of `count` numbers is not finite. Keeps none of them in memory.
pub(super) fn check(reader: impl Read, format: Format, count: usize) -> Result<(), ReadError> {
    for_each_block(reader, format, count, |_| ())
}

/// Makes a tensor of `values`, `[values]`, in the precision `dtype`.
fn flat<T: WithDType>(values: Vec<T>, dtype: DType) -> Result<Tensor, candle_core::Error> {
    let count = values.len();
    host::upload(values, count)?.to_candle()?.to_dtype(dtype)
}

/// Reads `count` numbers and converts each with `widen`.
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

/// Passes `count` numbers to `take`, block by block. Fails if one of them is not finite.
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

/// Returns the bytes of one number as an array. `bytes` must have exactly `N` of them.
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
