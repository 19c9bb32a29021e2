//! Identifiers: each its own type, so that a swapped argument does not compile.
//!
//! A [`JobId`] is the hash of what the job computes. The same specification is therefore the same
//! job: submitting is idempotent, and submitting again is how a job is resumed. A [`SlotId`] names
//! the one place where a shard's result may be written; its suffix records how the shard was split.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text that is not a valid id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {kind}: expected {expected}")]
pub struct InvalidId {
    /// The kind of id that was expected, with its article.
    pub kind: &'static str,
    /// The text that was found.
    pub text: String,
    /// The form it must have.
    pub expected: &'static str,
}

/// Names a job: the first 26 base32 characters of the hash of its canonical specification.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(String);

impl JobId {
    /// 130 bits of the hash, at five bits per character: enough that two jobs never share an id.
    const LENGTH: usize = 26;

    /// Returns the id of the job with this canonical specification.
    pub fn of(canonical: &str) -> Self {
        let hash = blake3::hash(canonical.as_bytes());
        let mut text = data_encoding::BASE32_NOPAD.encode(hash.as_bytes());
        text.truncate(Self::LENGTH);
        text.make_ascii_lowercase();
        Self(text)
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for JobId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let is_base32 = |c: char| matches!(c, 'a'..='z' | '2'..='7');
        if text.len() == Self::LENGTH && text.chars().all(is_base32) {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidId {
            kind: "a job id",
            text: text.to_owned(),
            expected: "26 letters a-z or digits 2-7",
        })
    }
}

/// Names the slot of a shard: `p000123`, or `p000123-01` for the second half of the first half of
/// that shard.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotId(String);

impl SlotId {
    /// Returns the slot of the shard at `index` of the plan.
    pub fn of_shard(index: usize) -> Self {
        Self(format!("p{index:06}"))
    }

    /// Returns the slots of the two halves this slot splits into, first half first.
    pub fn split(&self) -> [Self; 2] {
        // The first split adds the hyphen, and every further split appends one digit.
        let joint = if self.0.contains('-') { "" } else { "-" };
        ["0", "1"].map(|half| Self(format!("{}{joint}{half}", self.0)))
    }

    /// Returns the path from the planned shard to this slot: for each split, `false` for the first
    /// half and `true` for the second.
    pub fn halves(&self) -> impl Iterator<Item = bool> + '_ {
        self.0
            .split_once('-')
            .map_or("", |(_, halves)| halves)
            .chars()
            .map(|half| half == '1')
    }

    /// Returns the index of the planned shard this slot belongs to.
    pub fn shard_index(&self) -> usize {
        let digits = self.0[1..].split('-').next().unwrap_or_default();
        digits.parse().expect("the constructor checked the digits")
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SlotId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId {
            kind: "a slot id",
            text: text.to_owned(),
            expected: "`p000000`, with `-0…1` after splits",
        };
        let rest = text.strip_prefix('p').ok_or_else(invalid)?;
        let (digits, halves) = rest
            .split_once('-')
            .map_or((rest, None), |(digits, halves)| (digits, Some(halves)));
        // Nine digits fit every platform's `usize`.
        let digits_fit =
            (6..=9).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_digit());
        let halves_fit = halves.is_none_or(|halves| {
            !halves.is_empty() && halves.chars().all(|c| matches!(c, '0' | '1'))
        });
        if digits_fit && halves_fit {
            Ok(Self(text.to_owned()))
        } else {
            Err(invalid())
        }
    }
}

/// Names one attempt at one slot. The coordinator creates it with the lease, and the worker writes
/// it into the file's footer, so that a worker can recognize its own object after a lost
/// acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Attempt(String);

impl Attempt {
    /// Wraps a ULID.
    pub fn of(ulid: ulid::Ulid) -> Self {
        Self(ulid.to_string())
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Attempt {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        match ulid::Ulid::from_string(text) {
            Ok(ulid) => Ok(Self::of(ulid)),
            Err(_) => Err(InvalidId {
                kind: "an attempt id",
                text: text.to_owned(),
                expected: "a ULID",
            }),
        }
    }
}

/// Names a worker process for as long as it runs. Chosen by the worker.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(String);

impl WorkerId {
    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WorkerId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if (1..=64).contains(&text.len()) && text.chars().all(is_plain) {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidId {
            kind: "a worker id",
            text: text.to_owned(),
            expected: "1 to 64 of a-z A-Z 0-9 - _ .",
        })
    }
}

/// Counts the coordinators that have served a storage root. The newest coordinator has the largest
/// number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names a row of the attribution table: an example and one of its sequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId {
    /// Number of the dataset row, counted within the split.
    pub example: i64,
    /// 0-based number of the sequence among those generated for the example.
    pub sample: i32,
}

impl RowId {
    /// Returns the id of the first sequence of `example`. Most examples have only this one.
    pub fn first_of(example: i64) -> Self {
        Self { example, sample: 0 }
    }
}

impl fmt::Display for RowId {
    /// Writes the sequence's number only if it is not the first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "example {}", self.example)?;
        if self.sample > 0 {
            write!(f, ", sample {}", self.sample)?;
        }
        Ok(())
    }
}

macro_rules! text_id {
    ($($id:ty),*) => {$(
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl Serialize for $id {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
        impl<'de> Deserialize<'de> for $id {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
text_id!(JobId, SlotId, Attempt, WorkerId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_remembers_how_it_was_split() {
        let slot = SlotId::of_shard(7);
        let [first, second] = slot.split();
        assert_eq!(
            (first.as_str(), second.as_str()),
            ("p000007-0", "p000007-1")
        );
        let deeper = &first.split()[1];
        assert_eq!(deeper.as_str(), "p000007-01");
        assert_eq!(deeper.halves().collect::<Vec<_>>(), [false, true]);
        assert_eq!(deeper.shard_index(), 7);
        assert_eq!(&deeper.as_str().parse::<SlotId>().unwrap(), deeper);
    }

    #[test]
    fn a_row_is_named_after_its_example() {
        let second = RowId {
            example: 7,
            sample: 1,
        };
        assert_eq!(RowId::first_of(7).to_string(), "example 7");
        assert_eq!(second.to_string(), "example 7, sample 1");
    }

    #[test]
    fn text_from_outside_is_checked() {
        for text in [
            "",
            "p",
            "p12",
            "p000001-",
            "p000001-2",
            "q000001",
            "p00000a",
            "../etc",
        ] {
            assert!(text.parse::<SlotId>().is_err(), "{text}");
        }
        assert!("short".parse::<JobId>().is_err());
        assert!("a/b".parse::<WorkerId>().is_err());
        assert!(JobId::of("{}").as_str().parse::<JobId>().is_ok());
    }
}
