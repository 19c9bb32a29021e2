//! Which optional columns the tables of a storage root have.

use arrow::datatypes::{DataType, Field, Schema};
use whence_schemas::output;

/// Which optional columns the slots of a storage root have, and their common schema.
#[derive(Debug, Clone)]
pub struct Shape {
    /// The union of the columns of all jobs.
    pub schema: Schema,
}

impl Shape {
    /// Describes slots that have `schema`.
    pub fn new(schema: Schema) -> Self {
        Self { schema }
    }

    /// Returns whether any job carried columns of its dataset.
    pub fn is_carrying(&self) -> bool {
        self.schema.field_with_name(output::COLUMNS).is_ok()
    }

    /// Returns the names of the step scores that any job recorded.
    pub fn step_scores(&self) -> Vec<&str> {
        let steps = self
            .schema
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
