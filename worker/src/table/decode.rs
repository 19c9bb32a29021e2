//! Decodes a record batch of [`output::schema`] into rows.
//!
//! The batch may come from another program or be damaged. So every column is looked up by name and
//! checked for its type, and a required value that is missing is an error, never replaced by a
//! default.

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, Float32Array, GenericListArray, PrimitiveArray,
    RecordBatch, StringArray, StructArray,
};
use arrow::datatypes::{Float32Type, Int32Type, Int64Type};
use arrow::error::ArrowError;
use whence_engine::{Attribution, ScoreRows, SequenceScores, Side, StepAttribution, Token};
use whence_schemas::{RowError, RowId, output};

use super::row::TableRow;

/// Decodes a batch whose step scores are named `step_scores`, in this order.
///
/// Fails, with the column's name, if a column is missing, has another type, or lacks a required
/// value.
pub fn decode(batch: &RecordBatch, step_scores: &[String]) -> Result<Vec<TableRow>, ArrowError> {
    let table = StructArray::from(batch.clone());
    let columns = Columns(&table);
    let rows = 0..batch.num_rows();
    rows.map(|row| decode_row(columns, row, step_scores))
        .collect()
}

fn decode_row(
    columns: Columns,
    row: usize,
    step_scores: &[String],
) -> Result<TableRow, ArrowError> {
    let id = RowId {
        example: columns.number::<Int64Type>(output::EXAMPLE_ID, row)?,
        sample: columns.number::<Int32Type>(output::SAMPLE, row)?,
    };
    let forced = columns.flag(output::TARGET_FORCED, row)?;
    let result = match columns.required_text(output::STATUS, row)?.as_str() {
        output::STATUS_OK => Ok(attribution(columns, row, step_scores)?),
        output::STATUS_ERROR => Err(RowError {
            code: columns.required_text(output::ERROR_CODE, row)?,
            message: columns.required_text(output::ERROR_MESSAGE, row)?,
        }),
        _ => return Err(wrong(output::STATUS)),
    };
    Ok(TableRow {
        id,
        input_text: columns.text(output::INPUT_TEXT, row)?,
        forced,
        result,
    })
}

fn attribution(
    columns: Columns,
    row: usize,
    step_scores: &[String],
) -> Result<Attribution, ArrowError> {
    let steps = columns.structs(output::STEPS, row)?;
    let steps = steps.ok_or_else(|| wrong(output::STEPS))?;
    let numbers = 0..steps.len();
    Ok(Attribution {
        source: tokens(columns, &SOURCE, row)?,
        target: tokens(columns, &TARGET, row)?,
        generated_text: columns.required_text(output::GENERATED_TEXT, row)?,
        forced: columns.flag(output::TARGET_FORCED, row)?,
        attr_pos_start: columns.position(output::ATTR_POS_START, row)?,
        attr_pos_end: columns.position(output::ATTR_POS_END, row)?,
        steps: numbers
            .map(|index| step(Columns(&steps), index, step_scores))
            .collect::<Result<_, _>>()?,
        sequence_scores: match columns.structs(output::SEQUENCE_SCORES, row)? {
            Some(queries) => sequences(&queries)?,
            None => Vec::new(),
        },
    })
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

fn tokens(columns: Columns, side: &TokenColumns, row: usize) -> Result<Vec<Token>, ArrowError> {
    let texts = columns.required_list(side.texts, row)?;
    let texts: &StringArray = texts.as_string_opt().ok_or_else(|| wrong(side.texts))?;
    let ids = columns.required_list(side.ids, row)?;
    let ids = ids.as_primitive_opt::<Int32Type>();
    let ids = ids.ok_or_else(|| wrong(side.ids))?;
    // A token that does not come from the text has no offsets, so these may be null.
    let offsets = columns.list(side.offsets, row)?;
    let offsets = offsets.ok_or_else(|| wrong(side.offsets))?;
    let offsets = offsets.as_struct_opt();
    let offsets = offsets.ok_or_else(|| wrong(side.offsets))?;
    if texts.len() != ids.len() {
        return Err(wrong(side.ids));
    }
    if texts.len() != offsets.len() {
        return Err(wrong(side.offsets));
    }
    let token = |index: usize| {
        let bound = |name| Columns(offsets).position(name, index);
        Ok(Token {
            // -1 marks a token that was merged from several and has no id.
            id: u32::try_from(ids.value(index)).ok(),
            text: texts.value(index).to_owned(),
            offsets: if offsets.is_valid(index) {
                Some((bound(output::START)?, bound(output::END)?))
            } else {
                None
            },
        })
    };
    (0..texts.len()).map(token).collect()
}

fn step(
    columns: Columns,
    index: usize,
    step_scores: &[String],
) -> Result<StepAttribution, ArrowError> {
    let function = |name: &String| -> Result<f32, ArrowError> {
        let functions = columns.array(output::STEP_SCORES)?.as_struct_opt();
        let functions = functions.ok_or_else(|| wrong(output::STEP_SCORES))?;
        Columns(functions).number::<Float32Type>(name, index)
    };
    let contrast = match columns.text(output::CONTRAST_TOKEN, index)? {
        Some(text) => {
            let id = columns.number::<Int32Type>(output::CONTRAST_TOKEN_ID, index)?;
            let id = u32::try_from(id).ok();
            // The table has no offsets for contrast tokens.
            let offsets = None;
            Some(Token { id, text, offsets })
        }
        None => None,
    };
    Ok(StepAttribution {
        contrast,
        target_pos: columns.position(output::TARGET_POS, index)?,
        source: columns.scores(output::SOURCE_SCORES, index)?,
        target: columns.scores(output::TARGET_SCORES, index)?,
        step_scores: step_scores.iter().map(function).collect::<Result<_, _>>()?,
    })
}

/// Groups the scores of consecutive query tokens that have the same name, which is how they are
/// encoded.
fn sequences(queries: &StructArray) -> Result<Vec<SequenceScores>, ArrowError> {
    let columns = Columns(queries);
    let mut sequences: Vec<SequenceScores> = Vec::new();
    for index in 0..queries.len() {
        let name = columns.required_text(output::NAME, index)?;
        let scores = columns.scores(output::SCORES, index)?;
        let scores = scores.ok_or_else(|| wrong(output::SCORES))?;
        let side = match columns.required_text(output::SIDE, index)?.as_str() {
            output::SIDE_SOURCE => Side::Source,
            output::SIDE_TARGET => Side::Target,
            _ => return Err(wrong(output::SIDE)),
        };
        match sequences.last_mut() {
            Some(last) if last.name == name => last.columns.push(scores),
            _ => sequences.push(SequenceScores {
                name,
                side,
                columns: vec![scores],
            }),
        }
    }
    Ok(sequences)
}

/// The columns of the table or of a nested struct, looked up by name.
#[derive(Clone, Copy)]
struct Columns<'a>(&'a StructArray);

impl<'a> Columns<'a> {
    fn array(self, name: &str) -> Result<&'a ArrayRef, ArrowError> {
        let missing = || ArrowError::SchemaError(format!("there is no column `{name}`"));
        self.0.column_by_name(name).ok_or_else(missing)
    }

    /// Returns a required number.
    fn number<T: ArrowPrimitiveType>(
        self,
        name: &str,
        row: usize,
    ) -> Result<T::Native, ArrowError> {
        let numbers: Option<&PrimitiveArray<T>> = self.array(name)?.as_primitive_opt();
        let numbers = numbers.filter(|numbers| numbers.is_valid(row));
        numbers
            .map(|numbers| numbers.value(row))
            .ok_or_else(|| wrong(name))
    }

    /// Returns a required position, which must not be negative.
    fn position(self, name: &str, row: usize) -> Result<usize, ArrowError> {
        let position = self.number::<Int32Type>(name, row)?;
        usize::try_from(position).map_err(|_| wrong(name))
    }

    /// Returns a required boolean.
    fn flag(self, name: &str, row: usize) -> Result<bool, ArrowError> {
        let flags = self.array(name)?.as_boolean_opt();
        let flags = flags.filter(|flags| flags.is_valid(row));
        flags
            .map(|flags| flags.value(row))
            .ok_or_else(|| wrong(name))
    }

    /// Returns a text, or `None` if it is null.
    fn text(self, name: &str, row: usize) -> Result<Option<String>, ArrowError> {
        let texts = self.array(name)?.as_string_opt::<i32>();
        let texts = texts.ok_or_else(|| wrong(name))?;
        Ok(texts.is_valid(row).then(|| texts.value(row).to_owned()))
    }

    /// Returns a required text.
    fn required_text(self, name: &str, row: usize) -> Result<String, ArrowError> {
        self.text(name, row)?.ok_or_else(|| wrong(name))
    }

    /// Returns the elements of a list, or `None` if the list is null.
    fn list(self, name: &str, row: usize) -> Result<Option<ArrayRef>, ArrowError> {
        let lists: Option<&GenericListArray<i32>> = self.array(name)?.as_list_opt();
        let lists = lists.ok_or_else(|| wrong(name))?;
        Ok(lists.is_valid(row).then(|| lists.value(row)))
    }

    /// Returns the elements of a list, none of which is null; `None` if the list itself is null.
    fn whole_list(self, name: &str, row: usize) -> Result<Option<ArrayRef>, ArrowError> {
        match self.list(name, row)? {
            // The value of a null element would be read as 0 or as an empty text.
            Some(elements) if elements.null_count() > 0 => Err(wrong(name)),
            elements => Ok(elements),
        }
    }

    /// Returns the elements of a required list, none of which is null.
    fn required_list(self, name: &str, row: usize) -> Result<ArrayRef, ArrowError> {
        self.whole_list(name, row)?.ok_or_else(|| wrong(name))
    }

    /// Returns the structs of a list, or `None` if the list is null.
    fn structs(self, name: &str, row: usize) -> Result<Option<StructArray>, ArrowError> {
        let Some(elements) = self.whole_list(name, row)? else {
            return Ok(None);
        };
        let structs = elements.as_struct_opt().cloned();
        structs.map(Some).ok_or_else(|| wrong(name))
    }

    /// Returns the scores of a list, or `None` if the list is null.
    fn scores(self, name: &str, row: usize) -> Result<Option<ScoreRows>, ArrowError> {
        let Some(values) = self.whole_list(name, row)? else {
            return Ok(None);
        };
        let values: Option<&Float32Array> = values.as_primitive_opt::<Float32Type>();
        let values = values.ok_or_else(|| wrong(name))?;
        Ok(Some(ScoreRows {
            values: values.values().to_vec(),
            // The table holds one value per token, so the values have no further axes.
            row_shape: Vec::new(),
        }))
    }
}

/// Returns the error that a column has the wrong type or lacks a required value.
fn wrong(name: &str) -> ArrowError {
    ArrowError::SchemaError(format!(
        "column `{name}` does not hold what the attribution table has there"
    ))
}
