//! Who filled a slot and how, read from its object's Parquet footer alone.
//!
//! One read is enough for nearly every footer, however large the object.

use parquet::file::metadata::{FooterTail, ParquetMetaData, ParquetMetaDataReader};

use super::{Listed, SlotStore, StoreError};

/// Holds most footers, so that one read is enough.
const TAIL_BYTES: u64 = 64 << 10;
/// Length and magic number at the end of every Parquet file.
const END_BYTES: usize = 8;

/// The footer of a slot's object; its keys are those of [`crate::output::footer`].
#[derive(Debug)]
pub struct SlotFooter(ParquetMetaData);

/// Why a footer could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FooterError {
    /// The store did not answer, or refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What stands in the slot is no Parquet file.
    #[error("`{key}` is no slot's object: {reason}")]
    Damaged {
        /// Its name below the root.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl SlotFooter {
    /// Reads the footer of `object`.
    pub async fn read(store: &dyn SlotStore, object: &Listed) -> Result<Self, FooterError> {
        let damaged = |reason: String| FooterError::Damaged {
            key: object.key.clone(),
            reason,
        };
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
        let start = tail.len() - needed as usize;
        ParquetMetaDataReader::decode_metadata(&tail[start..tail.len() - END_BYTES])
            .map(Self)
            .map_err(|error| damaged(error.to_string()))
    }

    /// Returns what the footer says under `key`.
    pub fn value(&self, key: &str) -> Option<&str> {
        let pairs = self.0.file_metadata().key_value_metadata();
        let mut pairs = pairs.into_iter().flatten();
        pairs.find(|pair| pair.key == key)?.value.as_deref()
    }

    /// Returns the count that the footer gives under `key`; `None` if there is none.
    pub fn count(&self, key: &str) -> Option<u64> {
        self.value(key)?.parse().ok()
    }
}
