//! Rules that the compiler does not check: sizes, module documentation, dependencies between crates
//! and files, and forbidden words.
//!
//! Each rule reports every violation, so that one run shows everything that has to be fixed.

mod features;
mod imports;
mod ratio;
mod sizes;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .expect("the workspace")
}

/// Returns path and text of all files whose names end in `suffix`, except those that git ignores.
fn files(suffix: &str) -> Vec<(String, String)> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git lists the files");
    let names = String::from_utf8(listed.stdout).expect("names are UTF-8");
    let wanted = names.lines().filter(|name| name.ends_with(suffix));
    let read = wanted
        .filter_map(|name| Some((name.to_owned(), fs::read_to_string(root().join(name)).ok()?)));
    read.collect()
}

fn assert_none(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

/// Returns the lines of a file before its test module.
fn without_tests(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .take_while(|line| !line.starts_with("mod tests {"))
}

#[test]
fn every_file_opens_with_its_page() {
    let broken: Vec<_> = files(".rs")
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//!"))
        .map(|(name, _)| name)
        .collect();
    assert_none(
        "a file opens with `//!`: what it does, why, what must stay true",
        &broken,
    );
}

#[test]
fn names_say_something() {
    const EMPTY: [&str; 5] = ["utils", "helpers", "common", "misc", "util"];
    let stem = |name: &str| {
        Path::new(name)
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
    };
    let broken = files(".rs").into_iter().map(|(name, _)| name);
    let broken =
        broken.filter(|name| stem(name).is_some_and(|stem| EMPTY.contains(&stem.as_str())));
    assert_none("name the concept", &broken.collect::<Vec<_>>());
}

#[test]
fn unsafe_code_stays_in_the_kernels() {
    let broken = files(".rs").into_iter().filter(|(name, text)| {
        let has = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .any(|line| line.split_whitespace().any(|word| word == "unsafe"));
        has && !name.starts_with("worker/engine/src/kernels/") && !name.starts_with("tests/tidy/")
    });
    assert_none(
        "unsafe only in kernels",
        &broken.map(|(name, _)| name).collect::<Vec<_>>(),
    );
}

#[test]
fn elements_of_tensors_stay_in_the_kernels() {
    const DOORS: [&str; 6] = [
        "Device::Cpu",
        "storage_and_layout",
        "to_scalar",
        "to_vec1",
        "to_vec2",
        "to_vec3",
    ];
    let kernels = "worker/engine/src/kernels/";
    // Models with random weights exist for tests alone.
    let of_tests = |name: &str| name.ends_with("/tests.rs") || name.ends_with("/model/random.rs");
    let mut broken = Vec::new();
    for (name, text) in files(".rs") {
        if !name.starts_with("worker/engine/src/") || name.starts_with(kernels) || of_tests(&name) {
            continue;
        }
        let found =
            without_tests(&text).filter(|line| DOORS.iter().any(|door| line.contains(door)));
        broken.extend(found.map(|line| format!("{name}: {}", line.trim())));
    }
    assert_none(
        "`kernels::host` is the door to a tensor's elements",
        &broken,
    );
}

#[test]
fn decisions_are_pure() {
    let pure = ["coordinator/src/job/", "datasets/src/split.rs"];
    let broken = files(".rs").into_iter().filter(|(name, text)| {
        pure.iter().any(|pure| name.starts_with(pure))
            && (text.contains("async ") || text.contains("Instant::now"))
    });
    assert_none(
        "no await, no clock here",
        &broken.map(|(name, _)| name).collect::<Vec<_>>(),
    );
}

/// Returns the names of all direct and indirect dependencies of a package.
fn dependencies(package: &str) -> Vec<String> {
    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--package",
            package,
        ])
        .current_dir(root())
        .output()
        .expect("cargo lists dependencies");
    assert!(
        tree.status.success(),
        "{}",
        String::from_utf8_lossy(&tree.stderr)
    );
    let text = String::from_utf8(tree.stdout).expect("names are UTF-8");
    let name = |line: &str| line.split(' ').next().map(str::to_owned);
    text.lines().filter_map(name).collect()
}

/// For each package, those that it may not reach.
const FORBIDDEN: &[(&str, &str)] = &[
    (
        "whence-engine",
        "tokio tonic object_store arrow-array whence-proto whence-worker",
    ),
    (
        "whence-coordinator",
        "whence-engine whence-worker whence datafusion candle-core whence-fake-hub",
    ),
    (
        "whence-datasets",
        "whence-coordinator whence-proto whence-engine datafusion",
    ),
    (
        "whence-worker",
        "whence-coordinator whence datafusion whence-fake-hub",
    ),
    (
        "whence-schemas",
        "whence-proto whence-engine whence-worker tonic",
    ),
    (
        "whence-telemetry",
        "whence-schemas whence-proto whence-engine arrow-array object_store",
    ),
    ("whence-proto", "whence-engine arrow-array object_store"),
    (
        "whence-hub",
        "whence-proto whence-engine arrow-array object_store tonic",
    ),
    // Test support is in no program.
    ("whence", "whence-fake-hub"),
];

#[test]
fn arrows_between_crates_point_one_way() {
    let mut broken = Vec::new();
    for (package, forbidden) in FORBIDDEN {
        let found = dependencies(package);
        let reached = forbidden
            .split(' ')
            .filter(|name| found.iter().any(|found| found == name));
        broken.extend(reached.map(|name| format!("{package} reaches {name}")));
    }
    assert_none("docs/architecture.md says who may know whom", &broken);
}

#[test]
fn one_version_of_what_cannot_be_mixed() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("a lock file");
    let broken = [
        "arrow",
        "parquet",
        "object_store",
        "reqwest",
        "tonic",
        "prost",
        "tokenizers",
        "candle-core",
    ]
    .into_iter()
    .filter(|name| lock.matches(&format!("name = \"{name}\"\n")).count() > 1);
    assert_none(
        "values of two versions cannot be exchanged",
        &broken.map(str::to_owned).collect::<Vec<_>>(),
    );
}

#[test]
fn nothing_reads_as_unfinished() {
    let words = [
        "TODO",
        "FIXME",
        "XXX",
        "todo!(",
        "unimplemented!(",
        "#[ignore",
    ];
    let mut broken = Vec::new();
    for (name, text) in files(".rs")
        .into_iter()
        .chain(files(".md"))
        .filter(|(name, _)| !name.starts_with("tests/tidy/"))
    {
        for (number, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                broken.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert_none("finish it, or file an issue", &broken);
}

#[test]
fn links_of_the_documents_lead_somewhere() {
    let mut broken = Vec::new();
    for (name, text) in files(".md") {
        let folder = root().join(&name).parent().expect("a folder").to_owned();
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let target = link.split('#').next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") && !folder.join(target).exists() {
                broken.push(format!("{name}: {link}"));
            }
        }
    }
    assert_none("the target does not exist", &broken);
}
