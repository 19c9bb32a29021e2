//! Answers in types that every reader of Arrow and Parquet files knows.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;

/// Replaces dictionaries and views of text, which are how DataFusion works inside: a dictionary may
/// differ from batch to batch, which an Arrow file cannot hold, and many readers lack views.
pub(super) struct Plain {
    pub(super) schema: SchemaRef,
}

impl Plain {
    pub(super) fn new(schema: &Schema) -> Self {
        let fields = schema.fields().iter().map(|field| plain_field(field));
        Self {
            schema: Arc::new(Schema::new(fields.collect::<Fields>())),
        }
    }

    pub(super) fn batch(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let columns = batch.columns().iter().zip(self.schema.fields());
        let columns = columns.map(|(array, field)| {
            if array.data_type() == field.data_type() {
                Ok(ArrayRef::clone(array))
            } else {
                cast(array, field.data_type())
            }
        });
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        RecordBatch::try_new(SchemaRef::clone(&self.schema), columns)
    }
}

fn plain_field(field: &Field) -> Field {
    field.clone().with_data_type(plain_type(field.data_type()))
}

fn plain_type(of: &DataType) -> DataType {
    match of {
        DataType::Dictionary(_, values) => plain_type(values),
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::List(element) => DataType::List(Arc::new(plain_field(element))),
        DataType::Struct(fields) => {
            DataType::Struct(fields.iter().map(|field| plain_field(field)).collect())
        }
        other => other.clone(),
    }
}
