//! `spans`: merges runs of tokens that the job names.

use serde::{Deserialize, Serialize};

use super::merge::Merge;
use super::span::SpanList;
use super::{Aggregator, Context, Reduction, Stage};
use crate::registry::Describe;
use crate::{Attribution, Error};

/// Merges runs of tokens into one token each.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(clippy::struct_field_names, reason = "the names are Inseq's")]
pub(super) struct Spans {
    /// Runs of source tokens, given as start and end without the end.
    source_spans: Option<SpanList>,
    /// Runs of target tokens, given as start and end without the end. Positions count from the
    /// start token or the beginning of the prompt.
    target_spans: Option<SpanList>,
    /// How scores are merged. When absent, token scores are merged by `absmax` and step scores as
    /// their functions say.
    aggregate_fn: Option<Reduction>,
    /// Order of the norm if the reduction is `vnorm`.
    vnorm_ord: f64,
}

impl Default for Spans {
    fn default() -> Self {
        Self {
            source_spans: None,
            target_spans: None,
            aggregate_fn: None,
            vnorm_ord: 2.0,
        }
    }
}

impl Describe for Spans {
    const NAME: &'static str = "spans";
    const SUMMARY: &'static str = "merges the runs of tokens that are named";
}

impl From<Spans> for Stage {
    fn from(spans: Spans) -> Self {
        Self::Whole(Box::new(spans))
    }
}

impl Aggregator for Spans {
    fn aggregate(
        &self,
        attribution: Attribution,
        context: &Context<'_>,
    ) -> Result<Attribution, Error> {
        let checked = |spans: &Option<SpanList>, tokens: usize, side: &str| match spans {
            None => Ok(Vec::new()),
            Some(spans) => spans.checked(tokens, side),
        };
        let merge = Merge {
            source: checked(&self.source_spans, attribution.source.len(), "source")?,
            target: checked(&self.target_spans, attribution.target.len(), "target")?,
            reduction: self.aggregate_fn,
            order: self.vnorm_ord,
        };
        Ok(merge.apply(attribution, context))
    }
}
