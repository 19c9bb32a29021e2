//! Reads a slot's object whole and checks that it is the slot's result, bit for bit as it was written.

use std::ops::Range;

use whence_schemas::store::SlotStore;
use whence_schemas::{SlotId, SlotKind, slot_file};

use super::SlotObject;
use crate::Error;
use crate::blocking::blocking;

/// What must be true of a slot's object.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Its name, relative to the storage root.
    pub key: String,
    /// The slot.
    pub slot: SlotId,
    /// Canonical JSON of the job's specification.
    pub spec_json: String,
    /// The slot's rows in the plan. A tombstone has none of them.
    pub rows: Range<u64>,
    /// What the slot held when it was looked at before; none if it was not.
    pub seen: Option<SlotObject>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The object is whole and the slot's own. This is its digest.
    Whole(String),
    /// The slot now holds another object than before: somebody deleted that, and somebody else filled
    /// the slot.
    Other(SlotObject),
    /// It is not, for this reason.
    Damaged(String),
    /// There is no such object.
    Nothing,
}

/// Reads the object of a slot and checks it. Fails if the store fails.
pub async fn verify(store: &dyn SlotStore, expected: Expected) -> Result<Found, Error> {
    let Some(bytes) = store.get(&expected.key).await? else {
        return Ok(Found::Nothing);
    };
    let length = bytes.len() as u64;
    let check = move || {
        Ok(match slot_file::verify(bytes) {
            Ok(file) => judge(&file, length, &expected),
            Err(error) => Found::Damaged(error.to_string()),
        })
    };
    blocking("verify a table file", check).await
}

fn judge(file: &slot_file::Verified, length: u64, expected: &Expected) -> Found {
    let footer = &file.footer;
    if footer.spec_json != expected.spec_json {
        return Found::Damaged("it belongs to another job".to_owned());
    }
    if footer.slot != expected.slot {
        return Found::Damaged(format!("it belongs to slot `{}`", footer.slot));
    }
    let rows = match footer.kind {
        SlotKind::Tombstone => 0..0,
        SlotKind::Full | SlotKind::Quarantine => expected.rows.clone(),
    };
    // Numbers of rows fit into the column's type, whose values they are.
    let numbers = rows.start as i64..rows.end as i64;
    if !numbers.eq(file.examples.iter().copied()) {
        return Found::Damaged(format!(
            "it does not have the rows {} to {}, each once and in their order",
            rows.start, rows.end
        ));
    }
    let found = SlotObject::of(footer, length);
    match &expected.seen {
        Some(seen) if !seen.is_still(&found) => Found::Other(found),
        _ => Found::Whole(file.digest.clone()),
    }
}
