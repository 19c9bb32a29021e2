//! Files and functions stay small enough to read in one go.
//!
//! A limit applies to every file and function. A budget applies to 95 of 100, so that a table or a
//! long formula can be an exception. Functions are found by their formatting: a body ends at the
//! first closing brace that is indented like its `fn`.

use super::{assert_none, files, without_tests};

/// Limit for the lines of a file without its tests.
const MAX_FILE_LINES: usize = 500;
/// Number of lines within which 95 of 100 files stay.
const FILE_BUDGET: usize = 300;
/// Limit for the lines of a function, including signature and comments.
const MAX_FUNCTION_LINES: usize = 60;
/// Number of lines within which 95 of 100 functions stay.
const FUNCTION_BUDGET: usize = 38;

/// The length in lines of a file or function, and where it is.
type Sized = (usize, String);

fn file_sizes() -> Vec<Sized> {
    let files = files(".rs").into_iter();
    files
        .map(|(name, text)| (without_tests(&text).count(), name))
        .collect()
}

fn function_sizes() -> Vec<Sized> {
    files(".rs")
        .iter()
        .flat_map(|(name, text)| functions(name, text))
        .collect()
}

/// Returns the sizes of all functions of a file that have a body.
fn functions(name: &str, text: &str) -> Vec<Sized> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some(function) = function_name(line) else {
            continue;
        };
        let indent = &line[..line.len() - line.trim_start().len()];
        let close = format!("{indent}}}");
        // A trait's function without a body ends with a semicolon.
        let has_ended = |line: &str| {
            let rest = line.strip_prefix(indent).unwrap_or_default();
            line == close || (rest.ends_with(';') && !rest.starts_with(' '))
        };
        if let Some(length) = lines[start..].iter().position(|line| has_ended(line)) {
            found.push((length + 1, format!("{name}: `{function}`")));
        }
    }
    found
}

/// Returns the name of the function that a line declares; `None` if it declares none, or if the
/// body ends on the same line.
fn function_name(line: &str) -> Option<&str> {
    const QUALIFIERS: [&str; 4] = ["const", "async", "unsafe", "extern"];
    if line.ends_with('}') || line.ends_with(';') {
        return None;
    }
    let mut words = line.split_whitespace();
    let word = words.find(|word| !(word.starts_with("pub") || QUALIFIERS.contains(word)))?;
    let name = (word == "fn").then(|| words.next())??;
    name.split(['(', '<']).next()
}

fn assert_small(mut sizes: Vec<Sized>, max: usize, budget: usize) {
    sizes.sort();
    let over = |limit: usize| {
        let over = sizes.iter().filter(move |(lines, _)| *lines > limit);
        over.map(|(lines, place)| format!("{place}: {lines} lines"))
            .collect::<Vec<_>>()
    };
    assert_none("split by responsibility", &over(max));
    let long = over(budget);
    let many = long.len() * 20 > sizes.len();
    let rule = format!("at most 5 in 100 are longer than {budget} lines");
    assert_none(&rule, if many { &long } else { &[] });
}

#[test]
fn files_stay_small() {
    assert_small(file_sizes(), MAX_FILE_LINES, FILE_BUDGET);
}

#[test]
fn functions_stay_small() {
    let sizes = function_sizes();
    assert!(sizes.len() > 1000, "{} functions", sizes.len());
    assert_small(sizes, MAX_FUNCTION_LINES, FUNCTION_BUDGET);
}

#[test]
fn a_function_is_measured_from_its_name_to_its_brace() {
    let text = "fn one() {\n    two();\n}\nfn short() {}\n    pub(crate) async fn two<T>(\n        x: T,\n    ) {\n        x\n    }\n";
    let expected = [(3, "f: `one`".to_owned()), (5, "f: `two`".to_owned())];
    assert_eq!(functions("f", text), expected);
}
