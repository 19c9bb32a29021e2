//! What is in a bucket, and what goes wrong with it, whatever protocol it speaks.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderValue, StatusCode};

use super::Fault;
use crate::seeds::{Random, seed};

/// Keys per page of a listing: so few that tests exercise paging.
const PAGE_KEYS: usize = 7;

/// The objects of a bucket, and how requests go.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) objects: BTreeMap<String, Bytes>,
    pub(super) fault: Fault,
    /// How long an answer takes.
    pub(super) latency: Duration,
    /// Keys per page of a listing.
    pub(super) page_keys: Option<usize>,
    pub(super) num_requests: usize,
    pub(super) num_failed: usize,
    random: Option<Random>,
    num_puts: usize,
}

/// What became of a put.
#[derive(Debug)]
pub(super) enum Put {
    /// The object was written, with this entity tag.
    Written(HeaderValue),
    /// There is an object, and there was to be none.
    Exists,
    /// The object was written, but nobody is told so.
    AnswerLost,
}

/// A page of a listing.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) entries: Vec<Entry>,
    /// The key after which the next page begins, if there is one.
    pub(super) next: Option<String>,
}

/// An object of a listing.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) size: usize,
    pub(super) tag: String,
}

impl Contents {
    pub(super) fn put(&mut self, key: &str, bytes: Vec<u8>) {
        self.objects.insert(key.to_owned(), bytes.into());
    }

    /// Counts a request. Returns the status of the answer if it is not carried out.
    pub(super) fn refuse(&mut self) -> Option<StatusCode> {
        self.num_requests += 1;
        let fault = self.fault;
        let random = self.random.get_or_insert_with(|| Random::new(seed()));
        let refused = match fault {
            Fault::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Fault::Overloaded(percent) if random.below(100) < percent => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Fault::Forbidden => StatusCode::FORBIDDEN,
            _ => return None,
        };
        self.num_failed += 1;
        Some(refused)
    }

    /// Writes an object, unless it is there and `is_conditional`.
    pub(super) fn create(&mut self, key: String, body: Bytes, is_conditional: bool) -> Put {
        self.num_puts += 1;
        let ignores = self.fault == Fault::IgnoresConditions;
        let loses = matches!(self.fault, Fault::LosesAnswers(n) if self.num_puts.is_multiple_of(n));
        if is_conditional && !ignores && self.objects.contains_key(&key) {
            return Put::Exists;
        }
        let tag = tag(&body);
        self.objects.insert(key, body);
        if loses {
            self.num_failed += 1;
            return Put::AnswerLost;
        }
        Put::Written(tag)
    }

    /// Lists the keys that begin with `prefix` and come after `after`.
    pub(super) fn page(&self, prefix: &str, after: &str) -> Page {
        let mut found = self
            .objects
            .iter()
            .filter(|(key, _)| key.starts_with(prefix) && key.as_str() > after);
        let entry = |(key, object): (&String, &Bytes)| Entry {
            key: key.clone(),
            size: object.len(),
            tag: tag(object)
                .to_str()
                .expect("a tag is plain text")
                .to_owned(),
        };
        let page_keys = self.page_keys.unwrap_or(PAGE_KEYS);
        let entries: Vec<_> = found.by_ref().take(page_keys).map(entry).collect();
        let has_more = found.next().is_some();
        let last = entries.last().map(|last| last.key.clone());
        Page {
            entries,
            next: last.filter(|_| has_more),
        }
    }
}

/// Returns the entity tag of an object.
pub(super) fn tag(object: &Bytes) -> HeaderValue {
    let sum = object.iter().fold(0_u64, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
    });
    HeaderValue::from_str(&format!("\"{sum:x}\"")).expect("a tag is plain text")
}
