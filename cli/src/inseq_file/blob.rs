//! Encodes a tensor as text: a safetensors file with a single tensor, in base64. And back.

use clap::ValueEnum;
use data_encoding::BASE64;
use float8::F8E4M3;
use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};
use serde_json::json;
use whence_engine::ScoreRows;

/// Name of the tensor.
const NAME: &str = "attribution";
/// Largest number of half precision.
const LARGEST_F16: f32 = 65_504.0;
/// Largest number of eight bits, four of them for the exponent.
const LARGEST_F8: f32 = 448.0;

/// Precision of the scores in a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    /// Single precision.
    #[default]
    Float32,
    /// Half precision: three digits.
    Float16,
    /// Eight bits: one digit.
    Float8,
}

impl Precision {
    /// Returns the lowest precision, from `self` up, that has room for all of `values`. A score
    /// beyond the largest number of a format would become another number without notice.
    fn fitting(self, values: &[f32]) -> Self {
        let sizes = values.iter().filter(|value| !value.is_nan());
        let largest = sizes.fold(0.0, |largest: f32, value| largest.max(value.abs()));
        match self {
            Self::Float8 if largest <= LARGEST_F8 => Self::Float8,
            Self::Float8 | Self::Float16 if largest <= LARGEST_F16 => Self::Float16,
            _ => Self::Float32,
        }
    }

    /// Returns the name of the format in safetensors files, and the bytes of `values`.
    fn encode(self, values: &[f32]) -> (&'static str, Vec<u8>) {
        let numbers = values.iter();
        match self {
            Self::Float32 => ("F32", numbers.flat_map(|v| v.to_le_bytes()).collect()),
            Self::Float16 => {
                let bytes = numbers.flat_map(|v| f16::from_f32(*v).to_le_bytes());
                ("F16", bytes.collect())
            }
            Self::Float8 => {
                let bytes = numbers.map(|v| F8E4M3::from_f32(*v).to_bits());
                ("F8_E4M3", bytes.collect())
            }
        }
    }
}

/// A tensor that was read: its numbers in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tensor {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f32>,
}

/// Joins columns into one rectangular tensor of shape `[num_tokens, columns, …]`.
///
/// A column with fewer than `num_tokens` rows is filled up with `missing`.
pub(super) fn square(
    columns: &[&ScoreRows],
    num_tokens: usize,
    missing: f32,
    precision: Precision,
) -> String {
    let row_shape = columns.first().map_or(&[][..], |column| &column.row_shape);
    let row_len: usize = row_shape.iter().product();
    let mut values = vec![missing; num_tokens * columns.len() * row_len];
    for (step, column) in columns.iter().enumerate() {
        let rows = column.values.chunks_exact(row_len.max(1));
        for (token, row) in rows.take(num_tokens).enumerate() {
            let start = (token * columns.len() + step) * row_len;
            values[start..start + row_len].copy_from_slice(row);
        }
    }
    let shape = [num_tokens, columns.len()];
    let shape: Vec<_> = shape.iter().chain(row_shape).copied().collect();
    encode(&values, &shape, precision)
}

/// Returns a safetensors file in base64, with `values` as its only tensor.
///
/// Values too large for `precision` raise the precision of the whole tensor.
pub(super) fn encode(values: &[f32], shape: &[usize], precision: Precision) -> String {
    let (dtype, numbers) = precision.fitting(values).encode(values);
    let data_offsets = [0, numbers.len()];
    let header = json!({NAME: {"dtype": dtype, "shape": shape, "data_offsets": data_offsets}});
    let mut header = header.to_string();
    // Safetensors requires the data to begin at a multiple of 8 bytes, so the header is padded.
    header.extend(std::iter::repeat_n(
        ' ',
        header.len().next_multiple_of(8) - header.len(),
    ));
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend(numbers);
    BASE64.encode(&bytes)
}

/// Reads a tensor written by [`encode`] or by Inseq. Fails with the reason if `text` is not one, or
/// if its numbers have a format that scores do not have.
pub(super) fn decode(text: &str) -> Result<Tensor, String> {
    let bytes = BASE64
        .decode(text.as_bytes())
        .map_err(|error| format!("it is not base64 ({error})"))?;
    let file = SafeTensors::deserialize(&bytes)
        .map_err(|error| format!("it is not a safetensors file ({error})"))?;
    let [(name, view)] = &file.tensors()[..] else {
        return Err(format!("it holds {} tensors, not one", file.len()));
    };
    if name != NAME {
        return Err(format!("its tensor is called `{name}`, not `{NAME}`"));
    }
    let values = numbers(view.dtype(), view.data())
        .ok_or_else(|| format!("its numbers are {:?}", view.dtype()))?;
    Ok(Tensor {
        shape: view.shape().to_vec(),
        values,
    })
}

/// Converts numbers to single precision, as Inseq does when it loads them. `None` for a format that
/// scores do not have.
fn numbers(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    /// Reads numbers of `N` bytes.
    fn each<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        let (chunks, _) = bytes.as_chunks::<N>();
        chunks.iter().map(|chunk| number(*chunk)).collect()
    }
    Some(match dtype {
        Dtype::F64 => each(bytes, |b| f64::from_le_bytes(b) as f32),
        Dtype::F32 => each(bytes, f32::from_le_bytes),
        Dtype::F16 => each(bytes, |b| f16::from_le_bytes(b).to_f32()),
        Dtype::BF16 => each(bytes, |b| bf16::from_le_bytes(b).to_f32()),
        Dtype::F8_E4M3 => each(bytes, |[b]| F8E4M3::from_bits(b).to_f32()),
        Dtype::I64 => each(bytes, |b| i64::from_le_bytes(b) as f32),
        Dtype::I32 => each(bytes, |b| i32::from_le_bytes(b) as f32),
        Dtype::BOOL | Dtype::U8 => each(bytes, |[b]| f32::from(b)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(values: &[f32]) -> ScoreRows {
        ScoreRows {
            values: values.to_vec(),
            row_shape: vec![],
        }
    }

    #[test]
    fn a_blob_is_a_safetensors_file() {
        let (first, second) = (rows(&[0.75, 0.25]), rows(&[0.5, 0.25, 0.25]));
        let text = square(&[&first, &second], 4, f32::NAN, Precision::Float32);
        let bytes = BASE64.decode(text.as_bytes()).unwrap();
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        assert_eq!(length % 8, 0);
        let Tensor { shape, values } = decode(&text).unwrap();
        assert_eq!(shape, [4, 2]);
        assert_eq!(values[..4], [0.75, 0.5, 0.25, 0.25]);
        let late = [values[4], values[6], values[7]];
        assert!(late.iter().all(|value| value.is_nan()) && values[5] == 0.25);
    }

    /// The bytes are those of torch 2.15: `tensor.to(torch.float8_e4m3fn).view(torch.uint8)`.
    #[test]
    fn eight_bits_are_rounded_as_torch_does() {
        let values = [
            447.0,
            448.0,
            0.0009,
            0.001_953_125,
            0.000_976_562_5,
            0.00146,
            -1.0625,
            0.0,
            1.0,
            0.1,
            0.013,
        ];
        let (_, bytes) = Precision::Float8.encode(&values);
        assert_eq!(bytes, [126, 126, 0, 1, 0, 1, 184, 0, 56, 29, 7]);
        // A number of eight bits is read and written as it is.
        let all: Vec<u8> = (0..=255).filter(|bits| bits & 0x7f != 0x7f).collect();
        let read = numbers(Dtype::F8_E4M3, &all).unwrap();
        assert_eq!(Precision::Float8.encode(&read).1, all);
        let (_, missing) = Precision::Float8.encode(&[f32::NAN]);
        assert!(numbers(Dtype::F8_E4M3, &missing).unwrap()[0].is_nan());
    }

    #[test]
    fn a_score_too_large_for_a_format_raises_the_precision() {
        let read = |values: &[f32], precision| decode(&encode(values, &[values.len()], precision));
        let perplexities = [3.0, 1_000.0, f32::NAN];
        let found = read(&perplexities, Precision::Float8).unwrap().values;
        assert_eq!(found[..2], perplexities[..2]);
        for precision in [Precision::Float8, Precision::Float16] {
            for large in [100_001.0, f32::INFINITY] {
                assert_eq!(read(&[large], precision).unwrap().values, [large]);
            }
        }
    }

    #[test]
    fn what_is_not_a_blob_says_why() {
        let named = |name: &str, dtype: &str, bytes: usize| {
            let header = json!({name: {"dtype": dtype, "shape": [1], "data_offsets": [0, bytes]}});
            let mut file = (header.to_string().len() as u64).to_le_bytes().to_vec();
            file.extend(header.to_string().bytes().chain(vec![0; bytes]));
            BASE64.encode(&file)
        };
        for (text, reason) in [
            ("§".to_owned(), "it is not base64"),
            ("AAAA".to_owned(), "it is not a safetensors file"),
            (named("scores", "F32", 4), "its tensor is called `scores`"),
            (named("attribution", "C64", 8), "its numbers are C64"),
        ] {
            let found = decode(&text).unwrap_err();
            assert!(found.contains(reason), "{found}");
        }
        assert_eq!(
            decode(&named("attribution", "I64", 8)).unwrap().values,
            [0.0]
        );
    }
}
