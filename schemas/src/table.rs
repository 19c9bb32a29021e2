//! Which table a job fills, and with what columns.

use arrow_schema::{Fields, Schema};

use crate::{JobSpec, context_output, output};

/// Returns the schema of the table that a job fills: the context table if the job asks what depends
/// on a context, otherwise the attribution table. `columns` are the copied dataset columns.
pub fn schema(spec: &JobSpec, columns: &Fields) -> Schema {
    match spec.context {
        Some(_) => context_output::schema(columns),
        None => output::schema(&spec.attribution.step_score_labels(), columns),
    }
}
