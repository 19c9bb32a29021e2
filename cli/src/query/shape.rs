//! Which optional columns the tables of a storage root have.

use arrow::datatypes::{DataType, Field, Schema};
use whence_schemas::output;

use super::stored::StoredTable;

/// The columns of each stored table: the union of those of all jobs that fill it.
#[derive(Debug, Clone)]
pub struct Shape {
    attributions: Schema,
    contexts: Schema,
}

impl Shape {
    /// Describes tables with these columns.
    pub fn new(attributions: Schema, contexts: Schema) -> Self {
        Self {
            attributions,
            contexts,
        }
    }

    /// Returns the columns of `table`.
    pub fn columns_of(&self, table: StoredTable) -> &Schema {
        match table {
            StoredTable::Attributions => &self.attributions,
            StoredTable::Contexts => &self.contexts,
        }
    }

    /// Returns whether any attribution table carries columns of its dataset.
    pub fn is_carrying(&self) -> bool {
        self.attributions.field_with_name(output::COLUMNS).is_ok()
    }

    /// Returns the names of the step scores that any job recorded.
    pub fn step_scores(&self) -> Vec<&str> {
        let steps = self
            .attributions
            .field_with_name(output::STEPS)
            .map(Field::data_type);
        let Ok(DataType::List(step)) = steps else {
            return Vec::new();
        };
        let DataType::Struct(fields) = step.data_type() else {
            return Vec::new();
        };
        match fields
            .find(output::STEP_SCORES)
            .map(|(_, scores)| scores.data_type())
        {
            Some(DataType::Struct(scores)) => {
                scores.iter().map(|score| score.name().as_str()).collect()
            }
            _ => Vec::new(),
        }
    }
}
