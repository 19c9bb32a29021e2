//! A slot's object as a Parquet file: a batch of the attribution table and its [`Footer`].
//!
//! Scores are encoded as byte streams before compression, which suits floating-point numbers of
//! similar size. All other columns use dictionaries. The bytes depend only on the rows and the
//! footer, because attempts at one slot are compared byte for byte. A file holds its own digest, by
//! which [`verify`] tells that it is whole.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, ParquetMetaData};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

use crate::footer::{Footer, FooterError};
use crate::{output, slot_digest};

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
    /// The bytes are not those that were written, or not those of a table.
    #[error("{0}")]
    Content(&'static str),
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

/// A file whose bytes are those that were written.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// Who filled the slot, with what, and for which job.
    pub footer: Footer,
    /// BLAKE3 digest of the file, in hexadecimal digits.
    pub digest: String,
    /// Numbers of the dataset rows that the file has rows for, each once, in the file's order.
    pub examples: Vec<i64>,
}

/// Checks a whole file: its digest, its footer, and that its rows can be told apart.
pub fn verify(bytes: Bytes) -> Result<Verified, SlotFileError> {
    let digest = slot_digest::verified(&bytes).map_err(SlotFileError::Content)?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
    let footer = footer_of(builder.metadata())?;
    let ids = ProjectionMask::columns(builder.parquet_schema(), [output::EXAMPLE_ID]);
    let mut examples = Vec::new();
    for batch in builder.with_projection(ids).build()? {
        let batch = batch?;
        let ids = batch.column_by_name(output::EXAMPLE_ID);
        let ids = ids.and_then(|ids| ids.as_primitive_opt::<Int64Type>());
        let ids = ids.ok_or(SlotFileError::Content("it has no column `example_id`"))?;
        examples.extend(ids.values());
    }
    examples.dedup();
    Ok(Verified {
        footer,
        digest,
        examples,
    })
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
    let placeholder = slot_digest::PLACEHOLDER.to_owned();
    let digest = KeyValue::new(slot_digest::KEY.to_owned(), placeholder);
    let pairs = pairs.into_iter().chain([digest]).collect();
    let properties = properties.set_key_value_metadata(Some(pairs)).build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties))?;
    writer.write(batch)?;
    writer.close()?;
    if !slot_digest::embed(&mut bytes) {
        let reason = "the footer has no place for the digest".to_owned();
        return Err(ParquetError::General(reason));
    }
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

    use arrow::array::{
        ArrayRef, BooleanArray, Int32Array, Int64Array, StringArray, new_null_array,
    };
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

    /// Returns a file with rows for these examples.
    fn file_of(examples: &[i64]) -> Vec<u8> {
        let schema = output::schema(&[], &Fields::empty());
        let column = |field: &Arc<Field>| -> ArrayRef {
            match field.name().as_str() {
                output::EXAMPLE_ID => Arc::new(Int64Array::from(examples.to_vec())),
                output::SAMPLE => Arc::new(Int32Array::from(vec![0; examples.len()])),
                output::STATUS => Arc::new(StringArray::from(vec!["ok"; examples.len()])),
                output::TARGET_FORCED => Arc::new(BooleanArray::from(vec![true; examples.len()])),
                _ => new_null_array(field.data_type(), examples.len()),
            }
        };
        let columns = schema.fields().iter().map(column).collect();
        let batch = RecordBatch::try_new(Arc::new(schema), columns).unwrap();
        encode(&batch, &footer()).unwrap()
    }

    #[test]
    fn a_whole_file_is_verified_with_its_rows() {
        let bytes = file_of(&[4, 4, 5, 9]);
        let verified = verify(bytes.clone().into()).unwrap();
        assert_eq!(verified.footer, footer());
        assert_eq!(verified.examples, [4, 5, 9]);
        // The same rows and footer give the same bytes, so the digest is no news.
        assert_eq!(file_of(&[4, 4, 5, 9]), bytes);
        assert_ne!(
            verify(file_of(&[4, 5, 9]).into()).unwrap().digest,
            verified.digest
        );
    }

    #[test]
    fn no_changed_bit_is_accepted() {
        let bytes = file_of(&[1, 2, 3]);
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1 << (place % 8);
            assert!(verify(changed.into()).is_err(), "byte {place}");
        }
    }

    #[test]
    fn a_file_that_was_cut_doubled_or_replaced_is_not_accepted() {
        let bytes = file_of(&[1, 2, 3]);
        for length in 0..bytes.len() {
            assert!(verify(bytes[..length].to_vec().into()).is_err(), "{length}");
        }
        assert!(verify([&bytes[..], &bytes[..]].concat().into()).is_err());
        assert!(verify([&[0], &bytes[..]].concat().into()).is_err());
        let message = verify(Bytes::new()).unwrap_err().to_string();
        assert_eq!(message, "it has no digest");
    }
}
