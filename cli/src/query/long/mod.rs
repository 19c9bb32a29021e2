//! The long tables of `whence sql`: one row per token, step, score or word.
//!
//! A slot holds one row per example, with lists in it. SQL's `unnest` would read every list of an
//! example and copy the keys once per score, whatever the query needs. A [`LongTable`] reads only the
//! lists that the query's columns come from, and builds only these columns.
//!
//! `needs` says what each column is made of, `filters` which rows are needed, `table` turns a query into a scan of the slots, `exec` runs
//! it batch by batch, and the other files unnest one batch. What must stay true: the rows are those
//! of the queries in `views`, which DuckDB runs.

mod columns;
mod contexts;
mod exec;
mod filters;
mod needs;
mod nested;
mod positions;
mod rows;
mod scores;
mod sequences;
mod steps;
mod table;
mod token_sums;
mod tokens;
mod unnest;
mod word_scores;
mod words;

pub(crate) use columns::partition_type;
pub(crate) use table::{LongTable, SlotFiles};
pub(crate) use token_sums::statistics;
