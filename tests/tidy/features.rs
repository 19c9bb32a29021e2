//! The README's two commands share their compiled crates.
//!
//! The first command builds one program, the second all tests. Cargo compiles a crate twice if the
//! two ask for different features of it, which once cost 53 crates and several minutes on a fresh
//! machine. For both commands, cargo unifies the features that the packages of the workspace ask
//! for, but it counts dev-dependencies only for tests. So whatever a dev-dependency asks for, some
//! normal dependency must ask for too. `whence-tests` does so, because no program depends on it.

use std::collections::BTreeMap;
use std::process::Command;

use super::{assert_none, root};

/// Returns the features of every package in the workspace's dependency tree. `edges` selects the
/// kinds of dependencies.
fn features(edges: &str) -> BTreeMap<String, String> {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--workspace", "--prefix", "none"])
        .args(["--edges", edges, "--format", "{p};{f}"])
        .current_dir(root())
        .output()
        .expect("cargo lists dependencies");
    let errors = String::from_utf8_lossy(&tree.stderr);
    assert!(tree.status.success(), "{errors}");
    let text = String::from_utf8(tree.stdout).expect("names are UTF-8");
    let mut features: BTreeMap<String, String> = BTreeMap::new();
    for (package, list) in text.lines().filter_map(|line| line.split_once(';')) {
        // Cargo marks a package that it has already listed with `(*)`.
        let list = list.trim_end_matches(" (*)");
        let known = features.entry(package.to_owned()).or_default();
        // A package may be built a second time for build scripts, with fewer features.
        if !known.split(' ').any(|known| known == list) {
            known.push_str(list);
            known.push(' ');
        }
    }
    features
}

#[test]
fn tests_reuse_what_the_program_was_built_from() {
    let program = features("normal,build");
    let tests = features("normal,build,dev");
    assert!(program.len() > 100, "{} packages", program.len());
    let differs = program.iter().filter_map(|(package, built)| {
        let tested = tests.get(package)?;
        (tested != built).then(|| format!("{package}: `{built}`, but for tests `{tested}`"))
    });
    assert_none(
        "dependencies are compiled twice; ask for the features in tests/Cargo.toml too",
        &differs.collect::<Vec<_>>(),
    );
}
