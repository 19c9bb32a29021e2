//! What fills a slot, read from the object's footer alone.

use whence_schemas::store::{Listed, SlotStore, StoreError, read_footer};
use whence_schemas::{SlotId, SlotKind};

use crate::job::{Event, Fill, FillKind};

/// What fills a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlotObject {
    /// Rows.
    Filled(Fill),
    /// A tombstone of this length.
    Tombstone(u64),
}

impl SlotObject {
    /// Returns what this means for the slot it was seen in.
    pub fn seen_in(self, slot: SlotId, tokens: u64) -> Event {
        match self {
            Self::Filled(fill) => Event::Filled { slot, fill, tokens },
            Self::Tombstone(bytes) => Event::Split { slot, bytes },
        }
    }
}

/// Reads what fills the slot `object`. Fails if it is not a slot's object.
pub async fn inspect(store: &dyn SlotStore, object: &Listed) -> Result<SlotObject, StoreError> {
    let footer = read_footer(store, object).await?;
    let kind = match footer.kind {
        SlotKind::Tombstone => return Ok(SlotObject::Tombstone(object.bytes)),
        SlotKind::Full => FillKind::Full,
        SlotKind::Quarantine => FillKind::Quarantine,
    };
    Ok(SlotObject::Filled(Fill {
        kind,
        rows: footer.examples,
        errors: footer.errors,
        bytes: object.bytes,
    }))
}
