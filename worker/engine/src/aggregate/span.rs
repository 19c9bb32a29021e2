//! Runs of tokens as written in parameters.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::Error;

/// One run of tokens or several, given as start and end without the end: `[2, 4]` or
/// `[[0, 2], [2, 5]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a pair of positions [start, end], or a list of pairs"
)]
pub(super) enum SpanList {
    /// One run.
    One((usize, usize)),
    /// Several runs.
    Many(Vec<(usize, usize)>),
}

impl SpanList {
    /// Returns the runs, checked against the `tokens` tokens of the `side`.
    ///
    /// Fails if a run is empty, begins before the end of the previous one, or ends past the last
    /// token.
    pub(super) fn checked(&self, tokens: usize, side: &str) -> Result<Vec<Range<usize>>, Error> {
        self.checked_within(tokens, "tokens", side)
    }

    /// Like [`Self::checked`], for positions in a text of `characters` characters.
    pub(super) fn checked_characters(
        &self,
        characters: usize,
        side: &str,
    ) -> Result<Vec<Range<usize>>, Error> {
        self.checked_within(characters, "characters", side)
    }

    fn checked_within(
        &self,
        length: usize,
        unit: &str,
        side: &str,
    ) -> Result<Vec<Range<usize>>, Error> {
        let spans = match self {
            Self::One(span) => std::slice::from_ref(span),
            Self::Many(spans) => spans,
        };
        let mut previous_end = 0;
        for &(start, end) in spans {
            let problem = if start >= end {
                "is empty".to_owned()
            } else if start < previous_end {
                "overlaps the previous span, or the spans are not in ascending order".to_owned()
            } else if end > length {
                format!("goes beyond the last of the {length} {unit}")
            } else {
                previous_end = end;
                continue;
            };
            return Err(Error::Spans {
                reason: format!("{side} span [{start}, {end}] {problem}"),
            });
        }
        Ok(spans.iter().map(|&(start, end)| start..end).collect())
    }
}
