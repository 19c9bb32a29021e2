//! What fills a slot, read from the object's footer alone.

use whence_schemas::store::{Listed, SlotStore, StoreError, read_footer};
use whence_schemas::{SlotId, SlotKind, layout};

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

/// Looks at a slot and, where it is split, at those below it. Returns what fills them, a slot before
/// its halves; `tokens` were attributed for the first that has rows.
pub async fn seen_below(
    store: &dyn SlotStore,
    table: &str,
    slot: &SlotId,
    mut tokens: u64,
) -> Result<Vec<Event>, StoreError> {
    let mut events = Vec::new();
    let mut open = vec![slot.clone()];
    while let Some(slot) = open.pop() {
        let Some(object) = store.head(&layout::slot(table, &slot)).await? else {
            continue;
        };
        let seen = inspect(store, &object).await?;
        let own = match seen {
            SlotObject::Filled(_) => std::mem::take(&mut tokens),
            SlotObject::Tombstone(_) => {
                open.extend(slot.split().into_iter().rev());
                0
            }
        };
        events.push(seen.seen_in(slot, own));
    }
    Ok(events)
}
