//! Reads a slot's footer from the end of its object, without reading the rows.
//!
//! One read is enough for nearly every footer, however large the object.

use parquet::file::metadata::{FooterTail, ParquetMetaData, ParquetMetaDataReader};

use super::{Listed, SlotStore, StoreError};
use crate::footer::Footer;
use crate::slot_file::footer_of;

/// Bytes read at first. Most footers fit, so that one read is enough.
const TAIL_BYTES: u64 = 64 << 10;
/// Size of the last fields of every Parquet file: the length of the metadata and the magic number.
const END_BYTES: usize = 8;

/// Reads the footer of a slot's object.
///
/// Fails with [`StoreError::Damaged`] if the object is not a slot file.
pub async fn read_footer(store: &dyn SlotStore, object: &Listed) -> Result<Footer, StoreError> {
    let metadata = read_metadata(store, object).await?;
    footer_of(&metadata).map_err(|error| damaged(store, object, error.to_string()))
}

async fn read_metadata(
    store: &dyn SlotStore,
    object: &Listed,
) -> Result<ParquetMetaData, StoreError> {
    let damaged = |reason: String| damaged(store, object, reason);
    let from = object.bytes.saturating_sub(TAIL_BYTES);
    let mut tail = store.get_range(&object.key, from..object.bytes).await?;
    let last: &[u8; END_BYTES] = tail
        .last_chunk()
        .ok_or_else(|| damaged("it is too short for a Parquet file".to_owned()))?;
    let end = FooterTail::try_new(last).map_err(|error| damaged(error.to_string()))?;
    let needed = (end.metadata_length() + END_BYTES) as u64;
    if needed > object.bytes {
        return Err(damaged("its footer is longer than the file".to_owned()));
    }
    if needed > tail.len() as u64 {
        let from = object.bytes - needed;
        tail = store.get_range(&object.key, from..object.bytes).await?;
    }
    // A store may return fewer bytes than it was asked for.
    let start = tail.len().checked_sub(needed as usize);
    let start = start.ok_or_else(|| damaged("it is shorter than the store lists it".to_owned()))?;
    ParquetMetaDataReader::decode_metadata(&tail[start..tail.len() - END_BYTES])
        .map_err(|error| damaged(error.to_string()))
}

fn damaged(store: &dyn SlotStore, object: &Listed, reason: String) -> StoreError {
    StoreError::Damaged {
        url: store.url().to_owned(),
        key: object.key.clone(),
        reason,
    }
}
