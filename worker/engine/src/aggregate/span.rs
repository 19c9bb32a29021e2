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
            } else if end > tokens {
                format!("goes beyond the last of the {tokens} tokens")
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
