//! Imports go one way: inside a crate, files must not import each other in a cycle. If a crate
//! lists its modules in layers, no module may import from a layer above it.
//!
//! `source` reads a crate's files with `syn`. `graph` resolves every path, re-exports included, to
//! the file that defines the item. Tests are ignored: they may import anything.

mod graph;
mod source;

use std::path::Path;

use graph::Imports;
use source::Crate;

/// The source folders that are checked.
const CRATES: [&str; 9] = [
    "proto/src",
    "schemas/src",
    "datasets/src",
    "hub/src",
    "hub/fake/src",
    "worker/engine/src",
    "worker/src",
    "coordinator/src",
    "cli/src",
];

#[test]
fn no_files_import_each_other_in_a_circle() {
    let mut circles = Vec::new();
    for folder in CRATES {
        let imports = Imports::of_crate(&Crate::read(&super::root().join(folder)));
        circles.extend(imports.circles());
    }
    super::assert_none("move what both need into a file below them", &circles);
}

#[test]
fn modules_of_the_engine_import_only_from_those_below() {
    let source = Crate::read(&super::root().join("worker/engine/src"));
    let layers = source.layers();
    assert!(
        layers.len() > 10,
        "the engine's `lib.rs` lists its modules under `# Layers`"
    );
    let upward = Imports::of_crate(&source).against_layers(&layers);
    super::assert_none("`lib.rs` says which module lies above which", &upward);
}

/// Writes `files` to a new folder and returns their import cycles.
fn circles(files: &[(&str, &str)]) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        let parent = path.parent().expect("a folder");
        std::fs::create_dir_all(parent).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
    let mut circles = Imports::of_crate(&Crate::read(folder.path())).circles();
    let root = folder.path().display().to_string();
    for circle in &mut circles {
        *circle = circle.replace(&root, "");
    }
    circles
}

#[test]
fn a_circle_is_named_with_what_ties_it() {
    let found = circles(&[
        ("lib.rs", "mod a; mod b; mod c;"),
        ("a.rs", "use crate::b::B; pub struct A(B);"),
        ("b.rs", "pub struct B; fn f() { super::c::run() }"),
        ("c.rs", "use crate::a; pub fn run() -> a::A { todo() }"),
    ]);
    assert_eq!(
        found,
        ["a.rs takes B of b.rs; b.rs takes run of c.rs; c.rs takes A, a of a.rs"]
    );
}

#[test]
fn a_table_and_its_rows_may_not_take_from_each_other() {
    let files = |trait_of: &str| {
        circles(&[
            ("lib.rs", "mod table;"),
            (
                "table/mod.rs",
                &format!("mod row; {trait_of} pub const TABLE: &[&dyn Kind] = &[&row::Row];"),
            ),
            ("table/kind.rs", "pub trait Kind {}"),
            (
                "table/row.rs",
                "use super::Kind; pub struct Row; impl Kind for Row {}",
            ),
        ])
    };
    assert_eq!(files("pub trait Kind {}").len(), 1);
    // A re-exported item still belongs to the file that defines it.
    assert_eq!(files("mod kind; pub use kind::Kind;"), [""; 0]);
}

#[test]
fn tests_and_comments_and_foreign_crates_are_no_imports() {
    let found = circles(&[
        ("lib.rs", "mod a; mod b;"),
        (
            "a.rs",
            "use std::fmt; use b::Foreign; pub struct A; \
             #[cfg(test)] mod tests { use super::super::b::B; use super::*; }",
        ),
        (
            "b.rs",
            "//! See [`crate::a`].\nuse crate::a::A; pub struct B(A);",
        ),
    ]);
    assert_eq!(found, [""; 0]);
}

#[test]
fn paths_inside_macros_and_inline_modules_count() {
    let found = circles(&[
        ("lib.rs", "mod a; mod b;"),
        (
            "a.rs",
            "fn f() { println!(\"{}\", crate::b::X) } pub const Y: u8 = 1;",
        ),
        (
            "b.rs",
            "mod inner { use super::super::a::Y; } pub const X: u8 = 2;",
        ),
    ]);
    assert_eq!(found, ["a.rs takes X of b.rs; b.rs takes Y of a.rs"]);
}

#[test]
fn layers_are_read_from_the_page_of_the_crate() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| {
        std::fs::write(Path::new(folder.path()).join(name), text).expect("a file");
    };
    write(
        "lib.rs",
        "//! A crate.\n//!\n//! # Layers\n//!\n//! * `top`: uses,\n//! * `low`: is used.\nmod low; mod top; mod lost;",
    );
    write("top.rs", "use crate::low::L; pub struct T;");
    write("low.rs", "pub struct L; use crate::top::T;");
    write("lost.rs", "");
    let source = Crate::read(folder.path());
    assert_eq!(source.layers(), ["top", "low"]);
    let upward = Imports::of_crate(&source).against_layers(&source.layers());
    assert_eq!(
        upward,
        ["`lost` is not among the layers", "low.rs takes T of top.rs"]
    );
}
