//! How much working memory a computation may take, besides the model itself.
//!
//! A budget decides which examples share a batch and how many rows share a pass. An example that
//! does not fit alone is refused by name rather than tried: the system would end the process. Sizes
//! are those of what a pass keeps for its backward pass, which dwarf the rest.

use crate::Error;
use crate::instance::Instance;
use crate::model::Transformer;
use crate::model::spec::{CoreSpec, Gate, StackSpec};

/// Most rows of one pass; more make products no faster.
const MOST_PASS_ROWS: usize = 512;

/// Cotangent rows of one chunk of a backward pass: enough for full-speed products, few enough for
/// its scratch to fit the cache.
const MOST_COTANGENT_ROWS: usize = 512;

/// Share of the budget that one pass of several points or variants may take, and the chunks of a
/// backward pass that run at once.
const SHARE: u64 = 4;

/// What a computation keeps for itself whatever it computes: blocks of logits, chunks of cotangents.
const FIXED_BYTES: u64 = 128 << 20;

/// How much working memory may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    /// As much as it takes.
    Unbounded,
    /// So many bytes.
    Bytes(u64),
}

impl Memory {
    /// Returns how many rows passes of several points or variants have.
    pub(crate) fn pass_rows(self, model: &Transformer) -> usize {
        let Self::Bytes(budget) = self else {
            return MOST_PASS_ROWS;
        };
        rows_of(budget, row_bytes(model), MOST_PASS_ROWS)
    }

    /// Returns how many cotangent rows one chunk of a backward pass has; every thread has a chunk.
    pub(crate) fn cotangent_rows(self, model: &Transformer) -> usize {
        let Self::Bytes(budget) = self else {
            return MOST_COTANGENT_ROWS;
        };
        let of_all_threads = rayon::current_num_threads() as u64 * cotangent_bytes(model);
        rows_of(budget, of_all_threads, MOST_COTANGENT_ROWS)
    }

    /// Cuts `instances`, each of which takes `bytes`, into runs that fit together, or the error of one
    /// that does not fit alone.
    pub(crate) fn runs<'i>(
        self,
        instances: &'i [Instance],
        bytes: &dyn Fn(&Instance) -> u64,
    ) -> Vec<Result<&'i [Instance], Error>> {
        let Self::Bytes(budget) = self else {
            return vec![Ok(instances)];
        };
        let mut runs = Vec::new();
        let (mut start, mut used) = (0, FIXED_BYTES);
        for (index, instance) in instances.iter().enumerate() {
            let needed = bytes(instance);
            if used + needed > budget && index > start {
                runs.push(Ok(&instances[start..index]));
                (start, used) = (index, FIXED_BYTES);
            }
            if FIXED_BYTES + needed > budget {
                let needed = FIXED_BYTES + needed;
                runs.push(Err(Error::TooLarge { needed, budget }));
                (start, used) = (index + 1, FIXED_BYTES);
            } else {
                used += needed;
            }
        }
        if start < instances.len() {
            runs.push(Ok(&instances[start..]));
        }
        runs
    }
}

/// Returns how many rows of `bytes` each a share of the budget holds: one at least.
fn rows_of(budget: u64, bytes: u64, most: usize) -> usize {
    let rows = budget.saturating_sub(FIXED_BYTES) / SHARE / bytes.max(1);
    usize::try_from(rows).map_or(most, |rows| rows.clamp(1, most))
}

/// Returns what the passes of an instance and the scores of its steps take.
pub(crate) fn instance_bytes(model: &Transformer, passes: usize, instance: &Instance) -> u64 {
    let number = model.dtype().size_in_bytes() as u64;
    let (source, target) = (instance.source.len() as u64, instance.target.len() as u64);
    let of_stack = |stack: &StackSpec, rows: u64, source: u64| {
        let kept: u64 = sublayer_row_numbers(stack, model.spec().hidden).sum();
        rows * (kept + weights_a_row(stack, rows, source))
    };
    let spec = model.spec();
    let encoder = spec.encoder.iter();
    let encoder: u64 = encoder.map(|stack| of_stack(stack, source, 0)).sum();
    let decoder = of_stack(&spec.decoder, target, source);
    // Each step has a row a token, as gradients and as scores.
    let steps = instance.explained.len() as u64;
    let scores = 2 * steps * (source + target) * spec.hidden as u64;
    // A chunk holds one explained token at least, however long.
    let at_once = steps.min(rayon::current_num_threads() as u64);
    let cotangents = at_once * (source + target) * cotangent_bytes(model);
    number * (passes as u64 * (encoder + decoder) + scores) + cotangents
}

/// Returns what the scores of an instance's tokens for each other take, at most: as many as the
/// attentions of a stack to itself have weights, raw and as they are handed out.
pub(crate) fn sequence_score_bytes(model: &Transformer, instance: &Instance) -> u64 {
    let of_stack = |stack: &StackSpec, rows: usize| {
        let rows = rows as u64;
        rows * weights_a_row(stack, rows, 0)
    };
    let spec = model.spec();
    let encoder = spec.encoder.iter();
    let encoder = encoder.map(|stack| of_stack(stack, instance.source.len()));
    let numbers = encoder.sum::<u64>() + of_stack(&spec.decoder, instance.target.len());
    numbers * (model.dtype().size_in_bytes() + size_of::<f32>()) as u64
}

/// Returns what one row of a backward pass takes: what comes into the widest sublayer, and leaves it.
fn cotangent_bytes(model: &Transformer) -> u64 {
    const IN_AND_OUT: u64 = 2;
    let spec = model.spec();
    let stacks = spec.encoder.iter().chain([&spec.decoder]);
    let numbers = stacks.flat_map(|stack| sublayer_row_numbers(stack, spec.hidden));
    IN_AND_OUT * model.dtype().size_in_bytes() as u64 * numbers.max().unwrap_or(0)
}

/// Returns what one row of a pass takes, attention weights left out.
fn row_bytes(model: &Transformer) -> u64 {
    let spec = model.spec();
    let stacks = spec.encoder.iter().chain([&spec.decoder]);
    let most = stacks
        .map(|stack| sublayer_row_numbers(stack, spec.hidden).sum::<u64>())
        .max();
    model.dtype().size_in_bytes() as u64 * most.unwrap_or(0)
}

/// Returns how many numbers a row leaves in each sublayer of a stack.
fn sublayer_row_numbers(stack: &StackSpec, hidden: usize) -> impl Iterator<Item = u64> {
    let of_core = |core: &CoreSpec| match core {
        CoreSpec::SelfAttention(attention) | CoreSpec::CrossAttention(attention) => {
            (attention.heads + 2 * attention.kv_heads) * attention.head_dim
        }
        CoreSpec::FeedForward(network) => match network.gate {
            Gate::Plain { .. } => network.inner,
            Gate::Gated { .. } => 2 * network.inner,
        },
        CoreSpec::Experts(experts) => {
            let inner = experts.experts.iter().map(|network| network.inner).max();
            2 * inner.unwrap_or(0) * experts.num_chosen
        }
    };
    // The stream, and what norms keep of it.
    let sublayers = stack.sublayers.iter();
    sublayers.map(move |sublayer| (of_core(&sublayer.core) + 2 * hidden) as u64)
}

/// Returns how many attention weights a row has that sees `own` rows and `source` rows.
fn weights_a_row(stack: &StackSpec, own: u64, source: u64) -> u64 {
    let of_core = |core: &CoreSpec| match core {
        CoreSpec::SelfAttention(attention) => attention.heads as u64 * own,
        CoreSpec::CrossAttention(attention) => attention.heads as u64 * source,
        CoreSpec::FeedForward(_) | CoreSpec::Experts(_) => 0,
    };
    stack.sublayers.iter().map(|s| of_core(&s.core)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::random::random_llama;
    use candle_core::DType;

    fn instance(tokens: usize) -> Instance {
        Instance {
            id: 0,
            source: Vec::new(),
            source_baseline: Vec::new(),
            target: vec![1; tokens],
            target_baseline: vec![0; tokens],
            explained: 1..tokens,
            contrast: None,
        }
    }

    #[test]
    fn what_does_not_fit_together_is_cut_and_what_does_not_fit_alone_refused() {
        let model = random_llama(DType::F32);
        let instances = [4, 4, 400, 4, 4].map(instance);
        let needed = instance_bytes(&model, 1, &instances[0]);
        let budget = Memory::Bytes(FIXED_BYTES + 2 * needed);
        let needs = |instance: &Instance| instance_bytes(&model, 1, instance);
        let runs = budget.runs(&instances, &needs);
        let lengths: Vec<_> = runs
            .iter()
            .map(|run| run.as_ref().map(|run| run.len()).map_err(Error::code))
            .collect();
        assert_eq!(lengths, [Ok(2), Err("too_large"), Ok(2)]);
        assert_eq!(Memory::Unbounded.runs(&instances, &needs).len(), 1);
        // With dropout beside them the same do not fit together.
        let needs = |instance: &Instance| instance_bytes(&model, 2, instance);
        let alone = budget.runs(&instances[..2], &needs);
        assert_eq!(alone.len(), 2);
    }

    #[test]
    fn a_smaller_budget_makes_smaller_passes_and_chunks() {
        let model = random_llama(DType::F32);
        assert_eq!(Memory::Unbounded.pass_rows(&model), MOST_PASS_ROWS);
        assert_eq!(Memory::Bytes(0).pass_rows(&model), 1);
        assert_eq!(
            Memory::Unbounded.cotangent_rows(&model),
            MOST_COTANGENT_ROWS
        );
        assert_eq!(Memory::Bytes(0).cotangent_rows(&model), 1);
        let threads = rayon::current_num_threads() as u64;
        let ten_rows = SHARE * threads * 10 * cotangent_bytes(&model);
        assert_eq!(
            Memory::Bytes(FIXED_BYTES + ten_rows).cotangent_rows(&model),
            10
        );
    }
}
