//! In the crates that must survive failures of others, the tests are at least 0.6 of the code,
//! counted in lines that are neither blank nor comments.
//!
//! A line is a test's if it is in a `tests` folder, in a module that is compiled for tests alone, or
//! in a file below such a module.

use std::path::{Path, PathBuf};

use super::{assert_none, files};

/// Least number of lines of tests per line of code.
const LEAST: f64 = 0.6;

/// The crates that are counted, each with its folders that are not.
const CRATES: [(&str, &[&str]); 2] = [("coordinator/", &[]), ("worker/", &["worker/engine/"])];

/// Lines of code and lines of tests.
#[derive(Debug, Default, PartialEq)]
struct Lines {
    code: usize,
    tests: usize,
}

impl Lines {
    /// Counts the files of a crate, each given by its name and text.
    fn of(files: &[(String, String)]) -> Self {
        let test_modules: Vec<PathBuf> = files
            .iter()
            .flat_map(|(name, text)| test_modules(name, text))
            .collect();
        let mut lines = Self::default();
        for (name, text) in files {
            let path = Path::new(name);
            let is_test = path.components().any(|part| part.as_os_str() == "tests")
                || test_modules
                    .iter()
                    .any(|module| path.with_extension("").starts_with(module));
            lines.add(text, is_test);
        }
        lines
    }

    /// Adds the lines of a file, all of which are tests if `is_test`.
    fn add(&mut self, text: &str, is_test: bool) {
        let mut in_tests = is_test;
        for (line, next) in with_next(text) {
            in_tests |= line == "#[cfg(test)]" && next.ends_with("mod tests {");
            let is_counted = !line.trim().is_empty() && !line.trim_start().starts_with("//");
            *(if in_tests {
                &mut self.tests
            } else {
                &mut self.code
            }) += usize::from(is_counted);
            in_tests &= is_test || line != "}";
        }
    }

    fn ratio(&self) -> f64 {
        self.tests as f64 / self.code as f64
    }
}

/// Returns every line with the one that follows it; the last one is followed by an empty line.
fn with_next(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let next = text.lines().skip(1).chain([""]);
    text.lines().zip(next)
}

/// Returns the paths, without extension, of the modules that a file declares for tests alone.
fn test_modules(name: &str, text: &str) -> Vec<PathBuf> {
    let path = Path::new(name);
    let is_root = matches!(path.file_stem(), Some(stem) if stem == "mod" || stem == "lib");
    let folder = if is_root {
        path.parent().expect("a file is in a folder").to_owned()
    } else {
        path.with_extension("")
    };
    let declared = with_next(text).filter_map(|(line, next)| {
        let module = next.strip_suffix(';')?.rsplit_once("mod ")?.1;
        (line == "#[cfg(test)]").then(|| folder.join(module))
    });
    declared.collect()
}

#[test]
fn tests_keep_up_with_the_code() {
    let mut behind = Vec::new();
    for (folder, without) in CRATES {
        let mut counted = files(".rs");
        counted.retain(|(name, _)| {
            name.starts_with(folder) && !without.iter().any(|other| name.starts_with(other))
        });
        let lines = Lines::of(&counted);
        if lines.ratio() < LEAST {
            behind.push(format!("{folder} {:.2}: {lines:?}", lines.ratio()));
        }
    }
    assert_none("test what is new", &behind);
}

#[test]
fn lines_of_tests_are_told_from_lines_of_code() {
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let found = Lines::of(&[
        file(
            "x/src/lib.rs",
            "//! Page.\n\nmod a;\n#[cfg(test)]\npub(crate) mod fake;\n",
        ),
        file("x/src/fake.rs", "fn one() {}\nfn two() {}\n"),
        file("x/src/fake/more.rs", "fn three() {}\n"),
        file("x/src/fakes.rs", "fn code() {}\n"),
        file(
            "x/src/a.rs",
            "fn f() {\n}\n#[cfg(test)]\nmod tests {\n    // No.\n    fn g() {\n    }\n}\nfn h() {}\n",
        ),
        file("x/src/b/mod.rs", "#[cfg(test)]\nmod claims;\n"),
        file("x/src/b/claims.rs", "fn four() {}\n"),
        file("x/tests/program.rs", "fn five() {}\n"),
    ]);
    let expected = Lines { code: 9, tests: 10 };
    assert_eq!(found, expected);
}
