//! Encodes a tensor as text: a safetensors file with a single tensor, in base64.

use data_encoding::BASE64;
use serde_json::json;
use whence_engine::ScoreRows;

/// Joins columns into one rectangular tensor of shape `[num_tokens, columns, …]`.
///
/// A column with fewer than `num_tokens` rows is filled up with `missing`.
pub(super) fn square(columns: &[&ScoreRows], num_tokens: usize, missing: f32) -> String {
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
    blob(&values, &shape)
}

/// Returns a safetensors file in base64, with `values` as its only tensor, `attribution`.
pub(super) fn blob(values: &[f32], shape: &[usize]) -> String {
    let data_offsets = [0, size_of_val(values)];
    let header = json!({
        "attribution": {"dtype": "F32", "shape": shape, "data_offsets": data_offsets}
    });
    let mut header = header.to_string();
    // Safetensors requires the data to begin at a multiple of 8 bytes, so the header is padded.
    header.extend(std::iter::repeat_n(
        ' ',
        header.len().next_multiple_of(8) - header.len(),
    ));
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    BASE64.encode(&bytes)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

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
        let text = square(&[&first, &second], 4, f32::NAN);
        let bytes = BASE64.decode(text.as_bytes()).unwrap();
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        assert_eq!(length % 8, 0);
        let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        assert_eq!(header["attribution"]["shape"], json!([4, 2]));
        let values: Vec<f32> = bytes[8 + length..]
            .chunks_exact(4)
            .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
            .collect();
        let late = [values[4], values[6], values[7]];
        assert_eq!(values[..4], [0.75, 0.5, 0.25, 0.25]);
        assert!(late.iter().all(|value| value.is_nan()) && values[5] == 0.25);
    }
}
