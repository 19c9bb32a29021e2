//! Tests of plain copies: every compression, archives, encodings, and the cache folder.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use whence_schemas::FormatOptions;

use super::*;

const ROWS: &str = "{\"en\":\"Close it.\"}\n{\"en\":\"Open it.\"}\n";

fn packed(name: &str) -> SharedContent {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    local(&folder.join(name)).unwrap()
}

fn written(folder: &Path, name: &str, bytes: &[u8]) -> SharedContent {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    local(&path).unwrap()
}

fn text(content: &SharedContent) -> String {
    let mut text = String::new();
    content
        .reader(0)
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text.len() as u64, content.num_bytes());
    text
}

/// Copies in a new folder, which lives as long as the first value.
fn copies(max_bytes: u64) -> (tempfile::TempDir, Copies) {
    let folder = tempfile::tempdir().unwrap();
    let copies = Copies::new(folder.path().join("cache"), max_bytes);
    (folder, copies)
}

fn cached(folder: &tempfile::TempDir) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.path().join("cache")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_none()).collect()
}

#[test]
fn every_compression_is_told_by_its_bytes_and_unpacked_to_the_end() {
    let (folder, copies) = copies(1 << 20);
    for end in ["gz", "bz2", "xz", "zst", "lz4"] {
        let content = packed(&format!("rows.jsonl.{end}"));
        let plain = copies.plain(&content, end, &FormatOptions::default());
        let plain = plain.unwrap();
        assert_eq!(text(&plain), ROWS, "{end}");
        assert_eq!(plain.name(), content.name());
        assert_eq!(&plain.read_range(2..4).unwrap()[..], b"en");
    }
    assert_eq!(cached(&folder).len(), 5);
}

#[test]
fn a_plain_file_is_not_copied() {
    let (folder, copies) = copies(1 << 20);
    let content = written(folder.path(), "rows.gz", ROWS.as_bytes());
    let plain = copies.plain(&content, "1", &FormatOptions::default());
    assert_eq!(text(&plain.unwrap()), ROWS);
    assert!(!folder.path().join("cache").exists());
}

#[test]
fn a_copy_is_made_once_and_again_if_it_is_not_whole() {
    let (folder, copies) = copies(1 << 20);
    let content = packed("rows.jsonl.gz");
    let plain = || {
        copies
            .plain(&content, "1", &FormatOptions::default())
            .unwrap()
    };
    plain();
    let copy = cached(&folder).remove(0);
    fs::write(&copy, ROWS.to_uppercase()).unwrap();
    assert_eq!(text(&plain()), ROWS.to_uppercase());
    fs::write(&copy, "short").unwrap();
    assert_eq!(text(&plain()), ROWS);
}

#[test]
fn the_folder_is_bounded_and_open_copies_can_still_be_read() {
    let (folder, copies) = copies(50);
    let content = packed("rows.jsonl.gz");
    let plain = |digest| {
        copies
            .plain(&content, digest, &FormatOptions::default())
            .unwrap()
    };
    let first = plain("1");
    plain("2");
    assert_eq!(cached(&folder).len(), 1);
    assert_eq!(text(&first), ROWS);
}

#[test]
fn a_damaged_file_is_named_and_leaves_no_copy() {
    let (folder, copies) = copies(1 << 20);
    let whole = packed("rows.jsonl.gz");
    let whole = whole.read_range(0..whole.num_bytes()).unwrap();
    let cut = written(folder.path(), "cut.gz", &whole[..whole.len() - 5]);
    let error = copies.plain(&cut, "1", &FormatOptions::default());
    let error = error.unwrap_err();
    assert!(error.to_string().contains("cut.gz"), "{error}");
    assert_eq!(error.kind(), whence_schemas::ErrorKind::Data);
    assert_eq!(cached(&folder), [""; 0].map(PathBuf::from));
}

#[test]
fn members_of_an_archive_come_in_the_order_of_a_walk() {
    let archive = packed("members.zip");
    let names = members(&archive).unwrap().unwrap();
    let expected = [
        "one.jsonl",
        "a/three.jsonl.gz",
        "b/lzma.jsonl",
        "b/two.jsonl",
    ];
    assert_eq!(names, expected);
    assert!(members(&packed("rows.jsonl.gz")).unwrap().is_none());

    let (_folder, copies) = copies(1 << 20);
    let member = |name| copies.member(&archive, "1", name, &FormatOptions::default());
    let [one, two] = ROWS.split_inclusive('\n').collect::<Vec<_>>()[..] else {
        panic!("there are two rows");
    };
    assert_eq!(text(&member("one.jsonl").unwrap()), one.repeat(20));
    assert_eq!(text(&member("b/two.jsonl").unwrap()), two);
    assert_eq!(text(&member("a/three.jsonl.gz").unwrap()), one);
    let error = member("b/lzma.jsonl").unwrap_err().to_string();
    assert!(error.contains("members.zip/b/lzma.jsonl"), "{error}");
    let error = copies.plain(&archive, "1", &FormatOptions::default());
    assert!(error.unwrap_err().to_string().contains("zip archive"));
}

#[test]
fn another_encoding_is_decoded_once() {
    let (folder, copies) = copies(1 << 20);
    let content = written(folder.path(), "rows.csv", b"caf\xe9\n");
    let options = |encoding: &str| FormatOptions {
        encoding: Some(encoding.to_owned()),
        ..FormatOptions::default()
    };
    let plain = |encoding| copies.plain(&content, "1", &options(encoding));
    assert_eq!(text(&plain("latin-1").unwrap()), "café\n");
    assert_eq!(text(&plain("cp1251").unwrap()), "cafй\n");
    assert_eq!(plain("utf-8").unwrap().num_bytes(), 5);
    let error = plain("klingon").unwrap_err().to_string();
    assert!(error.contains("klingon"), "{error}");
}
