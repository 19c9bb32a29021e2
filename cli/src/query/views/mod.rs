//! The tables and views that users query, and scripts that define them in other engines.
//!
//! [`VIEWS`] is the one list: `whence sql` registers it, `whence views` prints it for DuckDB and
//! Polars, `whence sql --describe` and `docs/tables.md` show its columns. A view is one file and one
//! row of the list, below the views that its query reads.

pub(crate) mod keys;
mod python;
pub mod view;

mod alignments;
mod attributions;
mod catalog_tables;
mod context_attributions;
mod context_cues;
mod context_sensitive_tokens;
mod contexts;
mod drift;
mod examples;
mod failures;
mod pairwise;
mod run_params;
mod sequence_scores;
mod slots;
mod step_scores;
mod steps;
mod token_stats;
mod tokens;
mod word_attributions;

pub(crate) mod duckdb;
mod literal;
pub(crate) mod polars;

#[cfg(feature = "sql")]
pub(crate) use alignments::STRONGEST;

use view::{Rows, View};
use whence_schemas::suggest::nearest;

use crate::Failure;

/// Every table and view.
pub const VIEWS: &[View] = &[
    catalog_tables::JOBS,
    catalog_tables::RUNS,
    run_params::VIEW,
    examples::VIEW,
    steps::VIEW,
    step_scores::VIEW,
    tokens::VIEW,
    attributions::VIEW,
    alignments::VIEW,
    token_stats::VIEW,
    word_attributions::VIEW,
    pairwise::VIEW,
    drift::VIEW,
    sequence_scores::VIEW,
    context_sensitive_tokens::VIEW,
    context_attributions::VIEW,
    context_cues::VIEW,
    catalog_tables::ATTEMPTS,
    failures::VIEW,
    slots::VIEW,
    contexts::VIEW,
];

/// Returns every view, each after those that its query reads: first the table files.
pub(crate) fn by_dependency() -> impl Iterator<Item = &'static View> {
    let (stored, others): (Vec<_>, Vec<_>) = VIEWS
        .iter()
        .partition(|view| matches!(view.rows, Rows::Stored(_)));
    stored.into_iter().chain(others)
}

/// Returns the view `name`.
pub fn find(name: &str) -> Option<&'static View> {
    VIEWS.iter().find(|view| view.name == name)
}

/// Returns the view that a user called `name`. Fails, with the nearest name, if there is none.
pub(crate) fn named(name: &str) -> Result<&'static View, Failure> {
    find(name).ok_or_else(|| {
        let known = names();
        let meant = nearest(name, known.iter().copied())
            .map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
        Failure::request(format!(
            "there is no table `{name}`, there are `{}`{meant}",
            known.join("`, `")
        ))
    })
}

/// Returns the names of all tables and views.
pub fn names() -> Vec<&'static str> {
    VIEWS.iter().map(|view| view.name).collect()
}
