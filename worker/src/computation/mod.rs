//! What workers compute: attributions, or what depends on a context.
//!
//! Everything around it is the same for every kind of job: rows arrive, are cut into groups, go to
//! the device, and become a table in a slot. A kind of job says what it makes of a row, how it
//! computes a group, and what its table looks like.

pub(crate) mod attributing;
pub(crate) mod in_context;

use std::sync::Arc;

use arrow::array::{RecordBatch, StructArray};
use arrow::error::ArrowError;
use whence_engine::{Engine, ErrorScope, Stop};
use whence_schemas::{AttributionSpec, JobSpec, RowError, chain};

use crate::error::Failure;
use crate::input::InputRow;
use crate::table::TableRow;

/// The results of one dataset row: one per sequence, or a single error if the row is bad.
pub(crate) type Samples<R> = Vec<Result<R, RowError>>;

/// The results of a group, one entry per example.
pub(crate) type Results<R> = Vec<Samples<R>>;

/// A kind of job.
pub(crate) trait Computation: Send + Sync + 'static {
    /// What is made of a dataset row.
    type Example: std::fmt::Debug + Clone + Send + Sync + 'static;
    /// What is computed for one sequence of an example.
    type Output: std::fmt::Debug + Clone + Send + Sync + 'static;

    /// Returns the example that a row describes. Fails with the row's error if the row could not be
    /// read or lacks a text that the job needs.
    fn example(row: &InputRow, spec: &JobSpec) -> Result<Self::Example, RowError>;

    /// Returns the number of the example's row.
    fn id(example: &Self::Example) -> i64;

    /// Estimates how many tokens the computation of an example handles.
    fn estimated_tokens(example: &Self::Example) -> usize;

    /// Computes a group. An error of one example becomes its result; an error of the specification,
    /// or a request to stop, fails the whole group.
    fn compute(
        bound: &Bound<'_>,
        examples: &[Self::Example],
    ) -> Result<Results<Self::Output>, Failure>;

    /// Returns how many tokens an output is about.
    fn num_tokens(output: &Self::Output) -> usize;

    /// Returns whether the dataset gave the target.
    fn is_forced(output: &Self::Output) -> bool;

    /// Returns the output, or the reason why the table cannot hold it.
    fn storable(output: Self::Output) -> Result<Self::Output, RowError>;

    /// Builds the table of `rows`. `columns` are the carried dataset columns, with one value per row.
    fn encode(
        rows: &[TableRow<Self::Output>],
        spec: &JobSpec,
        columns: Option<&StructArray>,
    ) -> Result<RecordBatch, ArrowError>;
}

/// A job bound to a loaded model.
pub(crate) struct Bound<'a> {
    /// The model.
    pub(crate) engine: &'a Engine,
    /// The job.
    pub(crate) spec: &'a Arc<JobSpec>,
    /// The job's attribution, with the paths that names have on this machine.
    pub(crate) attribution: &'a AttributionSpec,
    /// Working memory in bytes; `None` for no bound.
    pub(crate) memory: Option<u64>,
    /// Ends the computation soon after it is requested.
    pub(crate) stop: &'a Stop,
}

/// Returns the failure of a whole group that `error` is.
pub(crate) fn failure(error: &whence_engine::Error) -> Failure {
    match error.scope() {
        ErrorScope::Model => Failure::Model(error.to_string()),
        _ => Failure::Specification(error.to_string()),
    }
}

/// Returns the result of one sequence. Fails if the error concerns the whole group.
pub(crate) fn outcome<R>(
    result: Result<R, whence_engine::Error>,
) -> Result<Result<R, RowError>, Failure> {
    match result {
        Ok(output) => Ok(Ok(output)),
        Err(error) if error.scope() == ErrorScope::Specification => {
            Err(Failure::Specification(error.to_string()))
        }
        Err(error) if error.scope() == ErrorScope::Stopped => Err(Failure::Stopped),
        Err(error) => Ok(Err(RowError {
            code: error.code().to_owned(),
            message: chain(&error),
        })),
    }
}

/// Replaces results that the table cannot hold by errors.
pub(crate) fn storable<C: Computation>(samples: Samples<C::Output>) -> Samples<C::Output> {
    let samples = samples.into_iter();
    samples.map(|result| result.and_then(C::storable)).collect()
}

/// Returns the input text of a row that can be read.
pub(crate) fn input_text(row: &InputRow) -> Result<String, RowError> {
    if let Some(reason) = &row.row_error {
        return Err(RowError::new("unreadable_row", reason.clone()));
    }
    let missing = || RowError::new("missing_text", "the row has no input text");
    row.input_text.clone().ok_or_else(missing)
}

/// Fails if the row lacks one of the texts for which the job names a field.
pub(crate) fn check_texts(
    texts: &[(&str, &Option<String>, &Option<String>)],
) -> Result<(), RowError> {
    let lacks = |(_, field, text): &&(&str, &Option<String>, &Option<String>)| {
        field.is_some() && text.is_none()
    };
    match texts.iter().find(lacks) {
        Some((which, ..)) => Err(RowError::new(
            "missing_text",
            format!("the row has no {which} text"),
        )),
        None => Ok(()),
    }
}
