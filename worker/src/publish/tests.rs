//! What a publication leaves in the store, whoever else writes there and whatever fails.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::{DataType, Field, Fields};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use whence_engine::{Attribution, Token};
use whence_schemas::{Attempt, Epoch, RowError};

use super::*;
use crate::computation::attributing::Attributing;
use crate::table;
use crate::testing::{Fault, MemoryStore, row, sent};

/// Everything that a publication needs, with as many rows as the test wants.
struct Stage {
    store: MemoryStore,
    worker: WorkerId,
    lease: Lease,
    input: InputRows,
    results: Vec<Option<Samples<Attribution>>>,
    max_bytes: usize,
}

/// The content of a slot: the kind of its object, and the id and text of each of its table rows.
type Content = (SlotKind, Vec<(RowId, String)>);

fn attribution(text: &str) -> Attribution {
    let token = |id| Token {
        id: Some(id),
        text: format!("{text}-{id}"),
        offsets: None,
    };
    Attribution {
        source: Vec::new(),
        target: vec![token(1), token(2)],
        generated_text: text.to_owned(),
        forced: false,
        attr_pos_start: 1,
        attr_pos_end: 1,
        steps: Vec::new(),
        sequence_scores: Vec::new(),
    }
}

impl Stage {
    /// Returns a stage of `num_rows` rows of which the first `done` are finished.
    fn new(num_rows: usize, done: usize) -> Self {
        let sent = whence_proto::v1::Lease {
            rows: num_rows as u64,
            ..sent(0)
        };
        let rows: Vec<_> = (0..num_rows as i64).map(|id| row(id, "in")).collect();
        let result = |id: usize| Some(vec![Ok(attribution(&format!("out {id}")))]);
        Self {
            store: MemoryStore::default(),
            worker: "w".parse().unwrap(),
            lease: Lease::try_from(&sent).unwrap(),
            input: InputRows {
                rows,
                columns: None,
            },
            results: (0..done).map(result).collect(),
            max_bytes: usize::MAX,
        }
    }

    async fn publish(&self) -> Result<Published, Failure> {
        let publication = Publication::<Attributing> {
            policy: crate::commit::COMMITTING,
            store: &self.store,
            worker: &self.worker,
            max_bytes: self.max_bytes,
            lease: &self.lease,
            input: &self.input,
            results: &self.results,
        };
        publication.publish().await
    }

    /// Writes an object of another attempt to a slot: the rows of `rows`, or a tombstone.
    async fn write_as_other(&self, slot: &SlotId, rows: Option<Range<u64>>) {
        let mut other = Self::new(self.input.rows.len(), self.input.rows.len());
        other.lease.attempt = Attempt::of(ulid::Ulid(99));
        let publication = Publication::<Attributing> {
            policy: crate::commit::COMMITTING,
            store: &other.store,
            worker: &other.worker,
            max_bytes: other.max_bytes,
            lease: &other.lease,
            input: &other.input,
            results: &other.results,
        };
        let bytes = match rows {
            Some(rows) => publication.encode(slot, rows).unwrap(),
            None => publication.tombstone(slot).unwrap(),
        };
        let key = publication.key(slot);
        self.store.create(&key, bytes.into()).await.unwrap();
    }

    fn file(&self, slot: &str) -> slot_file::SlotFile {
        let key = self.lease.slot_key.replace("p000000", slot);
        slot_file::decode(self.store.objects()[&key].clone()).unwrap()
    }

    /// Returns the content of every slot in the store, by the slot's id.
    fn slots(&self) -> BTreeMap<String, Content> {
        let objects = self.store.objects().into_values();
        let content = objects.map(|bytes| {
            let file = slot_file::decode(bytes).unwrap();
            let mut rows = Vec::new();
            for batch in &file.batches {
                rows.extend(table::decode(batch, &[]).unwrap());
            }
            let text = |row: &TableRow| match &row.result {
                Ok(attribution) => attribution.generated_text.clone(),
                Err(error) => error.code.clone(),
            };
            let rows = rows.iter().map(|row| (row.id, text(row))).collect();
            (file.footer.slot.to_string(), (file.footer.kind, rows))
        });
        content.collect()
    }
}

fn rows(ids: Range<i64>) -> Vec<(RowId, String)> {
    let row = |id| (RowId::first_of(id), format!("out {id}"));
    ids.map(row).collect()
}

/// Returns slots and their contents as [`Stage::slots`] does.
fn contents(slots: &[(&str, SlotKind, Range<i64>)]) -> BTreeMap<String, Content> {
    let content = |(slot, kind, ids): &(&str, SlotKind, Range<i64>)| {
        ((*slot).to_owned(), (*kind, rows(ids.clone())))
    };
    slots.iter().map(content).collect()
}

use SlotKind::{Full, Tombstone};

#[tokio::test(start_paused = true)]
async fn an_attempt_that_has_all_rows_fills_its_slot_and_nothing_else() {
    let stage = Stage::new(4, 4);
    let published = stage.publish().await.unwrap();
    assert_eq!(stage.slots(), contents(&[("p000000", Full, 0..4)]));
    let size = stage.store.objects().into_values().map(|bytes| bytes.len());
    let expected = Published {
        outcome: Outcome::Committed,
        bytes: size.sum::<usize>() as u64,
    };
    assert_eq!(published, expected);
    let footer = Footer {
        slot: SlotId::of_shard(0),
        attempt: Attempt::of(ulid::Ulid(0)),
        kind: Full,
        examples: 4,
        errors: 0,
        worker: "w".parse().unwrap(),
        epoch: Epoch(3),
        spec_json: crate::testing::spec().canonical_json(),
        code_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    assert_eq!(stage.file("p000000").footer, footer);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_ended_early_splits_its_slot_and_leaves_the_rest_open() {
    let stage = Stage::new(5, 3);
    let published = stage.publish().await.unwrap();
    assert_eq!(published.outcome, Outcome::Split);
    let expected = [
        ("p000000", Tombstone, 0..0),
        ("p000000-0", Full, 0..2),
        ("p000000-1", Tombstone, 0..0),
        ("p000000-10", Full, 2..3),
    ];
    assert_eq!(stage.slots(), contents(&expected));
}

#[tokio::test(start_paused = true)]
async fn a_result_that_is_too_large_goes_into_the_halves() {
    let mut stage = Stage::new(4, 4);
    let whole = stage.publish().await.unwrap().bytes as usize;
    stage.store = MemoryStore::default();
    stage.max_bytes = whole - 1;
    let published = stage.publish().await.unwrap();
    assert_eq!(published.outcome, Outcome::Split);
    let expected = [
        ("p000000", Tombstone, 0..0),
        ("p000000-0", Full, 0..2),
        ("p000000-1", Full, 2..4),
    ];
    assert_eq!(stage.slots(), contents(&expected));
}

#[tokio::test(start_paused = true)]
async fn a_single_row_that_is_too_large_is_a_failure_with_both_sizes() {
    let mut stage = Stage::new(1, 1);
    stage.max_bytes = 10;
    let failure = stage.publish().await.unwrap_err();
    let Failure::TooLarge { bytes, limit } = failure else {
        panic!("{failure}");
    };
    assert!(bytes > limit && limit == 10, "{bytes} of {limit} bytes");
    assert!(stage.slots().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_another_attempt_filled_is_superseded() {
    let root = SlotId::of_shard(0);
    for done in [4, 2] {
        let stage = Stage::new(4, done);
        stage.write_as_other(&root, Some(0..4)).await;
        let before = stage.store.objects();
        let published = stage.publish().await.unwrap();
        assert_eq!(published.outcome, Outcome::Superseded);
        assert_eq!(stage.store.objects(), before);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_was_split_meanwhile_takes_the_rows_in_its_free_halves() {
    let stage = Stage::new(4, 4);
    let root = SlotId::of_shard(0);
    let [first, _] = root.split();
    stage.write_as_other(&root, None).await;
    stage.write_as_other(&first, Some(0..2)).await;
    let published = stage.publish().await.unwrap();
    assert_eq!(published.outcome, Outcome::Split);
    let expected = [
        ("p000000", Tombstone, 0..0),
        ("p000000-0", Full, 0..2),
        ("p000000-1", Full, 2..4),
    ];
    assert_eq!(stage.slots(), contents(&expected));
    let author = |slot| stage.file(slot).footer.attempt;
    assert_eq!(author("p000000-0"), Attempt::of(ulid::Ulid(99)));
    assert_eq!(author("p000000-1"), stage.lease.attempt);
}

#[tokio::test(start_paused = true)]
async fn several_sequences_of_a_row_share_its_columns_and_count_as_one_example() {
    let mut stage = Stage::new(2, 2);
    let bad = RowError::new("too_long", "it is too long");
    stage.results[0] = Some(vec![Ok(attribution("a")), Err(bad), Ok(attribution("c"))]);
    let values: ArrayRef = Arc::new(StringArray::from(vec!["en", "fr"]));
    let fields = Fields::from(vec![Field::new("language", DataType::Utf8, true)]);
    stage.input.columns = Some(StructArray::new(fields, vec![values], None));
    stage.publish().await.unwrap();
    let id = |example, sample| RowId { example, sample };
    let expected = [
        (id(0, 0), "a".to_owned()),
        (id(0, 1), "too_long".to_owned()),
        (id(0, 2), "c".to_owned()),
        (id(1, 0), "out 1".to_owned()),
    ];
    assert_eq!(stage.slots()["p000000"], (Full, expected.to_vec()));
    let file = stage.file("p000000");
    assert_eq!((file.footer.examples, file.footer.errors), (2, 1));
    let columns = file.batches[0].column_by_name("columns").unwrap();
    let languages = columns.as_struct().column(0).as_string::<i32>();
    let languages: Vec<_> = languages.iter().flatten().collect();
    assert_eq!(languages, ["en", "en", "en", "fr"]);
}

/// Faults of which the store recovers before a commit is given up.
fn faults() -> impl Strategy<Value = Vec<Option<Fault>>> {
    let fault = prop_oneof![Just(Fault::Unwritten), Just(Fault::Unacknowledged)];
    vec(option::weighted(0.4, fault), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn attempts_that_end_early_and_a_store_that_fails_leave_each_row_once(
        num_rows in 1..9_usize,
        ends in vec(0..9_usize, 0..4),
        slack in option::of(50..500_usize),
        faults in faults(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let one_row = runtime.block_on(Stage::new(1, 1).publish()).unwrap().bytes as usize;
        let mut stage = Stage::new(num_rows, 0);
        stage.store = MemoryStore::with_faults(faults);
        // An object may hold a row, and a little more.
        stage.max_bytes = slack.map_or(usize::MAX, |slack| one_row + slack);
        // Later attempts end anywhere, too, except for the last one, which has all rows.
        for (number, done) in (1..).zip(ends.into_iter().chain([num_rows])) {
            stage.lease.attempt = Attempt::of(ulid::Ulid(number));
            stage.results = Stage::new(num_rows, done.min(num_rows)).results;
            runtime.block_on(stage.publish()).unwrap();
        }
        let slots = stage.slots().into_values();
        let mut found: Vec<_> = slots.flat_map(|(_, rows)| rows).collect();
        found.sort();
        prop_assert_eq!(found, rows(0..num_rows as i64));
    }
}
