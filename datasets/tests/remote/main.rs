//! Data files on other machines: web servers, buckets and the Hub, all on loopback here.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its functions included"
)]

mod server;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use server::{Fault, Server};
use whence_datasets::content::KeptRanges;
use whence_datasets::resolve::{HubDatasets, RepoAddress};
use whence_datasets::{Copies, DatasetReader, Error, Pinned, Row, open_at, pin};
use whence_fake_hub::FakeHub;
use whence_hub::{Settings, no_progress};
use whence_schemas::ErrorKind;
use whence_schemas::location::{DatasetLocation, DatasetOrigin};

/// A machine that reads remote files: its cache, and its access to a Hub.
struct Machine {
    hub: HubDatasets,
    folder: tempfile::TempDir,
}

impl Machine {
    fn new(endpoint: &str, offline: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            hub: Self::hub_at(endpoint, offline, folder.path()),
            folder,
        }
    }

    /// Returns access to the Hub at `endpoint` with the cache in `folder`.
    fn hub_at(endpoint: &str, offline: &str, folder: &Path) -> HubDatasets {
        let settings = Settings::from_env(|name| match name {
            "HF_ENDPOINT" => Some(endpoint.to_owned()),
            "HF_HOME" => Some(folder.to_str().unwrap().to_owned()),
            "HF_HUB_OFFLINE" => Some(offline.to_owned()),
            _ => None,
        });
        let hub = HubDatasets::new(settings.unwrap(), Arc::new(no_progress)).unwrap();
        hub.keeping(KeptRanges::new(folder.join("ranges"), 1 << 30))
    }

    fn without_hub() -> Self {
        Self::new("http://127.0.0.1:9", "1")
    }

    fn pin(&self, location: &DatasetLocation) -> Result<Pinned, Error> {
        pin(location, "train", open_at(location, &self.hub)?.as_ref())
    }

    /// Reads `fields` of all rows, a few at a time, and opens the files anew each time, as the
    /// shards of a job do.
    fn rows(
        &self,
        location: &DatasetLocation,
        pinned: &Pinned,
        fields: &[&str],
    ) -> Result<Vec<Row>, Error> {
        let fields: Vec<_> = fields.iter().map(|field| field.parse().unwrap()).collect();
        let copies = Copies::new(self.folder.path().join("unpacked"), 1 << 30);
        let mut read = Vec::new();
        for file in &pinned.files {
            let mut offset = 0;
            loop {
                let source = open_at(location, &self.hub)?;
                let reader = DatasetReader::new(source, &pinned.format, copies.clone())?;
                let mut rows = reader.rows(file, offset, &fields)?;
                let before = read.len();
                while read.len() < before + 1500
                    && let Some(row) = rows.next()?
                {
                    read.push(row);
                }
                offset = rows.offset();
                if read.len() == before {
                    break;
                }
            }
        }
        Ok(read)
    }
}

fn files(patterns: &[&str]) -> DatasetLocation {
    DatasetLocation {
        data_files: patterns.iter().map(|&pattern| pattern.to_owned()).collect(),
        ..DatasetLocation::of(DatasetOrigin::Files)
    }
}

/// Returns a Parquet file of more than 4 MiB, with four columns that do not compress, and the length
/// of the column `b`.
fn four_columns() -> (Vec<u8>, u64) {
    let texts = |salt: u64| -> ArrayRef {
        let text = |row: u64| {
            let hash = blake3::hash(&(row * 4 + salt).to_le_bytes());
            hash.to_hex().to_string()
        };
        Arc::new(StringArray::from_iter_values((0..18_000).map(text)))
    };
    let columns = ["a", "b", "c", "d"].into_iter().zip((0..4).map(texts));
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(4_000))
        .set_dictionary_enabled(false)
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let reader = SerializedFileReader::new(bytes::Bytes::from(bytes.clone())).unwrap();
    let groups = reader.metadata().row_groups().iter();
    let of_column: i64 = groups.map(|group| group.column(1).compressed_size()).sum();
    assert!(bytes.len() > 4 << 20);
    (bytes, of_column as u64)
}

fn data(name: &str) -> Vec<u8> {
    std::fs::read(path_of(name)).unwrap()
}

fn path_of(name: &str) -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let folders = ["data", "shapes"].map(|folder| tests.join(folder).join(name));
    folders.into_iter().find(|path| path.exists()).unwrap()
}

/// Runs a test on a thread that may block, beside the servers.
async fn blocking(test: impl FnOnce() + Send + 'static) {
    tokio::task::spawn_blocking(test).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_those_of_the_file_on_disk_wherever_it_is() {
    let server = Server::start().await;
    let hub = FakeHub::start().await;
    let files_there = [
        ("shapes.parquet", "string"),
        ("stream.arrow", "string"),
        ("file.arrow", "string"),
        ("rows.jsonl.gz", "en"),
        ("rows.jsonl.zst", "en"),
        ("two.zip", "text"),
    ];
    let bytes: Vec<_> = files_there.map(|(name, _)| data(name)).into();
    let named: Vec<(&str, &[u8])> = files_there
        .iter()
        .zip(&bytes)
        .map(|((name, _), bytes)| (*name, &bytes[..]))
        .collect();
    for (name, bytes) in &named {
        server.put(name, bytes);
    }
    hub.publish("datasets", "ns/name", "main", &named);
    blocking(move || {
        let machine = Machine::new(&hub.endpoint(), "0");
        for (name, field) in files_there {
            let local = path_of(name);
            let read = |path: &str| {
                let location = files(&[path]);
                let pinned = machine.pin(&location).unwrap();
                machine.rows(&location, &pinned, &[field]).unwrap()
            };
            let expected = read(local.to_str().unwrap());
            assert!(!expected.is_empty());
            let address = format!("hf://datasets/ns/name@main/{name}");
            let address = RepoAddress::parse(&address, "").unwrap().pin(&machine.hub);
            let query = server.web(name) + "?download=true";
            for path in [server.web(name), query, server.s3(name), address.unwrap()] {
                assert_eq!(read(&path), expected, "{path}");
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_column_of_four_is_transferred_once_however_many_shards_read_it() {
    let server = Server::start().await;
    let hub = FakeHub::start().await;
    let (bytes, of_column) = four_columns();
    server.put("rows.parquet", &bytes);
    let commit = hub.publish("datasets", "ns/name", "main", &[("rows.parquet", &bytes)]);
    blocking(move || {
        let on_hub = format!("hf://datasets/ns/name@{commit}/rows.parquet");
        for path in [
            server.web("rows.parquet"),
            server.s3("rows.parquet"),
            on_hub,
        ] {
            let machine = Machine::new(&hub.endpoint(), "0");
            let location = files(&[&path]);
            let pinned = machine.pin(&location).unwrap();
            let rows = machine.rows(&location, &pinned, &["b"]).unwrap();
            assert_eq!(rows.len(), 18_000);
            let of_hub = hub
                .take_log()
                .iter()
                .map(|request| request.bytes_sent)
                .sum::<u64>();
            let sent = server.take_sent().0 + of_hub;
            assert!(
                sent <= of_column * 115 / 100,
                "{path}: {sent} of {of_column}"
            );
            assert!(sent >= of_column, "{path}: {sent} of {of_column}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_file_of_the_hub_is_fetched_for_python_too_and_a_large_one_is_named_offline() {
    let hub = FakeHub::start().await;
    let (bytes, _) = four_columns();
    let small = data("shapes.parquet");
    let files_there: [(&str, &[u8]); 2] = [("large.parquet", &bytes), ("small.parquet", &small)];
    let commit = hub.publish("datasets", "ns/name", "main", &files_there);
    blocking(move || {
        let machine = Machine::new(&hub.endpoint(), "0");
        let read = |machine: &Machine, name: &str, field| {
            let location = files(&[&format!("hf://datasets/ns/name@{commit}/{name}")]);
            let pinned = machine.pin(&location)?;
            machine
                .rows(&location, &pinned, &[field])
                .map(|rows| rows.len())
        };
        assert_eq!(read(&machine, "small.parquet", "string").unwrap(), 5);
        assert_eq!(read(&machine, "large.parquet", "b").unwrap(), 18_000);
        let offline = Machine {
            hub: Machine::hub_at(&hub.endpoint(), "1", machine.folder.path()),
            folder: tempfile::tempdir().unwrap(),
        };
        assert_eq!(read(&offline, "small.parquet", "string").unwrap(), 5);
        let error = read(&offline, "large.parquet", "b").unwrap_err();
        assert!(error.to_string().contains("large.parquet"), "{error}");
        assert!(error.help().unwrap().contains("hf download"), "{error}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_cut_off_is_continued_at_the_next_byte() {
    let server = Server::start().await;
    let lines: Vec<u8> = (0..200_000)
        .flat_map(|n| format!("line {n}\n").into_bytes())
        .collect();
    server.put("rows.txt", &lines);
    blocking(move || {
        for path in [server.web("rows.txt"), server.s3("rows.txt")] {
            let machine = Machine::without_hub();
            let location = files(&[&path]);
            let pinned = machine.pin(&location).unwrap();
            server.take_sent();
            server.fail(Fault::CutOnce(100_000));
            server.fail(Fault::CutOnce(60_000));
            let rows = machine.rows(&location, &pinned, &["text"]).unwrap();
            assert_eq!(rows.len(), 200_000, "{path}");
            let (sent, _) = server.take_sent();
            // What was under way when the connection broke may be lost.
            let most = lines.len() as u64 + 200_000;
            assert!(sent >= lines.len() as u64 && sent <= most, "{path}: {sent}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_changed_is_refused_by_its_name() {
    let server = Server::start().await;
    blocking(move || {
        for fault in [None, Some(Fault::NoTag)] {
            for path in [server.web("rows.txt"), server.s3("rows.txt")] {
                server.heal();
                server.put("rows.txt", b"one\ntwo\n");
                let location = files(&[&path]);
                if let Some(fault) = fault.filter(|_| path.starts_with("http")) {
                    server.fail(fault);
                }
                let machine = Machine::without_hub();
                let pinned = machine.pin(&location).unwrap();
                server.put("rows.txt", b"one\nthree\n");
                let error = machine.rows(&location, &pinned, &["text"]).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Data, "{error}");
                let text = error.to_string();
                assert!(
                    text.contains("/rows.txt") && text.contains("changed"),
                    "{text}"
                );
                let again = Machine::without_hub().pin(&location).unwrap();
                assert_ne!(again.digest(), pinned.digest());
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_ranges_sends_the_file_once() {
    let server = Server::start().await;
    let (bytes, _) = four_columns();
    server.put("rows.parquet", &bytes);
    server.fail(Fault::NoRanges);
    blocking(move || {
        let machine = Machine::without_hub();
        let location = files(&[&server.web("rows.parquet")]);
        let pinned = machine.pin(&location).unwrap();
        let (_, answers) = server.take_sent();
        assert_eq!(answers, 1);
        let rows = machine.rows(&location, &pinned, &["b"]).unwrap();
        assert_eq!(rows.len(), 18_000);
        // One answer told that there are no ranges, and one was the file.
        assert_eq!(server.take_sent().1, 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_is_explained() {
    let server = Server::start().await;
    server.put("rows.txt", b"one\n");
    blocking(move || {
        let machine = Machine::without_hub();
        let refused = |path: &str| {
            let error = machine.pin(&files(&[path])).unwrap_err();
            (
                error.kind(),
                error.to_string(),
                error.help().unwrap_or_default(),
            )
        };
        for path in [server.web("none.txt"), server.s3("none.txt")] {
            let (_, text, _) = refused(&path);
            assert!(
                text.contains("none.txt") && text.contains("no such file"),
                "{text}"
            );
        }
        for path in [server.web("rows.txt"), server.s3("rows.txt")] {
            server.fail(Fault::Status(403));
            let (kind, text, help) = refused(&path);
            assert_eq!(kind, ErrorKind::Invalid, "{text}");
            assert!(
                text.contains("denied") && text.contains("rows.txt"),
                "{text}"
            );
            assert!(help.contains("credentials"), "{help}");
            server.heal();
        }
        server.fail(Fault::NoVersion);
        let (_, text, _) = refused(&server.web("rows.txt"));
        assert!(
            text.contains("neither `ETag` nor `Last-Modified`"),
            "{text}"
        );
        let (_, text, _) = refused(&server.s3("rows.txt"));
        assert!(text.contains("rows.txt"), "{text}");
        let (_, text, _) = refused("ftp://host/rows.txt");
        assert!(text.contains("`ftp://` is not read"), "{text}");
    })
    .await;
}
