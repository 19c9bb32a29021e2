//! Parquet and Arrow files hold the same columns, and give the same cells from every row on.
//!
//! `data/make_column_cases.py` writes the files. The expected cells are written here by hand: what
//! holds text is text in every shape, and what holds none keeps every digit.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops where its fixture is not what it must be"
)]

use std::fs;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::ipc::writer::StreamWriter;
use async_trait::async_trait;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use whence_datasets::content::{KeptRanges, PinnedFile, RangeSource, local, remote};
use whence_datasets::{Cell, Error, FieldPath, Row, SharedContent, formats};
use whence_schemas::{ErrorKind, FormatName, FormatSpec};

const FILES: [&str; 3] = ["shapes.parquet", "stream.arrow", "file.arrow"];

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

fn spec(name: &str) -> FormatSpec {
    formats::by_extension(name).expect("the name says the format")
}

/// Reads the rows from `offset` on, each with the offset after it.
fn read(
    spec: &FormatSpec,
    content: &SharedContent,
    offset: u64,
    fields: &[FieldPath],
) -> Result<Vec<(u64, Row)>, Error> {
    let mut reader = formats::format(spec)?.open(content, offset, fields)?;
    let mut rows = Vec::new();
    while let Some(row) = reader.next()? {
        rows.push((reader.offset(), row));
    }
    Ok(rows)
}

fn field(name: &str) -> FieldPath {
    name.parse().unwrap()
}

fn assert_column(name: &str, expected: [&Cell; 5]) {
    for file in FILES {
        let content = local(&data(file)).unwrap();
        for offset in 0..5 {
            let rows = read(&spec(file), &content, offset, &[field(name)]).unwrap();
            let cells: Vec<Cell> = rows
                .into_iter()
                .map(|(_, row)| row.unwrap().remove(0))
                .collect();
            let expected: Vec<Cell> = expected[offset as usize..]
                .iter()
                .copied()
                .cloned()
                .collect();
            assert_eq!(cells, expected, "`{name}` of {file} from {offset} on");
        }
    }
}

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

fn json(text: &str) -> Cell {
    Cell::Json(text.to_owned())
}

fn other(text: &str) -> Cell {
    Cell::Other(text.to_owned())
}

#[test]
fn every_shape_that_holds_text_gives_it() {
    let texts = [
        text("Open the window."),
        Cell::Null,
        text("Zürich 五"),
        text(""),
        text("last"),
    ];
    for name in [
        "string",
        "large_string",
        "string_view",
        "binary",
        "large_binary",
        "dictionary",
        "list[0]",
        "list[-2]",
        "messages[-1].content",
        "map.en",
        "a.b",
        ".leading",
        "two words",
    ] {
        assert_column(name, texts.each_ref());
    }
    let [first, _, third, _, last] = texts.each_ref();
    assert_column("struct.en", [first, &Cell::Null, third, &Cell::Null, last]);
    let fixed = ["abcd", "efgh", "ijkl", "mnop"].map(text);
    assert_column(
        "fixed",
        [&fixed[0], &Cell::Null, &fixed[1], &fixed[2], &fixed[3]],
    );
    for name in ["list[5]", "map.fr", "nothing", "string.en"] {
        let absent = if name == "string.en" {
            [
                &Cell::Absent,
                &Cell::Null,
                &Cell::Absent,
                &Cell::Absent,
                &Cell::Absent,
            ]
        } else {
            [&Cell::Absent; 5]
        };
        assert_column(name, absent);
    }
}

#[test]
fn what_holds_no_text_is_given_exactly() {
    let column = |name: &str, [one, three, four, five]: [Cell; 4]| {
        assert_column(name, [&one, &Cell::Null, &three, &four, &five]);
    };
    column("int64", ["9007199254740993", "-1", "0", "1"].map(json));
    column("uint64", ["18446744073709551615", "1", "0", "1"].map(json));
    column("double", ["0.1", "NaN", "-Infinity", "1e300"].map(json));
    column("bool", ["true", "false", "true", "false"].map(json));
    column(
        "decimal",
        ["12345678901234567.89", "0.10", "-1.00", "1.00"].map(json),
    );
    column("timestamp", ["2024-02-29T12:30:15.123456"; 4].map(other));
    column("timestamp_utc", ["2024-02-29T12:30:15.123Z"; 4].map(other));
    column("date", ["2024-02-29"; 4].map(other));
    column("numbers", ["[1,2]", "[]", "[3]", "[null]"].map(json));
    column("times", [r#"["2024-02-29"]"#, "[]", "[]", "[]"].map(json));
    assert_column("null", [&Cell::Null; 5]);
    let map = [
        r#"{"en":"Open the window.","n":"1"}"#,
        r#"{"en":null,"n":"1"}"#,
        r#"{"en":"Zürich 五","n":"1"}"#,
        r#"{"en":"","n":"1"}"#,
        r#"{"en":"last","n":"1"}"#,
    ];
    assert_column("map", map.map(json).each_ref());
}

#[test]
fn bytes_that_are_no_text_are_an_error_of_their_row() {
    for file in FILES {
        let content = local(&data(file)).unwrap();
        let rows = read(&spec(file), &content, 0, &[field("blob"), field("string")]).unwrap();
        let error = rows[0].1.as_ref().unwrap_err();
        assert!(
            error.contains("`blob`") && error.contains("UTF-8"),
            "{error}"
        );
        assert_eq!(rows[2].1.as_ref().unwrap()[0], text("a"));
    }
}

#[test]
fn every_compression_of_parquet_is_read() {
    for codec in ["gzip", "brotli", "lz4", "zstd", "none"] {
        let content = local(&data(&format!("codec-{codec}.parquet"))).unwrap();
        let spec = FormatSpec::from(FormatName::Parquet);
        let rows = read(&spec, &content, 0, &[field("string")]).unwrap();
        assert_eq!(rows[4].1.as_ref().unwrap()[0], text("last"), "{codec}");
        assert_eq!(formats::format(&spec).unwrap().count(&content).unwrap(), 5);
    }
}

#[test]
fn rows_are_counted_and_skipped_without_columns() {
    for file in FILES {
        let content = local(&data(file)).unwrap();
        let format = formats::format(&spec(file)).unwrap();
        assert_eq!(format.count(&content).unwrap(), 5, "{file}");
        let mut reader = format.open(&content, 0, &[field("int64")]).unwrap();
        assert!(reader.skip().unwrap() && reader.skip().unwrap());
        assert_eq!(reader.offset(), 2);
        assert_eq!(reader.next().unwrap().unwrap().unwrap(), [json("-1")]);
        assert!(reader.columns().contains(&"struct.en".to_owned()));
        assert_eq!(
            read(&spec(file), &content, 0, &[]).unwrap().len(),
            5,
            "{file}"
        );
    }
}

#[test]
fn a_file_that_is_cut_off_is_named_and_never_read_as_shorter() {
    let folder = tempfile::tempdir().unwrap();
    for file in FILES {
        let whole = fs::read(data(file)).unwrap();
        // The end of an Arrow file is an index and a mark, which reading does not need.
        let needed = if file == "shapes.parquet" {
            whole.len()
        } else {
            whole.len() * 2 / 3
        };
        for length in (0..needed).step_by(97) {
            let path = folder.path().join(file);
            fs::write(&path, &whole[..length]).unwrap();
            let content = local(&path).unwrap();
            match read(&spec(file), &content, 0, &[field("string"), field("map")]) {
                Err(error) => {
                    assert!(error.to_string().contains(file), "{error}");
                    assert_eq!(error.kind(), ErrorKind::Data, "{length}: {error}");
                }
                // A stream may end after any batch, unless it says where it ends.
                Ok(rows) => assert!(
                    file != "shapes.parquet" && rows.len() < 5,
                    "{file} {length}"
                ),
            }
        }
    }
}

/// A file that counts what is read of it.
#[derive(Debug)]
struct Counted {
    bytes: Bytes,
    num_read: Arc<AtomicU64>,
}

#[async_trait]
impl RangeSource for Counted {
    async fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        self.num_read
            .fetch_add(range.end - range.start, Ordering::Relaxed);
        Ok(self.bytes.slice(range.start as usize..range.end as usize))
    }
}

/// Returns a file that is read by ranges, which are kept in `folder`.
fn remote_file(source: Counted, folder: &Path) -> SharedContent {
    let file = PinnedFile {
        name: "https://host/rows".to_owned(),
        num_bytes: source.bytes.len() as u64,
        version: "1".to_owned(),
        source: Arc::new(source),
    };
    remote(file, &KeptRanges::new(folder.to_owned(), 1 << 30))
}

/// Returns four columns of texts that do not compress, and of numbers.
fn four_columns() -> RecordBatch {
    let texts = |salt: u64| -> ArrayRef {
        let text = |row: u64| {
            blake3::hash(&(row * 4 + salt).to_le_bytes())
                .to_hex()
                .to_string()
        };
        Arc::new(StringArray::from_iter_values((0..20_000).map(text)))
    };
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..20_000));
    let columns = [
        ("a", texts(0)),
        ("b", texts(1)),
        ("c", texts(2)),
        ("id", ids),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn write_parquet(path: &Path, batch: &RecordBatch) {
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(4_000))
        .set_dictionary_enabled(false)
        .build();
    let file = fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn one_column_of_a_remote_file_costs_little_more_than_its_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.parquet");
    write_parquet(&path, &four_columns());
    let metadata = SerializedFileReader::new(fs::File::open(&path).unwrap()).unwrap();
    let groups = metadata.metadata().row_groups().iter();
    let of_column: i64 = groups.map(|group| group.column(1).compressed_size()).sum();
    let num_read = Arc::new(AtomicU64::new(0));
    let bytes = Bytes::from(fs::read(&path).unwrap());
    let source = Counted {
        bytes,
        num_read: Arc::clone(&num_read),
    };
    let content = remote_file(source, folder.path());
    let spec = FormatSpec::from(FormatName::Parquet);
    let rows = read(&spec, &content, 0, &[field("b")]).unwrap();
    assert_eq!(rows.len(), 20_000);
    let read_bytes = num_read.swap(0, Ordering::Relaxed);
    let most = of_column as u64 * 115 / 100;
    assert!(
        read_bytes <= most,
        "{read_bytes} read, {of_column} in the column"
    );
    // What was read is kept, also for those who start in the middle.
    let from_middle = |field_name| read(&spec, &content, 18_000, &[field(field_name)]).unwrap();
    assert_eq!(from_middle("b").len(), 2_000);
    assert_eq!(num_read.swap(0, Ordering::Relaxed), 0);
    // From the middle on, the row groups before are not read at all.
    assert_eq!(from_middle("c").len(), 2_000);
    let read_bytes = num_read.load(Ordering::Relaxed);
    assert!(read_bytes < most / 4, "{read_bytes} of {of_column}");
}

#[test]
fn one_column_of_a_remote_arrow_file_costs_little_more_than_its_bytes() {
    let batch = four_columns();
    let mut bytes = Vec::new();
    let mut writer = StreamWriter::try_new(&mut bytes, &batch.schema()).unwrap();
    for start in (0..20_000).step_by(2_000) {
        writer.write(&batch.slice(start, 2_000)).unwrap();
    }
    writer.finish().unwrap();
    drop(writer);
    let num_read = Arc::new(AtomicU64::new(0));
    let source = Counted {
        bytes: bytes.into(),
        num_read: Arc::clone(&num_read),
    };
    let folder = tempfile::tempdir().unwrap();
    let content = remote_file(source, folder.path());
    let rows = read(&spec("a.arrow"), &content, 0, &[field("b")]).unwrap();
    let column = batch.column(1).as_string::<i32>();
    let expected = (0..20_000).map(|row| (row + 1, Ok(vec![text(column.value(row as usize))])));
    assert!(rows.into_iter().eq(expected));
    // A text has 64 letters, and four bytes that say where it starts.
    let of_column = 20_000 * 68;
    let read_bytes = num_read.load(Ordering::Relaxed);
    assert!(
        (of_column..of_column * 115 / 100).contains(&read_bytes),
        "{read_bytes} of {of_column}"
    );
}

#[test]
fn a_remote_file_is_streamed_from_any_offset() {
    let num_read = Arc::new(AtomicU64::new(0));
    let bytes = Bytes::from_static(b"{\"a\":\"x\"}\n{\"a\":\"y\"}\n");
    let folder = tempfile::tempdir().unwrap();
    let content = remote_file(Counted { bytes, num_read }, folder.path());
    let mut end = String::new();
    content
        .reader(10)
        .unwrap()
        .read_to_string(&mut end)
        .unwrap();
    assert_eq!(end, "{\"a\":\"y\"}\n");
    let rows = read(&spec("jsonl"), &content, 10, &[field("a")]).unwrap();
    assert_eq!(rows, [(20, Ok(vec![text("y")]))]);
}
