//! Tests that need what a machine may lack: Python and its packages for the tables of `whence sql` in
//! DuckDB, Polars and pandas and for the prompt in a pseudo-terminal, and a browser for the HTML pages.
//!
//! What is absent is counted as ignored.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops where its fixture is not what it must be"
)]

#[path = "../cli/run.rs"]
#[allow(dead_code, reason = "other suites use the rest")]
mod run;

mod browser;
mod engines;
mod inseq;
mod page;
mod prompt;
mod roots;

use std::process::ExitCode;

use whence_tests::optional::{Need, OptionalTest};

fn main() -> ExitCode {
    whence_tests::optional::run(&[
        OptionalTest {
            name: "every_table_has_the_same_rows_in_duckdb",
            need: Need::Package("duckdb"),
            run: engines::every_table_has_the_same_rows_in_duckdb,
        },
        OptionalTest {
            name: "every_table_has_the_same_rows_in_polars",
            need: Need::Package("polars"),
            run: engines::every_table_has_the_same_rows_in_polars,
        },
        OptionalTest {
            name: "pandas_reads_an_exported_table",
            need: Need::Package("pandas"),
            run: engines::pandas_reads_an_exported_table,
        },
        OptionalTest {
            name: "python_of_the_page_on_analysis_prints_what_is_shown",
            need: Need::Package("duckdb, pandas, polars"),
            run: page::python_of_the_page_on_analysis_prints_what_is_shown,
        },
        OptionalTest {
            name: "duckdb_finds_a_root_of_any_name",
            need: Need::Package("duckdb"),
            run: roots::duckdb_finds_a_root_of_any_name,
        },
        OptionalTest {
            name: "polars_finds_a_root_of_any_name",
            need: Need::Package("polars"),
            run: roots::polars_finds_a_root_of_any_name,
        },
        OptionalTest {
            name: "the_prompt_completes_explains_and_survives_mistakes",
            need: Need::Package("pty"),
            run: prompt::the_prompt_completes_explains_and_survives_mistakes,
        },
        OptionalTest {
            name: "pages_work_in_a_browser",
            need: Need::Program("chromium"),
            run: browser::pages_work_in_a_browser,
        },
        OptionalTest {
            name: "the_dashboard_works_in_a_browser",
            need: Need::Program("chromium"),
            run: browser::the_dashboard_works_in_a_browser,
        },
        OptionalTest {
            name: "inseq_loads_aggregates_and_shows_saved_files",
            need: Need::Package("inseq"),
            run: inseq::inseq_loads_aggregates_and_shows_saved_files,
        },
    ])
}
