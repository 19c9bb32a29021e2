//! Tests of what a machine may lack: the real SmolLM2, other programs that read the tables, and
//! Python's clients of the Hub.
//!
//! `.ci/run` installs everything they need. Elsewhere, the tests whose inputs are absent are counted
//! as ignored, with the command that gets them.

#![allow(
    clippy::unwrap_used,
    reason = "a suite stops where a fixture is not what it must be"
)]

mod hub;
mod readers;
mod smollm2;

use std::process::ExitCode;

use whence_tests::optional::run;

fn main() -> ExitCode {
    run(&[smollm2::TESTS, readers::TESTS, hub::TESTS].concat())
}
