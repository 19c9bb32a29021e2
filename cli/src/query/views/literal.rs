//! The rows of a small table as literals, for scripts that cannot read the objects it is made of.

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};

/// A value of a table, as text and whether it has to be quoted.
pub(super) enum Literal {
    Null,
    /// Digits, `true` or `false`, which every language writes in the same way but for its case.
    Bare(String),
    Text(String),
}

/// Returns the values of a column. Fails if one cannot be shown.
pub(super) fn values(batch: &RecordBatch, column: usize) -> Vec<Literal> {
    let array = batch.column(column);
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array.as_ref(), &options)
        .expect("the tables of jobs have columns of plain types");
    let is_bare = array.data_type().is_numeric() || array.data_type() == &DataType::Boolean;
    let value = |row: usize| {
        if array.is_null(row) {
            return Literal::Null;
        }
        let text = formatter.value(row).to_string();
        if is_bare {
            Literal::Bare(text)
        } else {
            Literal::Text(text)
        }
    };
    (0..batch.num_rows()).map(value).collect()
}
