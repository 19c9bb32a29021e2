//! What stands in a slot, read from the object's footer alone.

use whence_schemas::output::footer;
use whence_schemas::store::{FooterError, Listed, SlotFooter, SlotStore};

use crate::Error;
use crate::job::{Event, Fill, FillKind};

/// What stands in a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlotObject {
    /// Rows.
    Filled(Fill),
    /// A tombstone of this length.
    Tombstone(u64),
}

impl SlotObject {
    /// Returns what this means for the slot it was seen in.
    pub fn seen_in(self, slot: whence_schemas::SlotId, tokens: u64) -> Event {
        match self {
            Self::Filled(fill) => Event::Filled { slot, fill, tokens },
            Self::Tombstone(bytes) => Event::Split { slot, bytes },
        }
    }
}

/// Reads what stands in the slot `object`. Fails if it is not a slot's object.
pub async fn inspect(store: &dyn SlotStore, object: &Listed) -> Result<SlotObject, Error> {
    let damaged = |reason: &str| Error::Stored {
        key: object.key.clone(),
        reason: reason.to_owned(),
    };
    let footer = SlotFooter::read(store, object).await;
    let footer = footer.map_err(|error| match error {
        FooterError::Store(error) => Error::Store(error),
        FooterError::Damaged { reason, .. } => damaged(&reason),
    })?;
    let kind = match footer.value(footer::KIND) {
        Some(footer::KIND_TOMBSTONE) => return Ok(SlotObject::Tombstone(object.bytes)),
        Some(footer::KIND_FULL) => FillKind::Full,
        Some(footer::KIND_QUARANTINE) => FillKind::Quarantine,
        _ => return Err(damaged("its footer does not say what kind of slot it is")),
    };
    Ok(SlotObject::Filled(Fill {
        kind,
        rows: (footer.count(footer::EXAMPLES))
            .ok_or_else(|| damaged("its footer does not count its examples"))?,
        errors: (footer.count(footer::ERRORS))
            .ok_or_else(|| damaged("its footer does not count its errors"))?,
        bytes: object.bytes,
    }))
}
