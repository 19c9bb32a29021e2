//! A slot's object as a Parquet file: a batch of the attribution table and its [`Footer`].
//!
//! Scores are encoded as byte streams before compression, which suits floating-point numbers of
//! similar size. All other columns use dictionaries. The bytes depend only on the rows and the
//! footer, because attempts at one slot are compared byte for byte.

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, ParquetMetaData};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

use crate::footer::{Footer, FooterError};
use crate::output;

/// Maximum rows per row group: enough to compress well, few enough to find one example quickly.
const ROW_GROUP_ROWS: usize = 16_384;

/// Encodes the result of a shard.
pub fn encode(batch: &RecordBatch, footer: &Footer) -> Result<Vec<u8>, ParquetError> {
    // Level 3 is zstd's default.
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS));
    for column in score_columns(&batch.schema()) {
        properties = properties
            .set_column_dictionary_enabled(column.clone(), false)
            .set_column_encoding(column, Encoding::BYTE_STREAM_SPLIT);
    }
    write(batch, footer, properties)
}

/// Encodes a tombstone or error rows, uncompressed: they are too small for compression to matter.
pub fn encode_without_scores(
    batch: &RecordBatch,
    footer: &Footer,
) -> Result<Vec<u8>, ParquetError> {
    write(batch, footer, WriterProperties::builder())
}

/// A decoded slot file.
#[derive(Debug, Clone, PartialEq)]
pub struct SlotFile {
    /// Who filled the slot, with what, and for which job.
    pub footer: Footer,
    /// The rows.
    pub batches: Vec<RecordBatch>,
}

/// Why bytes are not a slot file.
#[derive(Debug, thiserror::Error)]
pub enum SlotFileError {
    /// The bytes are not a complete Parquet file.
    #[error("it is not a whole Parquet file: {0}")]
    Parquet(#[from] ParquetError),
    /// The file's rows cannot be decoded.
    #[error("its rows cannot be read: {0}")]
    Rows(#[from] arrow::error::ArrowError),
    /// The footer lacks keys or has malformed values: another program may have written the file.
    #[error(transparent)]
    Footer(#[from] FooterError),
}

/// Decodes a file written by [`encode`] or [`encode_without_scores`].
pub fn decode(bytes: Bytes) -> Result<SlotFile, SlotFileError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
    let footer = footer_of(builder.metadata())?;
    let batches = builder.build()?.collect::<Result<_, _>>()?;
    Ok(SlotFile { footer, batches })
}

/// Reads the footer out of a file's metadata.
pub(crate) fn footer_of(metadata: &ParquetMetaData) -> Result<Footer, FooterError> {
    let pairs = metadata.file_metadata().key_value_metadata();
    Footer::parse(|key| {
        let mut pairs = pairs.into_iter().flatten();
        pairs.find(|pair| pair.key == key)?.value.as_deref()
    })
}

fn write(
    batch: &RecordBatch,
    footer: &Footer,
    properties: WriterPropertiesBuilder,
) -> Result<Vec<u8>, ParquetError> {
    let pairs = footer.pairs();
    let pairs = pairs.map(|(key, value)| KeyValue::new(key.to_owned(), value));
    let properties = properties
        .set_key_value_metadata(Some(pairs.to_vec()))
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties))?;
    writer.write(batch)?;
    writer.close()?;
    Ok(bytes)
}

/// Returns the paths of the columns that hold scores. Parquet inserts `list` and `element` into the
/// path of each nested list.
fn score_columns(schema: &Schema) -> Vec<ColumnPath> {
    let path = |parts: &[&str]| ColumnPath::new(parts.iter().map(|&part| part.into()).collect());
    let element_of = |list: &str, name: &str| path(&[list, "list", "element", name]);
    let list_in =
        |list: &str, name: &str| path(&[list, "list", "element", name, "list", "element"]);
    let of_tokens = [
        list_in(output::STEPS, output::SOURCE_SCORES),
        list_in(output::STEPS, output::TARGET_SCORES),
        list_in(output::SEQUENCE_SCORES, output::SCORES),
    ];
    let of_functions = step_functions(schema).into_iter().map(|function| {
        let mut parts = element_of(output::STEPS, output::STEP_SCORES)
            .parts()
            .to_vec();
        parts.push(function);
        ColumnPath::new(parts)
    });
    of_tokens.into_iter().chain(of_functions).collect()
}

/// Returns the names of the step functions whose scores are in `schema`.
fn step_functions(schema: &Schema) -> Vec<String> {
    let step_scores = schema
        .field_with_name(output::STEPS)
        .ok()
        .and_then(|steps| {
            let DataType::List(step) = steps.data_type() else {
                return None;
            };
            let DataType::Struct(fields) = step.data_type() else {
                return None;
            };
            let (_, scores) = fields.find(output::STEP_SCORES)?;
            Some(scores.data_type().clone())
        });
    match step_scores {
        Some(DataType::Struct(functions)) => {
            let names = functions
                .iter()
                .map(|function: &std::sync::Arc<Field>| function.name());
            names.cloned().collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::Fields;

    use super::*;
    use crate::footer::SlotKind;
    use crate::{Attempt, Epoch, SlotId};

    fn footer() -> Footer {
        Footer {
            slot: SlotId::of_shard(3),
            attempt: Attempt::of(ulid::Ulid(5)),
            kind: SlotKind::Tombstone,
            examples: 0,
            errors: 0,
            worker: "w".parse().unwrap(),
            epoch: Epoch(2),
            spec_json: "{}".to_owned(),
            code_version: "1".to_owned(),
        }
    }

    fn empty_batch() -> RecordBatch {
        let schema = output::schema(&["probability".to_owned()], &Fields::empty());
        RecordBatch::new_empty(Arc::new(schema))
    }

    #[test]
    fn both_encodings_are_decoded() {
        let encoded = [
            encode(&empty_batch(), &footer()).unwrap(),
            encode_without_scores(&empty_batch(), &footer()).unwrap(),
        ];
        for bytes in encoded {
            let decoded = decode(bytes.into()).unwrap();
            assert_eq!(decoded.footer, footer());
            assert!(decoded.batches.iter().all(|batch| batch.num_rows() == 0));
        }
    }

    #[test]
    fn every_score_column_is_found() {
        let columns = score_columns(&empty_batch().schema());
        let names: Vec<_> = columns.iter().map(ColumnPath::string).collect();
        assert_eq!(
            names,
            [
                "steps.list.element.source_scores.list.element",
                "steps.list.element.target_scores.list.element",
                "sequence_scores.list.element.scores.list.element",
                "steps.list.element.step_scores.probability",
            ]
        );
    }

    #[test]
    fn a_cut_file_says_what_is_wrong() {
        let mut bytes = encode(&empty_batch(), &footer()).unwrap();
        bytes.truncate(bytes.len() / 2);
        let message = decode(bytes.into()).unwrap_err().to_string();
        assert!(message.contains("not a whole Parquet file"), "{message}");
    }
}
