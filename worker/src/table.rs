//! Attributions as rows of the table, and the table as Parquet.
//!
//! One row a sequence of an example, steps nested. Scores are split into byte streams before they
//! are compressed, which suits floating-point numbers of similar size; everything else is left to
//! dictionaries. The bytes depend on the rows and the footer alone.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float32Array, Int32Array, Int64Array, ListArray, RecordBatch,
    StringArray, StructArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, FieldRef, Fields, Schema};
use arrow::error::ArrowError;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;
use whence_engine::{Attribution, ScoreRows, SequenceScores, Side, StepAttribution, Token};
use whence_schemas::{RowId, output};

/// Rows of one row group: enough to compress well, few enough to look up one example quickly.
const ROW_GROUP_ROWS: usize = 16_384;

/// Why an example could not be attributed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// What kind of error; constant for each kind.
    pub code: String,
    /// What went wrong and what to do about it.
    pub message: String,
}

/// One row of the table before it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputRow {
    /// Example and sequence.
    pub id: RowId,
    /// The input text.
    pub input_text: Option<String>,
    /// Whether the dataset forced the target.
    pub forced: bool,
    /// What became of the example.
    pub result: Result<Attribution, RowError>,
}

impl OutputRow {
    fn attribution(&self) -> Option<&Attribution> {
        self.result.as_ref().ok()
    }
}

/// Builds the record batch of `rows`, with the dataset columns `columns`, one a row, carried along.
pub fn batch(
    rows: &[OutputRow],
    step_scores: &[String],
    columns: Option<&StructArray>,
) -> Result<RecordBatch, ArrowError> {
    let fields = columns.map_or_else(Fields::empty, |columns| columns.fields().clone());
    let schema = Arc::new(output::schema(step_scores, &fields));
    let good = || rows.iter().map(OutputRow::attribution);
    let error = || rows.iter().map(|row| row.result.as_ref().err());
    let position = |of: fn(&Attribution) -> usize| {
        Int32Array::from_iter(good().map(|a| a.map(|a| of(a) as i32)))
    };
    let mut arrays: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(
            rows.iter().map(|row| row.id.example),
        )),
        Arc::new(Int32Array::from_iter_values(
            rows.iter().map(|row| row.id.sample),
        )),
        Arc::new(StringArray::from_iter_values(rows.iter().map(
            |row| match row.result {
                Ok(_) => output::STATUS_OK,
                Err(_) => output::STATUS_ERROR,
            },
        ))),
        Arc::new(StringArray::from_iter(
            error().map(|e| e.map(|e| e.code.as_str())),
        )),
        Arc::new(StringArray::from_iter(
            error().map(|e| e.map(|e| e.message.as_str())),
        )),
        Arc::new(StringArray::from_iter(
            rows.iter().map(|row| row.input_text.as_deref()),
        )),
        Arc::new(StringArray::from_iter(
            good().map(|a| a.map(|a| a.generated_text.as_str())),
        )),
        Arc::new(BooleanArray::from_iter(
            rows.iter().map(|row| Some(row.forced)),
        )),
        texts(good().map(|a| a.map(|a| a.source.as_slice())))?,
        ids(good().map(|a| a.map(|a| a.source.as_slice())))?,
        offsets(good().map(|a| a.map(|a| a.source.as_slice())))?,
        texts(good().map(|a| a.map(|a| a.target.as_slice())))?,
        ids(good().map(|a| a.map(|a| a.target.as_slice())))?,
        offsets(good().map(|a| a.map(|a| a.target.as_slice())))?,
        Arc::new(position(|a| a.attr_pos_start)),
        Arc::new(position(|a| a.attr_pos_end)),
        steps(rows, step_scores)?,
        sequences(rows)?,
    ];
    arrays.extend(columns.map(|columns| Arc::new(columns.clone()) as ArrayRef));
    RecordBatch::try_new(schema, arrays)
}

fn texts<'a>(
    lists: impl Iterator<Item = Option<&'a [Token]>> + Clone,
) -> Result<ArrayRef, ArrowError> {
    let values = StringArray::from_iter(
        lists
            .clone()
            .flatten()
            .flatten()
            .map(|token| Some(token.text.as_str())),
    );
    list(
        lists.map(|tokens| tokens.map(<[Token]>::len)),
        output::element(DataType::Utf8),
        Arc::new(values),
    )
}

fn ids<'a>(
    lists: impl Iterator<Item = Option<&'a [Token]>> + Clone,
) -> Result<ArrayRef, ArrowError> {
    let values = Int32Array::from_iter_values(lists.clone().flatten().flatten().map(id_of));
    list(
        lists.map(|tokens| tokens.map(<[Token]>::len)),
        output::element(DataType::Int32),
        Arc::new(values),
    )
}

fn offsets<'a>(
    lists: impl Iterator<Item = Option<&'a [Token]>> + Clone,
) -> Result<ArrayRef, ArrowError> {
    let of_tokens = || lists.clone().flatten().flatten().map(|token| token.offsets);
    let positions = |of: fn((usize, usize)) -> usize| -> ArrayRef {
        let positions = of_tokens().map(|offsets| offsets.map_or(0, of) as i32);
        Arc::new(Int32Array::from_iter_values(positions))
    };
    let values = StructArray::try_new(
        output::offsets_fields(),
        vec![positions(|(start, _)| start), positions(|(_, end)| end)],
        Some(of_tokens().map(|offsets| offsets.is_some()).collect()),
    )?;
    list(
        lists.map(|tokens| tokens.map(<[Token]>::len)),
        output::offsets_element(),
        Arc::new(values),
    )
}

/// Returns a token's id; -1, as in Inseq's files, for one merged of several.
fn id_of(token: &Token) -> i32 {
    token.id.map_or(-1, |id| id as i32)
}

fn steps(rows: &[OutputRow], step_scores: &[String]) -> Result<ArrayRef, ArrowError> {
    let steps = || {
        rows.iter()
            .filter_map(OutputRow::attribution)
            .flat_map(|a| a.steps.iter().map(move |step| (a, step)))
    };
    let numbers = rows
        .iter()
        .filter_map(OutputRow::attribution)
        .flat_map(|a| 0..a.steps.len() as i32);
    let token = |(attribution, step): (&'_ Attribution, &StepAttribution)| {
        attribution.target[step.target_pos].clone()
    };
    let tokens: Vec<_> = steps().map(token).collect();
    let contrasts = || steps().map(|(_, step)| step.contrast.as_ref());
    let mut arrays: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from_iter_values(numbers)),
        Arc::new(Int32Array::from_iter_values(
            steps().map(|(_, step)| step.target_pos as i32),
        )),
        Arc::new(StringArray::from_iter_values(
            tokens.iter().map(|token| token.text.as_str()),
        )),
        Arc::new(Int32Array::from_iter_values(tokens.iter().map(id_of))),
        Arc::new(StringArray::from_iter(
            contrasts().map(|token| token.map(|token| token.text.as_str())),
        )),
        Arc::new(Int32Array::from_iter(
            contrasts().map(|token| token.map(id_of)),
        )),
        scores(steps().map(|(_, step)| step.source.as_ref()))?,
        scores(steps().map(|(_, step)| step.target.as_ref()))?,
    ];
    let fields = output::step_fields(step_scores);
    let steps: Vec<_> = steps().map(|(_, step)| step).collect();
    arrays.extend(functions(&fields, &steps)?);
    let values = StructArray::try_new(fields.clone(), arrays, None)?;
    let lengths = rows
        .iter()
        .map(|row| row.attribution().map(|a| a.steps.len()));
    let element = output::element(DataType::Struct(fields));
    list(lengths, element, Arc::new(values))
}

/// Returns the values of the step functions, if `fields` of a step have any.
fn functions(fields: &Fields, steps: &[&StepAttribution]) -> Result<Option<ArrayRef>, ArrowError> {
    let Some((_, field)) = fields.find(output::STEP_SCORES) else {
        return Ok(None);
    };
    let DataType::Struct(of_functions) = field.data_type() else {
        let reason = "step scores are a struct".to_owned();
        return Err(ArrowError::SchemaError(reason));
    };
    let of_function = |function: usize| -> ArrayRef {
        let values = steps.iter().map(|step| step.step_scores[function]);
        Arc::new(Float32Array::from_iter_values(values))
    };
    let columns = (0..of_functions.len()).map(of_function).collect();
    let values = StructArray::try_new(of_functions.clone(), columns, None)?;
    Ok(Some(Arc::new(values)))
}

/// Returns the scores of tokens for others of their stack, null for rows that have none.
fn sequences(rows: &[OutputRow]) -> Result<ArrayRef, ArrowError> {
    let of_row = |row: &'_ OutputRow| -> Option<usize> {
        let sequences = &row.attribution()?.sequence_scores;
        let columns = sequences.iter().map(|scores| scores.columns.len());
        (!sequences.is_empty()).then(|| columns.sum())
    };
    let attributions = rows.iter().filter_map(OutputRow::attribution);
    let columns: Vec<_> = attributions
        .flat_map(|a| a.sequence_scores.iter().map(move |scores| (a, scores)))
        .flat_map(|(a, scores)| {
            let columns = scores.columns.iter().enumerate();
            columns.map(move |(index, column)| (scores, position(a, scores, index), column))
        })
        .collect();
    let texts = |of: fn(&SequenceScores) -> &str| -> ArrayRef {
        let texts = columns.iter().map(|(scores, ..)| of(scores));
        Arc::new(StringArray::from_iter_values(texts))
    };
    let of_columns = columns.iter().map(|&(.., column)| column.values.as_slice());
    let values = of_columns.clone().flatten().copied();
    let offsets = OffsetBuffer::from_lengths(of_columns.map(<[f32]>::len));
    let values = Arc::new(Float32Array::from_iter_values(values));
    let scores = ListArray::try_new(output::element(DataType::Float32), offsets, values, None)?;
    let positions = columns.iter().map(|&(_, position, _)| position);
    let arrays: Vec<ArrayRef> = vec![
        texts(|scores| scores.name.as_str()),
        texts(|scores| match scores.side {
            Side::Source => output::SIDE_SOURCE,
            Side::Target => output::SIDE_TARGET,
        }),
        Arc::new(Int32Array::from_iter_values(positions)),
        Arc::new(scores),
    ];
    let fields = output::sequence_fields();
    let values = StructArray::try_new(fields.clone(), arrays, None)?;
    let element = output::element(DataType::Struct(fields));
    list(rows.iter().map(of_row), element, Arc::new(values))
}

/// Returns the position of the token that column `index` of `scores` stands for.
fn position(attribution: &Attribution, scores: &SequenceScores, index: usize) -> i32 {
    let position = match scores.side {
        Side::Source => index,
        Side::Target => attribution.attr_pos_start + index,
    };
    position as i32
}

fn scores<'a>(
    rows: impl Iterator<Item = Option<&'a ScoreRows>> + Clone,
) -> Result<ArrayRef, ArrowError> {
    let values = rows
        .clone()
        .flatten()
        .flat_map(|scores| scores.values.iter().copied());
    let values = Float32Array::from_iter_values(values);
    list(
        rows.map(|scores| scores.map(|scores| scores.values.len())),
        output::element(DataType::Float32),
        Arc::new(values),
    )
}

/// Builds lists of the given lengths, null where there is none, over consecutive values.
fn list(
    lengths: impl Iterator<Item = Option<usize>> + Clone,
    element: FieldRef,
    values: ArrayRef,
) -> Result<ArrayRef, ArrowError> {
    let offsets = OffsetBuffer::from_lengths(lengths.clone().map(Option::unwrap_or_default));
    let nulls = NullBuffer::from_iter(lengths.map(|length| length.is_some()));
    Ok(Arc::new(ListArray::try_new(
        element,
        offsets,
        values,
        Some(nulls),
    )?))
}

/// Encodes a batch as Parquet, with `footer` as its key-value metadata.
pub fn encode(batch: &RecordBatch, footer: Vec<(&str, String)>) -> Result<Vec<u8>, ParquetError> {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_key_value_metadata(Some(
            footer
                .into_iter()
                .map(|(k, v)| KeyValue::new(k.to_owned(), v))
                .collect(),
        ));
    for column in score_columns(&batch.schema()) {
        properties = properties
            .set_column_dictionary_enabled(column.clone(), false)
            .set_column_encoding(column, Encoding::BYTE_STREAM_SPLIT);
    }
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties.build()))?;
    writer.write(batch)?;
    writer.close()?;
    Ok(bytes)
}

/// Returns the paths of the columns that hold scores.
fn score_columns(schema: &Schema) -> Vec<ColumnPath> {
    let list_of = |name: &str| {
        [output::STEPS, "list", "element", name, "list", "element"]
            .map(str::to_owned)
            .to_vec()
    };
    let mut columns = vec![
        list_of(output::SOURCE_SCORES),
        list_of(output::TARGET_SCORES),
        [
            output::SEQUENCE_SCORES,
            "list",
            "element",
            output::SCORES,
            "list",
            "element",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    if let Ok(DataType::List(step)) = schema
        .field_with_name(output::STEPS)
        .map(arrow::datatypes::Field::data_type)
        && let DataType::Struct(fields) = step.data_type()
        && let Some((_, scores)) = fields.find(output::STEP_SCORES)
        && let DataType::Struct(functions) = scores.data_type()
    {
        columns.extend(functions.iter().map(|function| {
            [
                output::STEPS,
                "list",
                "element",
                output::STEP_SCORES,
                function.name(),
            ]
            .map(str::to_owned)
            .to_vec()
        }));
    }
    columns.into_iter().map(ColumnPath::new).collect()
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::Float32Type;
    use bytes::Bytes;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    fn token(id: u32) -> Token {
        Token {
            id: Some(id),
            text: format!("▁{id}"),
            offsets: None,
        }
    }

    fn row(example_id: i64, scores: &[f32]) -> OutputRow {
        let rows = |values: &[f32]| {
            Some(ScoreRows {
                values: values.to_vec(),
                row_shape: vec![],
            })
        };
        let step = StepAttribution {
            target_pos: 1,
            source: rows(scores),
            target: None,
            step_scores: vec![0.25],
            contrast: None,
        };
        let attribution = Attribution {
            source: (0..scores.len() as u32).map(token).collect(),
            target: vec![token(9), token(5)],
            generated_text: "cinq".to_owned(),
            forced: true,
            attr_pos_start: 1,
            attr_pos_end: 2,
            steps: vec![step],
            sequence_scores: Vec::new(),
        };
        OutputRow {
            id: RowId::first_of(example_id),
            input_text: Some("five".to_owned()),
            forced: true,
            result: Ok(attribution),
        }
    }

    fn failed(example_id: i64) -> OutputRow {
        let error = RowError {
            code: "empty_text".to_owned(),
            message: "the input text is empty".to_owned(),
        };
        OutputRow {
            id: RowId::first_of(example_id),
            input_text: None,
            forced: false,
            result: Err(error),
        }
    }

    #[test]
    fn rows_survive_parquet() {
        let rows = [row(3, &[0.5, 0.25, 0.25]), failed(4), row(5, &[1.0])];
        let batch = batch(&rows, &["probability".to_owned()], None).unwrap();
        let bytes = Bytes::from(
            encode(&batch, vec![(output::footer::SLOT, "p000000".to_owned())]).unwrap(),
        );
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
        let footer = builder
            .metadata()
            .file_metadata()
            .key_value_metadata()
            .unwrap();
        assert!(footer.iter().any(
            |pair| pair.key == output::footer::SLOT && pair.value.as_deref() == Some("p000000")
        ));
        let read: Vec<_> = builder.build().unwrap().map(Result::unwrap).collect();
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].columns(), batch.columns());
        let steps = read[0]
            .column_by_name(output::STEPS)
            .unwrap()
            .as_list::<i32>()
            .clone();
        assert!(steps.is_null(1));
        let scores = steps
            .values()
            .as_struct()
            .column_by_name(output::SOURCE_SCORES)
            .unwrap()
            .as_list::<i32>()
            .clone();
        assert_eq!(
            scores.value(0).as_primitive::<Float32Type>().values(),
            &[0.5, 0.25, 0.25]
        );
    }

    #[test]
    fn the_same_rows_are_the_same_bytes() {
        let encoded =
            || encode(&batch(&[row(1, &[0.1, 0.9])], &[], None).unwrap(), vec![]).unwrap();
        assert_eq!(encoded(), encoded());
    }
}
