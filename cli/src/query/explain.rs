//! Turns DataFusion's errors into messages about the query that the user wrote.
//!
//! DataFusion's own messages name its internals and settings. Here they become the position in the
//! query, the name that was probably meant, or what to type next.

use arrow::error::ArrowError;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use whence_schemas::suggest::nearest;

use super::views;
use crate::Failure;

impl From<DataFusionError> for Failure {
    fn from(error: DataFusionError) -> Self {
        explain(&error)
    }
}

/// Explains what is wrong with a query, or what went wrong while it was running.
fn explain(error: &DataFusionError) -> Failure {
    match error.find_root() {
        DataFusionError::SchemaError(missing, _) => {
            if let SchemaError::FieldNotFound {
                field,
                valid_fields,
            } = &**missing
            {
                let names: Vec<&str> = valid_fields
                    .iter()
                    .map(datafusion::prelude::Column::name)
                    .collect();
                return unknown("column", &field.name, &names);
            }
            Failure::request(error.strip_backtrace())
        }
        DataFusionError::SQL(parser, _) => Failure::request(format!(
            "cannot read the query: {}",
            parser_message(&parser.to_string())
        )),
        DataFusionError::Plan(reason) => explain_plan(reason),
        DataFusionError::NotImplemented(reason) => Failure::request(format!(
            "the query asks for what is not supported: {reason}"
        )),
        // DataFusion's message suggests settings that users of `whence` cannot change.
        DataFusionError::ResourcesExhausted(_) => {
            Failure::run("the query needs more memory than it may take").hint("raise `--memory`")
        }
        DataFusionError::ArrowError(reason, _) if matches!(**reason, ArrowError::JsonError(_)) => {
            Failure::request(format!("cannot read a file of the query: {reason}"))
                .hint("a JSON file has one object per line, as `--format jsonl` writes")
        }
        DataFusionError::ParquetError(_) | DataFusionError::ArrowError(..) => {
            Failure::run(error.strip_backtrace()).about_stored_data()
        }
        _ => Failure::run(error.strip_backtrace()),
    }
}

/// Returns whether a query failed because it names a table that does not exist, and not a file.
pub(super) fn is_missing_table(error: &DataFusionError) -> bool {
    let DataFusionError::Plan(reason) = error.find_root() else {
        return false;
    };
    missing_table(reason).is_some_and(|name| !is_path(name))
}

/// Explains what is wrong with a query that parses but cannot be planned.
fn explain_plan(reason: &str) -> Failure {
    if let Some(missing) = missing_table(reason) {
        if is_path(missing) {
            return Failure::request(format!("there is no table and no file `{missing}`")).hint(
                "files are quoted, and are Parquet, CSV, JSON lines or Arrow: FROM 'labels.csv'",
            );
        }
        return unknown("table", missing, &views::names()).hint("whence sql --describe");
    }
    // The message reads `DDL not supported: DropView`: the kind of statement, then its name.
    match reason.split_once(" not supported: ") {
        Some(("DDL" | "DML" | "Statement", what)) => {
            Failure::request(format!("`whence sql` only reads: {what} is not supported"))
        }
        _ => Failure::request(reason),
    }
}

fn unknown(what: &str, name: &str, known: &[&str]) -> Failure {
    let meant = nearest(name, known.iter().copied())
        .map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
    let known = known.join("`, `");
    Failure::request(format!(
        "there is no {what} `{name}`, there are `{known}`{meant}"
    ))
}

/// Returns the name of the missing table if a DataFusion message reports one.
fn missing_table(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("table '")?;
    let (name, rest) = rest.split_once('\'')?;
    if !rest.starts_with(" not found") {
        return None;
    }
    // Tables are in the schema `public` of the catalog `datafusion`.
    let name = name.strip_prefix("datafusion.").unwrap_or(name);
    Some(name.strip_prefix("public.").unwrap_or(name))
}

/// Returns whether the name of a missing table is rather that of a file.
fn is_path(name: &str) -> bool {
    name.contains(['.', '/', '\\'])
}

/// Rewrites a message of the SQL parser: the position comes first, the parser's name is dropped.
/// The original reads `sql parser error: Expected: a, found: b at Line: 1, Column: 8`.
fn parser_message(text: &str) -> String {
    let text = text.strip_prefix("sql parser error: ").unwrap_or(text);
    let (what, place) = text.rsplit_once(" at Line: ").unwrap_or((text, ""));
    let what = match what
        .strip_prefix("Expected: ")
        .and_then(|rest| rest.split_once(", found: "))
    {
        Some((expected, "EOF")) => format!("expected {expected}, but the query ends"),
        Some((expected, found)) => format!("expected {expected}, found `{found}`"),
        None => what.to_owned(),
    };
    match place.split_once(", Column: ") {
        Some((line, column)) => format!("line {line}, column {column}: {what}"),
        None => what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parser_says_where_and_what() {
        let text =
            "sql parser error: Expected: an SQL statement, found: SELEC at Line: 1, Column: 1";
        assert_eq!(
            parser_message(text),
            "line 1, column 1: expected an SQL statement, found `SELEC`"
        );
        assert_eq!(
            parser_message("sql parser error: Expected: an expression, found: EOF"),
            "expected an expression, but the query ends"
        );
        let text = "sql parser error: Unterminated string literal at Line: 2, Column: 8";
        assert_eq!(
            parser_message(text),
            "line 2, column 8: Unterminated string literal"
        );
    }

    #[test]
    fn a_query_that_would_change_something_is_told_so() {
        let failure = explain_plan("DDL not supported: DropView");
        assert_eq!(
            failure.message(),
            "`whence sql` only reads: DropView is not supported"
        );
    }
}
