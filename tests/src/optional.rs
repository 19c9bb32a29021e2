//! Tests of something that a machine may lack: a large model, a Python package, or a program.
//!
//! Where it is absent, the test is counted as ignored and names what is missing. Rust's own test
//! harness decides when it compiles which tests are ignored, so these tests have a `main` of their
//! own, which calls [`run`]. In continuous integration nothing that `.ci/run` installs is
//! ignored: a test without its input fails.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

use crate::fixtures::unpacked;
use crate::python;

/// What a test needs besides the repository.
#[derive(Debug, Clone, Copy)]
pub enum Need {
    /// A file or folder that `tests/models/unpack_smollm2.py` unpacks, relative to `.models/`.
    Model(&'static str),
    /// A Python package, in `.venv` or the system's Python.
    Package(&'static str),
    /// A program, which the system's package of the same name installs.
    Program(&'static str),
}

impl Need {
    /// Returns what is missing and how to get it, or `None` if the test can run.
    fn missing(self) -> Option<String> {
        match self {
            Self::Model(name) => (!unpacked(name).exists())
                .then(|| format!("no .models/{name}: python3 tests/models/unpack_smollm2.py")),
            Self::Program(name) => {
                let path = std::env::var_os("PATH").unwrap_or_default();
                let mut folders = std::env::split_paths(&path);
                let is_there = folders.any(|folder| folder.join(name).is_file());
                (!is_there).then(|| format!("no {name}: apt-get install {name}"))
            }
            Self::Package(name) => (!python::has(name)).then(|| {
                let python = python::interpreter();
                format!("no {name}: {} -m pip install {name}", python.display())
            }),
        }
    }
}

impl Need {
    /// Returns whether `.ci/run` installs it wherever it runs. Inseq brings PyTorch, and a browser
    /// needs the packages of the system.
    fn is_installed_by_ci(&self) -> bool {
        match self {
            Self::Model(_) => true,
            Self::Package(name) => *name != "inseq",
            Self::Program(_) => false,
        }
    }
}

/// A test, what it needs, and its name.
#[derive(Debug, Clone, Copy)]
pub struct OptionalTest {
    /// What it claims.
    pub name: &'static str,
    /// What it needs.
    pub need: Need,
    /// Panics if the claim does not hold.
    pub run: fn(),
}

/// Runs the tests as Rust's test harness does, with its command line.
pub fn run(tests: &[OptionalTest]) -> ExitCode {
    let must_run = std::env::var_os("CI").is_some();
    let trial = |test: &OptionalTest| {
        let run = test.run;
        let trial = Trial::test(test.name, move || {
            run();
            Ok(())
        });
        match test.need.missing() {
            Some(missing) if !must_run || !test.need.is_installed_by_ci() => {
                trial.with_kind(missing).with_ignored_flag(true)
            }
            _ => trial,
        }
    };
    let trials = tests.iter().map(trial).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
