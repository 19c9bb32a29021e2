//! The check that all suites end with finds what it must: each kind of damage, by its name.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayData, AsArray, Int64Array, RecordBatch, make_array};
use arrow::buffer::Buffer;
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Int64Type};
use whence_schemas::{JobSpec, layout, output, slot_file};
use whence_tests::cluster::Cluster;
use whence_tests::fixtures::short_job;
use whence_tests::history::{History, Row, Undisturbed, Violation, violations};
use whence_tests::{naive_reader, table};

/// A complete job, whose objects a test may damage.
struct Complete {
    root: tempfile::TempDir,
    spec: JobSpec,
    undisturbed: Undisturbed,
}

impl Complete {
    async fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let spec = short_job(8, 30);
        let cluster = Cluster::with_worker(root.path().display()).await;
        cluster.run(&spec).await;
        cluster.stop().await;
        let undisturbed = Undisturbed::read(root.path(), &spec);
        Self {
            root,
            spec,
            undisturbed,
        }
    }

    /// Returns the first file of the table.
    fn file(&self) -> PathBuf {
        table::files(self.root.path(), &self.spec).remove(0)
    }

    /// Returns the name of that file, relative to the root.
    fn key(&self) -> String {
        let path = self.file();
        let key = path.strip_prefix(self.root.path()).unwrap();
        key.display().to_string()
    }

    fn folder(&self) -> PathBuf {
        self.root.path().join(layout::table(&self.spec))
    }

    fn violations(&self) -> Vec<Violation> {
        violations(self.root.path(), &self.undisturbed)
    }
}

/// Writes a file again with the same footer and other rows.
fn rewrite(path: &Path, change: impl Fn(&RecordBatch) -> RecordBatch) {
    let file = slot_file::decode(fs::read(path).unwrap().into()).unwrap();
    let rows = concat_batches(&file.batches[0].schema(), &file.batches).unwrap();
    let bytes = slot_file::encode(&change(&rows), &file.footer).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Returns the rows with the lowest bit of their first score flipped.
fn with_flipped_bit(rows: &RecordBatch) -> RecordBatch {
    let place = rows.schema().index_of(output::STEPS).unwrap();
    let flipped = flip(&rows.column(place).to_data()).expect("the rows have scores");
    let mut columns = rows.columns().to_vec();
    columns[place] = make_array(flipped);
    RecordBatch::try_new(rows.schema(), columns).unwrap()
}

/// Flips the lowest bit of the first number in `data`, or in what it is made of.
fn flip(data: &ArrayData) -> Option<ArrayData> {
    let builder = data.clone().into_builder();
    if *data.data_type() == DataType::Float32 && !data.is_empty() {
        let mut bytes = data.buffers()[0].to_vec();
        bytes[4 * data.offset()] ^= 1;
        return Some(
            builder
                .buffers(vec![Buffer::from_vec(bytes)])
                .build()
                .unwrap(),
        );
    }
    let mut children = data.child_data().to_vec();
    let mut flipped = children.iter().enumerate();
    let (place, child) = flipped.find_map(|(place, child)| Some((place, flip(child)?)))?;
    children[place] = child;
    Some(builder.child_data(children).build().unwrap())
}

/// Returns the rows with every example's number raised by 100.
fn renumbered(rows: &RecordBatch) -> RecordBatch {
    let ids = rows[output::EXAMPLE_ID].as_primitive::<Int64Type>();
    let ids: Int64Array = ids.values().iter().map(|id| Some(id + 100)).collect();
    let place = rows.schema().index_of(output::EXAMPLE_ID).unwrap();
    let mut columns = rows.columns().to_vec();
    columns[place] = Arc::new(ids);
    RecordBatch::try_new(rows.schema(), columns).unwrap()
}

const FIRST: Row = Row {
    example: 0,
    sample: 0,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_nobody_disturbed_is_exact() {
    let job = Complete::new().await;
    assert_eq!(job.violations(), []);
    // A second run, on another cluster: nothing but the rows is compared.
    let again = Undisturbed::run(&job.spec).await;
    assert_eq!(violations(job.root.path(), &again), []);
    let figures = History::begin("nothing happens").ends_as(&again, job.root.path());
    assert_eq!((figures.kills, figures.faults), (0, 0));
    assert_eq!(naive_reader::pass(&job.folder()).len(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_there_twice_is_found() {
    let job = Complete::new().await;
    let key = job.key();
    let copy = key.replace("p000000", "p000000-0");
    fs::copy(job.file(), job.root.path().join(&copy)).unwrap();
    let found = job.violations();
    // The copy comes first by its name.
    let (row, file) = (FIRST, key);
    let twice = Violation::Duplicate { row, file };
    assert!(found.contains(&twice), "{found:#?}");
    let only_in = "the folder";
    let unsealed = Violation::Listing {
        file: copy,
        only_in,
    };
    assert!(found.contains(&unsealed), "{found:#?}");
    let folder = job.folder();
    let read = std::panic::catch_unwind(|| naive_reader::pass(&folder));
    assert!(read.is_err(), "a naive reader sees it too");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_lost_is_found() {
    let job = Complete::new().await;
    let file = job.key();
    fs::remove_file(job.file()).unwrap();
    let found = job.violations();
    assert!(found.contains(&Violation::Lost(FIRST)), "{found:#?}");
    let only_in = "the manifest";
    assert!(
        found.contains(&Violation::Listing { file, only_in }),
        "{found:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bit_of_one_score_is_found() {
    let job = Complete::new().await;
    rewrite(&job.file(), with_flipped_bit);
    let column = output::STEPS.to_owned();
    let expected = [
        Violation::Changed { row: FIRST, column },
        Violation::Manifest {
            file: job.key(),
            what: "digest",
        },
    ];
    assert_eq!(job.violations(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_another_dataset_are_found() {
    let job = Complete::new().await;
    rewrite(&job.file(), renumbered);
    let found = job.violations();
    let other = Row {
        example: 100,
        sample: 0,
    };
    assert!(found.contains(&Violation::Lost(FIRST)), "{found:#?}");
    assert!(found.contains(&Violation::Unexpected(other)), "{found:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_file_and_a_missing_manifest_are_found() {
    let job = Complete::new().await;
    let bytes = fs::read(job.file()).unwrap();
    fs::write(job.file(), &bytes[..bytes.len() - 1]).unwrap();
    fs::remove_file(job.root.path().join(layout::sealed(&job.spec.id()))).unwrap();
    let found = job.violations();
    let is_damaged =
        |found: &Violation| matches!(found, Violation::Damaged { file, .. } if *file == job.key());
    assert!(found.iter().any(is_damaged), "{found:#?}");
    assert!(found.contains(&Violation::NotSealed), "{found:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_does_not_belong_there_is_found() {
    let job = Complete::new().await;
    let strays = [
        format!("{}/notes.txt", layout::job(&job.spec.id())),
        "tables/attributions/part-p000000.parquet".to_owned(),
        "tmp.json".to_owned(),
    ];
    for stray in &strays {
        fs::write(job.root.path().join(stray), "{}").unwrap();
    }
    let expected = strays.map(Violation::Stray);
    let mut found = job.violations();
    found.sort_by_key(ToString::to_string);
    assert_eq!(found, expected);
}
