//! A record batch of the attribution table as rows: what the worker's encoding undoes.

use arrow::array::{Array, AsArray, GenericListArray, Int32Array, RecordBatch, StructArray};
use arrow::datatypes::{Float32Type, Int32Type, Int64Type};
use arrow::error::ArrowError;
use whence_engine::{Attribution, ScoreRows, SequenceScores, Side, StepAttribution, Token};
use whence_schemas::{RowId, output};

use super::row::{ResultRow, RowError};

type Lists = GenericListArray<i32>;

/// Decodes a batch of [`output::schema`] with the step scores `step_scores`.
///
/// Fails if a column is missing or of another type.
pub(super) fn rows(
    batch: &RecordBatch,
    step_scores: &[String],
) -> Result<Vec<ResultRow>, ArrowError> {
    let columns = Columns::of(batch)?;
    (0..batch.num_rows())
        .map(|row| columns.row(row, step_scores))
        .collect()
}

struct Columns<'b> {
    batch: &'b RecordBatch,
    steps: &'b Lists,
}

impl<'b> Columns<'b> {
    fn of(batch: &'b RecordBatch) -> Result<Self, ArrowError> {
        let steps = column(batch, output::STEPS)?.as_list_opt();
        Ok(Self {
            batch,
            steps: steps.ok_or_else(|| wrong(output::STEPS))?,
        })
    }

    fn row(&self, row: usize, step_scores: &[String]) -> Result<ResultRow, ArrowError> {
        let example = column(self.batch, output::EXAMPLE_ID)?
            .as_primitive_opt::<Int64Type>()
            .ok_or_else(|| wrong(output::EXAMPLE_ID))?
            .value(row);
        let sample = column(self.batch, output::SAMPLE)?
            .as_primitive_opt::<Int32Type>()
            .ok_or_else(|| wrong(output::SAMPLE))?
            .value(row);
        let is_good = self.text(output::STATUS, row)?.as_deref() == Some(output::STATUS_OK);
        let outcome = if is_good {
            Ok(self.attribution(row, step_scores)?)
        } else {
            Err(RowError {
                code: self.text(output::ERROR_CODE, row)?.unwrap_or_default(),
                message: self.text(output::ERROR_MESSAGE, row)?.unwrap_or_default(),
            })
        };
        Ok(ResultRow {
            id: RowId { example, sample },
            input_text: self.text(output::INPUT_TEXT, row)?,
            outcome,
        })
    }

    fn attribution(&self, row: usize, step_scores: &[String]) -> Result<Attribution, ArrowError> {
        let forced = column(self.batch, output::TARGET_FORCED)?.as_boolean_opt();
        let steps = self.steps.value(row);
        let steps = steps.as_struct_opt().ok_or_else(|| wrong(output::STEPS))?;
        Ok(Attribution {
            source: self.tokens(&SOURCE, row)?,
            target: self.tokens(&TARGET, row)?,
            generated_text: self.text(output::GENERATED_TEXT, row)?.unwrap_or_default(),
            forced: forced
                .ok_or_else(|| wrong(output::TARGET_FORCED))?
                .value(row),
            attr_pos_start: self.position(output::ATTR_POS_START, row)?,
            attr_pos_end: self.position(output::ATTR_POS_END, row)?,
            steps: (0..steps.len())
                .map(|index| step(steps, index, step_scores))
                .collect::<Result<_, _>>()?,
            sequence_scores: self.sequence_scores(row)?,
        })
    }

    fn sequence_scores(&self, row: usize) -> Result<Vec<SequenceScores>, ArrowError> {
        const NAME: &str = output::SEQUENCE_SCORES;
        let lists: Option<&Lists> = column(self.batch, NAME)?.as_list_opt();
        let lists = lists.ok_or_else(|| wrong(NAME))?;
        if lists.is_null(row) {
            return Ok(Vec::new());
        }
        let elements = lists.value(row);
        let elements = elements.as_struct_opt().ok_or_else(|| wrong(NAME))?;
        sequences(elements)
    }

    fn text(&self, name: &str, row: usize) -> Result<Option<String>, ArrowError> {
        let texts = column(self.batch, name)?.as_string_opt::<i32>();
        let texts = texts.ok_or_else(|| wrong(name))?;
        Ok(texts.is_valid(row).then(|| texts.value(row).to_owned()))
    }

    fn position(&self, name: &str, row: usize) -> Result<usize, ArrowError> {
        let positions = column(self.batch, name)?.as_primitive_opt::<Int32Type>();
        let position = positions.ok_or_else(|| wrong(name))?.value(row);
        usize::try_from(position).map_err(|_| wrong(name))
    }

    fn tokens(&self, columns: &TokenColumns, row: usize) -> Result<Vec<Token>, ArrowError> {
        let TokenColumns {
            texts,
            ids,
            offsets,
        } = columns;
        let list = |name: &str| -> Result<_, ArrowError> {
            let lists: Option<&Lists> = column(self.batch, name)?.as_list_opt();
            Ok(lists.ok_or_else(|| wrong(name))?.value(row))
        };
        let (text_values, id_values, spans) = (list(texts)?, list(ids)?, list(offsets)?);
        let text_values = text_values
            .as_string_opt::<i32>()
            .ok_or_else(|| wrong(texts))?;
        let id_values = id_values
            .as_primitive_opt::<Int32Type>()
            .ok_or_else(|| wrong(ids))?;
        let spans = spans.as_struct_opt().ok_or_else(|| wrong(offsets))?;
        let position = |name: &str| {
            let positions = spans.column_by_name(name)?;
            positions.as_primitive_opt::<Int32Type>()
        };
        let (Some(starts), Some(ends)) = (position(output::START), position(output::END)) else {
            return Err(wrong(offsets));
        };
        let span = |index: usize| {
            let place = |positions: &Int32Array| usize::try_from(positions.value(index)).ok();
            Some((place(starts)?, place(ends)?)).filter(|_| spans.is_valid(index))
        };
        let tokens = text_values.iter().zip(id_values.values()).enumerate();
        Ok(tokens
            .map(|(index, (text, &id))| Token {
                id: u32::try_from(id).ok(),
                text: text.unwrap_or_default().to_owned(),
                offsets: span(index),
            })
            .collect())
    }
}

/// The columns that describe the tokens of one side.
struct TokenColumns {
    texts: &'static str,
    ids: &'static str,
    offsets: &'static str,
}

const SOURCE: TokenColumns = TokenColumns {
    texts: output::SOURCE_TOKENS,
    ids: output::SOURCE_TOKEN_IDS,
    offsets: output::SOURCE_TOKEN_OFFSETS,
};
const TARGET: TokenColumns = TokenColumns {
    texts: output::TARGET_TOKENS,
    ids: output::TARGET_TOKEN_IDS,
    offsets: output::TARGET_TOKEN_OFFSETS,
};

fn step(
    steps: &StructArray,
    index: usize,
    step_scores: &[String],
) -> Result<StepAttribution, ArrowError> {
    let field = |name: &str| steps.column_by_name(name).ok_or_else(|| wrong(name));
    let position = field(output::TARGET_POS)?.as_primitive_opt::<Int32Type>();
    let position = position
        .ok_or_else(|| wrong(output::TARGET_POS))?
        .value(index);
    let scores = |name: &str| -> Result<Option<ScoreRows>, ArrowError> {
        let lists: &Lists = field(name)?.as_list_opt().ok_or_else(|| wrong(name))?;
        if lists.is_null(index) {
            return Ok(None);
        }
        let values = lists.value(index);
        let values = values
            .as_primitive_opt::<Float32Type>()
            .ok_or_else(|| wrong(name))?;
        Ok(Some(ScoreRows {
            values: values.values().to_vec(),
            row_shape: Vec::new(),
        }))
    };
    let function = |name: &String| -> Result<f32, ArrowError> {
        let of_step = field(output::STEP_SCORES)?
            .as_struct_opt()
            .and_then(|scores| scores.column_by_name(name))
            .and_then(|values| values.as_primitive_opt::<Float32Type>());
        Ok(of_step.ok_or_else(|| wrong(name))?.value(index))
    };
    Ok(StepAttribution {
        contrast: contrast(steps, index)?,
        target_pos: usize::try_from(position).map_err(|_| wrong(output::TARGET_POS))?,
        source: scores(output::SOURCE_SCORES)?,
        target: scores(output::TARGET_SCORES)?,
        step_scores: step_scores.iter().map(function).collect::<Result<_, _>>()?,
    })
}

/// Puts together the scores whose columns stand one after another in `columns`.
fn sequences(columns: &StructArray) -> Result<Vec<SequenceScores>, ArrowError> {
    let field = |name: &str| columns.column_by_name(name).ok_or_else(|| wrong(name));
    let texts = |name: &'static str| {
        let texts = field(name)?.as_string_opt::<i32>();
        texts.ok_or_else(|| wrong(name))
    };
    let (names, sides) = (texts(output::NAME)?, texts(output::SIDE)?);
    let scores: &Lists = field(output::SCORES)?
        .as_list_opt()
        .ok_or_else(|| wrong(output::SCORES))?;
    let mut sequences: Vec<SequenceScores> = Vec::new();
    for index in 0..columns.len() {
        let values = scores.value(index);
        let values = values.as_primitive_opt::<Float32Type>();
        let column = ScoreRows {
            values: values
                .ok_or_else(|| wrong(output::SCORES))?
                .values()
                .to_vec(),
            row_shape: Vec::new(),
        };
        match sequences.last_mut() {
            Some(last) if last.name == names.value(index) => last.columns.push(column),
            _ => sequences.push(SequenceScores {
                name: names.value(index).to_owned(),
                side: match sides.value(index) {
                    output::SIDE_SOURCE => Side::Source,
                    output::SIDE_TARGET => Side::Target,
                    _ => return Err(wrong(output::SIDE)),
                },
                columns: vec![column],
            }),
        }
    }
    Ok(sequences)
}

/// Returns the token a step is contrasted with.
fn contrast(steps: &StructArray, index: usize) -> Result<Option<Token>, ArrowError> {
    let field = |name: &str| steps.column_by_name(name).ok_or_else(|| wrong(name));
    let texts = field(output::CONTRAST_TOKEN)?.as_string_opt::<i32>();
    let texts = texts.ok_or_else(|| wrong(output::CONTRAST_TOKEN))?;
    let ids = field(output::CONTRAST_TOKEN_ID)?.as_primitive_opt::<Int32Type>();
    let ids = ids.ok_or_else(|| wrong(output::CONTRAST_TOKEN_ID))?;
    Ok(texts.is_valid(index).then(|| Token {
        id: u32::try_from(ids.value(index)).ok(),
        text: texts.value(index).to_owned(),
        offsets: None,
    }))
}

fn column<'b>(batch: &'b RecordBatch, name: &str) -> Result<&'b dyn Array, ArrowError> {
    let column = batch.column_by_name(name);
    column
        .map(AsRef::as_ref)
        .ok_or_else(|| ArrowError::SchemaError(format!("there is no column `{name}`")))
}

fn wrong(name: &str) -> ArrowError {
    ArrowError::SchemaError(format!("column `{name}` has another type than the table's"))
}

#[cfg(test)]
mod tests {
    use whence_worker::table::{self, OutputRow};

    use super::*;

    fn token(id: u32) -> Token {
        Token {
            id: Some(id),
            text: format!("▁{id}"),
            offsets: (id < 6).then_some((id as usize, 2 * id as usize)),
        }
    }

    fn sequence(name: &str, side: Side, columns: &[&[f32]]) -> SequenceScores {
        let column = |values: &&[f32]| ScoreRows {
            values: values.to_vec(),
            row_shape: vec![],
        };
        SequenceScores {
            name: name.to_owned(),
            side,
            columns: columns.iter().map(column).collect(),
        }
    }

    #[test]
    fn what_a_worker_wrote_is_read_back() {
        let rows_of = |values: &[f32]| {
            Some(ScoreRows {
                values: values.to_vec(),
                row_shape: vec![],
            })
        };
        let attribution = Attribution {
            source: vec![token(3), token(4)],
            target: vec![token(9), token(5)],
            generated_text: "cinq".to_owned(),
            forced: true,
            attr_pos_start: 1,
            attr_pos_end: 2,
            steps: vec![StepAttribution {
                target_pos: 1,
                source: rows_of(&[0.75, 0.25]),
                target: None,
                contrast: Some(token(6)),
                step_scores: vec![0.5],
            }],
            sequence_scores: vec![
                sequence("decoder_self_scores", Side::Target, &[&[1.0]]),
                sequence(
                    "encoder_self_scores",
                    Side::Source,
                    &[&[0.5, 0.5], &[0.25, 0.75]],
                ),
            ],
        };
        let bad = table::RowError {
            code: "empty_text".to_owned(),
            message: "the input text is empty".to_owned(),
        };
        let written = [
            OutputRow {
                id: RowId {
                    example: 7,
                    sample: 1,
                },
                input_text: Some("five".to_owned()),
                forced: true,
                result: Ok(attribution.clone()),
            },
            OutputRow {
                id: RowId::first_of(8),
                input_text: None,
                forced: false,
                result: Err(bad),
            },
        ];
        let names = ["probability".to_owned()];
        let batch = table::batch(&written, &names, None).unwrap();
        let read = rows(&batch, &names).unwrap();
        assert_eq!((read[0].id, read[1].id), (written[0].id, written[1].id));
        assert_eq!(read[0].outcome, Ok(attribution));
        assert_eq!(read[1].input_text, None);
        assert_eq!(read[1].outcome.as_ref().unwrap_err().code, "empty_text");
    }
}
