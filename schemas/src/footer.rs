//! A slot's footer: who filled it, with what, for which job. It is written with every table file.
//!
//! The footer makes a slot self-describing. A worker recognizes its own object after a lost
//! acknowledgement, a coordinator rebuilds a job's state, and a person sees where a file comes
//! from, all without reading a row. [`Footer::pairs`] writes every key and [`Footer::parse`] reads
//! every key; nothing else in the workspace knows them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Attempt, Epoch, SlotId, WorkerId};

const SLOT: &str = "whence.slot";
const ATTEMPT: &str = "whence.attempt";
const KIND: &str = "whence.kind";
const EXAMPLES: &str = "whence.examples";
const ERRORS: &str = "whence.errors";
const WORKER: &str = "whence.worker";
const EPOCH: &str = "whence.epoch";
const SPEC: &str = "whence.spec";
const CODE_VERSION: &str = "whence.code_version";

/// Number of keys above. It is the length of the array that [`Footer::pairs`] returns, so a key
/// that is counted here but not written there does not compile.
const NUM_KEYS: usize = 9;

/// What a slot's object holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SlotKind {
    /// The shard's result.
    Full,
    /// No rows: the slot was split, and its halves hold the result.
    Tombstone,
    /// Error rows only: the slot has one row, and every attempt at it failed.
    Quarantine,
}

impl SlotKind {
    const ALL: [Self; 3] = [Self::Full, Self::Tombstone, Self::Quarantine];

    /// Returns the kind's name in footers and manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Tombstone => "tombstone",
            Self::Quarantine => "quarantine",
        }
    }
}

impl fmt::Display for SlotKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The footer of a slot's object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footer {
    /// The slot.
    pub slot: SlotId,
    /// The attempt that wrote the file.
    pub attempt: Attempt,
    /// What the file holds.
    pub kind: SlotKind,
    /// Number of dataset rows the file covers. The file has more rows of its own if several
    /// sequences are generated per dataset row.
    pub examples: u64,
    /// How many of those dataset rows have a row with status `error`.
    pub errors: u64,
    /// Who computed the file.
    pub worker: WorkerId,
    /// Epoch of the coordinator that leased the attempt.
    pub epoch: Epoch,
    /// Canonical JSON of the [`crate::JobSpec`].
    pub spec_json: String,
    /// Version of the program that wrote the file.
    pub code_version: String,
}

/// Why key-value pairs are not a slot's footer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FooterError {
    /// A key is missing.
    #[error("its footer has no `{key}`")]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// A value is malformed.
    #[error("its footer's `{key}` is `{value}`, not {expected}")]
    Value {
        /// The key.
        key: &'static str,
        /// What the footer has.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
}

impl Footer {
    /// Returns the key-value pairs to write, in the order every file has them.
    pub fn pairs(&self) -> [(&'static str, String); NUM_KEYS] {
        [
            (SLOT, self.slot.to_string()),
            (ATTEMPT, self.attempt.to_string()),
            (KIND, self.kind.to_string()),
            (EXAMPLES, self.examples.to_string()),
            (ERRORS, self.errors.to_string()),
            (WORKER, self.worker.to_string()),
            (EPOCH, self.epoch.to_string()),
            (SPEC, self.spec_json.clone()),
            (CODE_VERSION, self.code_version.clone()),
        ]
    }

    /// Reads a footer. `value_of` returns the value of a key, or `None` if the file does not have
    /// the key.
    ///
    /// Fails if a key is missing or a value cannot be parsed.
    pub fn parse<'a>(value_of: impl Fn(&str) -> Option<&'a str>) -> Result<Self, FooterError> {
        let text = |key| value_of(key).ok_or(FooterError::Missing { key });
        let kind = text(KIND)?;
        let named = |candidate: &SlotKind| candidate.name() == kind;
        Ok(Self {
            slot: parsed(SLOT, text(SLOT)?, "a slot id")?,
            attempt: parsed(ATTEMPT, text(ATTEMPT)?, "an attempt's ULID")?,
            kind: SlotKind::ALL.into_iter().find(named).ok_or_else(|| {
                let expected = "`full`, `tombstone` or `quarantine`";
                wrong_value(KIND, kind, expected)
            })?,
            examples: parsed(EXAMPLES, text(EXAMPLES)?, "a count")?,
            errors: parsed(ERRORS, text(ERRORS)?, "a count")?,
            worker: parsed(WORKER, text(WORKER)?, "a worker id")?,
            epoch: Epoch(parsed(EPOCH, text(EPOCH)?, "an epoch's number")?),
            spec_json: text(SPEC)?.to_owned(),
            code_version: text(CODE_VERSION)?.to_owned(),
        })
    }
}

fn parsed<T: FromStr>(
    key: &'static str,
    value: &str,
    expected: &'static str,
) -> Result<T, FooterError> {
    value.parse().map_err(|_| wrong_value(key, value, expected))
}

fn wrong_value(key: &'static str, value: &str, expected: &'static str) -> FooterError {
    FooterError::Value {
        key,
        value: value.to_owned(),
        expected,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn footers() -> impl Strategy<Value = Footer> {
        let kinds = prop::sample::select(SlotKind::ALL.to_vec());
        let who = ("[a-zA-Z0-9._-]{1,64}", any::<u64>(), any::<u128>());
        let counts = (0..100_000_usize, any::<u64>(), any::<u64>());
        (kinds, who, counts, ".{0,40}", ".{0,12}").prop_map(
            |(kind, (worker, epoch, ulid), (shard, examples, errors), spec_json, code_version)| {
                Footer {
                    slot: SlotId::of_shard(shard).split()[shard % 2].clone(),
                    attempt: Attempt::of(ulid::Ulid(ulid)),
                    kind,
                    examples,
                    errors,
                    worker: worker.parse().unwrap(),
                    epoch: Epoch(epoch),
                    spec_json,
                    code_version,
                }
            },
        )
    }

    fn read(pairs: &[(&'static str, String)]) -> Result<Footer, FooterError> {
        Footer::parse(|key| {
            let pair = pairs.iter().find(|(name, _)| *name == key);
            pair.map(|(_, value)| value.as_str())
        })
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(footer in footers()) {
            prop_assert_eq!(read(&footer.pairs()), Ok(footer));
        }

        #[test]
        fn a_missing_key_is_named(footer in footers(), missing in 0..NUM_KEYS) {
            let mut pairs = footer.pairs().to_vec();
            let (key, _) = pairs.remove(missing);
            prop_assert_eq!(read(&pairs), Err(FooterError::Missing { key }));
        }

        #[test]
        fn a_damaged_value_is_named_with_its_key(footer in footers(), damaged in 0..7_usize) {
            let mut pairs = footer.pairs();
            pairs[damaged].1.insert(0, '/');
            let message = read(&pairs).unwrap_err().to_string();
            prop_assert!(message.contains(pairs[damaged].0), "{}", message);
        }
    }
}
