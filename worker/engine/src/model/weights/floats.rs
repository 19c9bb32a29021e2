//! Floating-point numbers from a file, widened as they are read unless halves are wanted.
//!
//! A block at a time goes from the file into the precision the engine computes in, so that loading
//! a model needs the memory of the model and of one block.

use std::io::{self, Read};

use candle_core::{DType, Device, Tensor, WithDType};
use half::{bf16, f16};

use crate::error::Result;

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
}

/// Reads `count` numbers as a flat tensor of `dtype`.
pub(super) fn read(
    reader: impl Read,
    format: Format,
    count: usize,
    dtype: DType,
) -> io::Result<Result<Tensor>> {
    match (format, dtype) {
        (Format::F16, DType::F16) => {
            let halves = widened(reader, format, count, |bytes| {
                f16::from_le_bytes(fixed(bytes))
            })?;
            return Ok(flat(halves, dtype));
        }
        (Format::BF16, DType::BF16) => {
            let halves = widened(reader, format, count, |bytes| {
                bf16::from_le_bytes(fixed(bytes))
            })?;
            return Ok(flat(halves, dtype));
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
        return Ok(flat(values, dtype));
    }
    let values = widened(reader, format, count, |bytes| match format {
        Format::F16 => f16::from_le_bytes([bytes[0], bytes[1]]).to_f32(),
        Format::BF16 => bf16::from_le_bytes([bytes[0], bytes[1]]).to_f32(),
        Format::F32 | Format::F64 => f32::from_le_bytes(fixed(bytes)),
    })?;
    Ok(flat(values, dtype))
}

fn flat<T: WithDType>(values: Vec<T>, dtype: DType) -> Result<Tensor> {
    let count = values.len();
    Tensor::from_vec(values, count, &Device::Cpu)?.to_dtype(dtype)
}

fn widened<T>(
    mut reader: impl Read,
    format: Format,
    count: usize,
    widen: impl Fn(&[u8]) -> T,
) -> io::Result<Vec<T>> {
    let width = format.bytes();
    let mut values = Vec::with_capacity(count);
    let mut block = vec![0; BLOCK_BYTES.min(count * width)];
    while values.len() < count {
        let bytes = (count - values.len())
            .saturating_mul(width)
            .min(block.len());
        reader.read_exact(&mut block[..bytes])?;
        values.extend(block[..bytes].chunks_exact(width).map(&widen));
    }
    Ok(values)
}

/// Returns the bytes of one number, of which the chunk has exactly as many.
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
                let tensor = read(bytes.as_slice(), format, count, dtype)
                    .unwrap()
                    .unwrap();
                assert_eq!(tensor.dtype(), dtype);
                let read = tensor.to_dtype(DType::F64).unwrap().to_vec1::<f64>();
                assert_eq!(read.unwrap(), numbers, "{format:?} as {dtype:?}");
            }
        }
    }
}
