//! The score maps of an example: from Inseq's rectangles to the cells that exist.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use whence_engine::{ScoreRows, SequenceScores, Side};

use super::super::blob::{self, Tensor};

/// The text of a tensor.
#[derive(Debug)]
pub(super) struct Blob(String);

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct BlobVisitor;

        impl<'de> Visitor<'de> for BlobVisitor {
            type Value = Blob;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("scores as a text: a safetensors file in base64")
            }

            fn visit_str<E>(self, text: &str) -> Result<Blob, E> {
                Ok(Blob(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Blob, E> {
                Ok(Blob(text))
            }

            fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Blob, A::Error> {
                Err(A::Error::custom(
                    "its scores are arrays in the form of Inseq before 0.6; load the file with \
                     that version and save it with 0.7",
                ))
            }
        }

        json.deserialize_any(BlobVisitor)
    }
}

/// Reads the tensor of the field `name`.
pub(super) fn read(name: &str, blob: &Blob) -> Result<Tensor, String> {
    blob::decode(&blob.0).map_err(|reason| format!("`{name}`: {reason}"))
}

/// Returns `tensor` if its first dimensions are `expected`.
pub(super) fn shaped(name: &str, tensor: Tensor, expected: &[usize]) -> Result<Tensor, String> {
    if tensor.shape.starts_with(expected) {
        return Ok(tensor);
    }
    let further = if name == "target_attributions" {
        "; of encoder-decoder models, Inseq attributes one token too many with `attr_pos_end`"
    } else {
        ""
    };
    Err(format!(
        "`{name}` has the shape {:?}, its tokens and positions are {expected:?}{further}",
        tensor.shape
    ))
}

/// Returns the rows of column `index` of a map, at most `rows` of them.
pub(super) fn column(map: &Tensor, index: usize, rows: Option<usize>) -> ScoreRows {
    let row_shape = map.shape[2..].to_vec();
    let width: usize = row_shape.iter().product();
    let columns = map.shape[1];
    let rows = rows.unwrap_or(map.shape[0]);
    let cells = (0..rows).map(|row| &map.values[(row * columns + index) * width..][..width]);
    ScoreRows {
        values: cells.flatten().copied().collect(),
        row_shape,
    }
}

/// Returns the rows of the step at `position`: those of its prefix, and that of a token merged from
/// several pieces, which has a score for itself. Later tokens have none.
pub(super) fn prefix(map: &Tensor, index: usize, position: usize) -> Result<ScoreRows, String> {
    let mut rows = column(map, index, None);
    let width = rows.row_len().max(1);
    let is_missing = |row: &[f32]| row.iter().all(|value| value.is_nan());
    let mut scored = rows.values.chunks_exact(width);
    let scored = scored
        .rposition(|row| !is_missing(row))
        .map_or(0, |last| last + 1);
    if scored > position + 1 {
        return Err(format!(
            "`target_attributions` has a score of token {} for the earlier token {position}",
            scored - 1
        ));
    }
    let kept = scored.max(position.min(map.shape[0]));
    rows.values.truncate(kept * rows.row_len());
    Ok(rows)
}

/// The step scores of an example, score after score.
pub(super) struct StepScores(Vec<Vec<f32>>);

impl StepScores {
    /// Reads the scores called `names`, one number per step.
    pub(super) fn read(
        stored: Option<&BTreeMap<String, Blob>>,
        names: &[String],
        steps: usize,
    ) -> Result<Self, String> {
        let values = |name: &String| -> Result<Vec<f32>, String> {
            let missing = || format!("there is no step score `{name}`, other sequences have it");
            let stored = stored.and_then(|stored| stored.get(name));
            let tensor = read(name, stored.ok_or_else(missing)?)?;
            Ok(shaped(name, tensor, &[steps])?.values)
        };
        let scores: Vec<_> = names.iter().map(values).collect::<Result<_, _>>()?;
        match scores.iter().position(|values| values.len() != steps) {
            None => Ok(Self(scores)),
            Some(index) => Err(format!("`{}` has several values per step", names[index])),
        }
    }

    pub(super) fn of_step(&self, step: usize) -> Vec<f32> {
        self.0.iter().map(|values| values[step]).collect()
    }
}

/// Reads the scores of the tokens of one stack for each other.
pub(super) fn sequences(
    stored: Option<&BTreeMap<String, Blob>>,
    source_tokens: usize,
    (start, end): (usize, usize),
) -> Result<Vec<SequenceScores>, String> {
    let mut sequences = Vec::new();
    for (name, blob) in stored.into_iter().flatten() {
        let tensor = read(name, blob)?;
        let steps = end - start;
        let (side, columns) = if name.starts_with("encoder") {
            let map = shaped(name, tensor, &[source_tokens, source_tokens])?;
            let columns = (0..source_tokens).map(|query| column(&map, query, None));
            (Side::Source, columns.collect())
        } else if name.starts_with("decoder") {
            let rows = (end.max(1)) - 1;
            // Inseq keeps the square of the first tokens, whichever tokens are explained.
            if steps > 0 && tensor.shape.first() != Some(&rows) {
                return Err(format!(
                    "`{name}` has scores of other tokens than the explained ones, as Inseq saves \
                     them if `attr_pos_start` is not 1"
                ));
            }
            let map = shaped(name, tensor, &[rows, steps])?;
            let columns = (0..steps).map(|step| column(&map, step, Some(start + step)));
            (Side::Target, columns.collect())
        } else {
            return Err(format!("`sequence_scores` has the unknown name `{name}`"));
        };
        sequences.push(SequenceScores {
            name: name.clone(),
            side,
            columns,
        });
    }
    Ok(sequences)
}
