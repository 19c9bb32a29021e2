//! What stands in a slot, read from the object's footer alone.

use parquet::file::metadata::{FooterTail, ParquetMetaData, ParquetMetaDataReader};
use whence_schemas::output::footer;
use whence_schemas::store::{Listed, SlotStore};

use crate::Error;
use crate::job::{Event, Fill, FillKind};

/// Holds most footers, so that one read is enough.
const TAIL_BYTES: u64 = 64 << 10;
/// Length and magic number at the end of every Parquet file.
const FOOTER_BYTES: usize = 8;

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
    let metadata = metadata(store, object).await?;
    let file = metadata.file_metadata();
    let value = |key: &str| {
        let pairs = file.key_value_metadata().into_iter().flatten();
        pairs
            .filter(|pair| pair.key == key)
            .find_map(|pair| pair.value.as_deref())
    };
    let damaged = |reason: &str| Error::Stored {
        key: object.key.clone(),
        reason: reason.to_owned(),
    };
    let kind = match value(footer::KIND) {
        Some(footer::KIND_TOMBSTONE) => return Ok(SlotObject::Tombstone(object.bytes)),
        Some(footer::KIND_FULL) => FillKind::Full,
        Some(footer::KIND_QUARANTINE) => FillKind::Quarantine,
        _ => return Err(damaged("its footer does not say what kind of slot it is")),
    };
    let errors = value(footer::ERRORS).and_then(|errors| errors.parse().ok());
    Ok(SlotObject::Filled(Fill {
        kind,
        rows: file.num_rows() as u64,
        errors: errors.ok_or_else(|| damaged("its footer does not count its error rows"))?,
        bytes: object.bytes,
    }))
}

async fn metadata(store: &dyn SlotStore, object: &Listed) -> Result<ParquetMetaData, Error> {
    let damaged = |reason: String| Error::Stored {
        key: object.key.clone(),
        reason,
    };
    let from = object.bytes.saturating_sub(TAIL_BYTES);
    let mut tail = store.get_range(&object.key, from..object.bytes).await?;
    let last: &[u8; FOOTER_BYTES] = tail
        .last_chunk()
        .ok_or_else(|| damaged("it is too short for a Parquet file".to_owned()))?;
    let end = FooterTail::try_new(last).map_err(|error| damaged(error.to_string()))?;
    let needed = (end.metadata_length() + FOOTER_BYTES) as u64;
    if needed > object.bytes {
        return Err(damaged("its footer is longer than the file".to_owned()));
    }
    if needed > tail.len() as u64 {
        let from = object.bytes - needed;
        tail = store.get_range(&object.key, from..object.bytes).await?;
    }
    let start = tail.len() - needed as usize;
    ParquetMetaDataReader::decode_metadata(&tail[start..tail.len() - FOOTER_BYTES])
        .map_err(|error| damaged(error.to_string()))
}
