//! Reads what kind of object fills a slot. Only the object's footer is read, not its rows.

use whence_schemas::store::{Listed, SlotStore, StoreError, read_footer};
use whence_schemas::{Footer, SlotId, SlotKind, layout};

use crate::job::{Event, Fill, FillKind, SlotState};

/// The object that fills a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlotObject {
    /// An object with rows.
    Filled(Fill),
    /// A tombstone of this length.
    Tombstone(u64),
}

impl SlotObject {
    /// Returns what an object of this length is by its footer.
    pub fn of(footer: &Footer, bytes: u64) -> Self {
        let kind = match footer.kind {
            SlotKind::Tombstone => return Self::Tombstone(bytes),
            SlotKind::Full => FillKind::Full,
            SlotKind::Quarantine => FillKind::Quarantine,
        };
        Self::Filled(Fill {
            kind,
            rows: footer.examples,
            errors: footer.errors,
            bytes,
        })
    }

    /// Returns what a job remembers of a slot; none if the slot is open.
    pub fn remembered(state: &SlotState) -> Option<Self> {
        match state {
            SlotState::Filled(fill) => Some(Self::Filled(fill.clone())),
            SlotState::Split { bytes } => Some(Self::Tombstone(*bytes)),
            _ => None,
        }
    }

    /// Returns whether a slot that held this object still does. One tombstone is like another.
    pub fn is_still(&self, found: &Self) -> bool {
        match (self, found) {
            (Self::Tombstone(_), Self::Tombstone(_)) => true,
            _ => self == found,
        }
    }

    /// Returns the event for a job in whose `slot` this object was seen. `tokens` were attributed
    /// for it; 0 if unknown.
    pub fn seen_in(self, slot: SlotId, tokens: u64) -> Event {
        match self {
            Self::Filled(fill) => Event::Filled { slot, fill, tokens },
            Self::Tombstone(bytes) => Event::Split { slot, bytes },
        }
    }
}

/// Reads the footer of a slot's object. Fails if `object` is not a valid slot object.
pub async fn inspect(store: &dyn SlotStore, object: &Listed) -> Result<SlotObject, StoreError> {
    let footer = read_footer(store, object).await?;
    Ok(SlotObject::of(&footer, object.bytes))
}

/// Looks at a slot and, if it is split, at the slots below it.
///
/// Returns one event per filled or split slot, each slot before its halves. The `tokens` that a
/// worker reported are counted once, for the first slot that has rows.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{object, slot, spec, store};

    /// Writes an object of this kind to a slot and returns its length.
    async fn put(store: &dyn SlotStore, slot: &SlotId, kind: SlotKind, counts: (u64, u64)) -> u64 {
        let bytes = object(&spec("m"), slot, kind, counts);
        let length = bytes.len() as u64;
        store.create(&layout::slot("t", slot), bytes).await.unwrap();
        length
    }

    #[tokio::test]
    async fn a_split_slot_is_seen_with_everything_below_it_and_its_tokens_once() {
        let (store, _root) = store();
        let [first, second] = slot(0).split();
        let [third, fourth] = second.split();
        let bytes = [
            put(&store, &slot(0), SlotKind::Tombstone, (0, 0)).await,
            put(&store, &first, SlotKind::Full, (2, 1)).await,
            put(&store, &second, SlotKind::Tombstone, (0, 0)).await,
            put(&store, &fourth, SlotKind::Quarantine, (1, 1)).await,
        ];
        // Beside the slot, not below it.
        put(&store, &slot(1), SlotKind::Full, (9, 0)).await;
        let seen = seen_below(&store, "t", &slot(0), 70).await.unwrap();
        let split = |slot: &SlotId, bytes| Event::Split {
            slot: slot.clone(),
            bytes,
        };
        let filled = |slot: &SlotId, kind, (rows, errors), bytes, tokens| Event::Filled {
            slot: slot.clone(),
            fill: Fill {
                kind,
                rows,
                errors,
                bytes,
            },
            tokens,
        };
        let expected = [
            split(&slot(0), bytes[0]),
            filled(&first, FillKind::Full, (2, 1), bytes[1], 70),
            split(&second, bytes[2]),
            filled(&fourth, FillKind::Quarantine, (1, 1), bytes[3], 0),
        ];
        assert_eq!(seen, expected);
        assert_eq!(seen_below(&store, "t", &third, 70).await.unwrap(), []);
    }
}
