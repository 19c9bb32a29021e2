//! Estimates how much working memory a computation takes, before anything is allocated.
//!
//! Of a pass that attributes, only what it keeps for its backward pass is counted, which dwarfs the
//! rest. A pass that generates keeps little, so the sublayer at work counts, too. The estimate
//! depends on the shape of the model alone, so it is known before the weights are read.

use candle_core::DType;

use crate::instance::Instance;
use crate::model::Transformer;
use crate::model::spec::{AttentionSpec, CoreSpec, Gate, ModelSpec, StackSpec};

/// Bytes needed per byte of text during tokenization: the tokenizers library keeps records of the
/// characters and the tokens, and holds two copies while it merges pieces. Measured with 3 MB of
/// random words: 120 bytes with Marian's tokenizer, 245 with T5's. The rest is a margin.
const TOKENIZING: u64 = 400;

/// The memory that passes of a model take, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Footprint<'m> {
    spec: &'m ModelSpec,
    /// Bytes per number in the precision of the model.
    number: u64,
}

/// What a generation continues, and how far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GenerationSizes {
    /// Tokens of the source.
    pub(crate) source: u64,
    /// Most decoder rows that one pass computes without cached keys and values: those of the prompt,
    /// or of all hypotheses if they are computed again.
    pub(crate) whole_rows: u64,
    /// Hypotheses that are continued together.
    pub(crate) hypotheses: u64,
    /// Tokens of each hypothesis.
    pub(crate) length: u64,
}

/// Returns the bytes needed to tokenize `text`.
pub(crate) fn text_bytes(text: &str) -> u64 {
    text.len() as u64 * TOKENIZING
}

impl<'m> Footprint<'m> {
    /// Describes the passes of `model`.
    pub(crate) fn of(model: &'m Transformer) -> Self {
        Self::new(model.spec(), model.dtype())
    }

    /// Describes the passes of the model that `spec` describes, in the precision `dtype`.
    pub(crate) fn new(spec: &'m ModelSpec, dtype: DType) -> Self {
        let number = dtype.size_in_bytes() as u64;
        Self { spec, number }
    }

    /// Returns the bytes that one forward pass over `source` and `target` tokens keeps.
    pub(crate) fn pass(self, source: u64, target: u64) -> u64 {
        let of_stack = |stack: &StackSpec, rows: u64, source: u64| {
            let kept: u64 = sublayer_row_numbers(stack, self.spec.hidden).sum();
            rows.saturating_mul(kept.saturating_add(weights_per_row(stack, rows, source)))
        };
        let encoder = self.spec.encoder.iter();
        let encoder: u64 = encoder.map(|stack| of_stack(stack, source, 0)).sum();
        let decoder = of_stack(&self.spec.decoder, target, source);
        self.number.saturating_mul(encoder.saturating_add(decoder))
    }

    /// Returns the bytes that `passes` passes over an instance and its contrast take, together with
    /// the scores of its steps, if `lanes` chunks run at once.
    pub(crate) fn instance(self, (passes, lanes): (usize, usize), instance: &Instance) -> u64 {
        let (source, target) = (instance.source.len() as u64, instance.target.len() as u64);
        let contrast = instance.contrast.as_ref().map_or(0, |contrast| {
            self.pass(contrast.source.len() as u64, contrast.target.len() as u64)
        });
        // Each step has one row per token twice: as a gradient and as a score.
        let steps = instance.explained.len() as u64;
        let scores = 2 * steps * (source + target) * self.spec.hidden as u64;
        // A chunk holds at least one step, however long it is.
        let at_once = steps.min(lanes as u64);
        let cotangents = at_once * (source + target) * self.cotangent();
        let passes = passes as u64 * (self.pass(source, target) + contrast);
        passes + self.number * scores + cotangents
    }

    /// Returns the bytes that the smallest possible example takes: a source of one token, and a
    /// target of two, of which the second is explained.
    pub(crate) fn smallest(self, lanes: usize) -> u64 {
        let (source, target) = (1, 2);
        self.pass(source, target) + lanes as u64 * (source + target) * self.cotangent()
    }

    /// Returns the most bytes that an instance's sequence scores can take: as many numbers as its
    /// self-attentions have weights, both raw and as the `f32` values that are returned.
    pub(crate) fn sequence_scores(self, instance: &Instance) -> u64 {
        let of_stack = |stack: &StackSpec, rows: usize| {
            let rows = rows as u64;
            rows * weights_per_row(stack, rows, 0)
        };
        let encoder = self.spec.encoder.iter();
        let encoder = encoder.map(|stack| of_stack(stack, instance.source.len()));
        let decoder = of_stack(&self.spec.decoder, instance.target.len());
        (encoder.sum::<u64>() + decoder) * (self.number + size_of::<f32>() as u64)
    }

    /// Returns the bytes that it takes to continue a prompt.
    pub(crate) fn generation(self, sizes: &GenerationSizes) -> u64 {
        let source = self.generating_rows(self.spec.encoder.as_ref(), sizes.source);
        let target = self.generating_rows(Some(&self.spec.decoder), sizes.whole_rows);
        let cached = |core: &CoreSpec| match core {
            CoreSpec::CrossAttention(attention) => sizes.source * keys_and_values(attention),
            _ => 0,
        };
        let sublayers = self.spec.decoder.sublayers.iter();
        let of_source: u64 = sublayers.map(|sublayer| cached(&sublayer.core)).sum();
        let of_prompt = of_source.saturating_add(source).saturating_add(target);
        let hypotheses = (sizes.hypotheses).saturating_mul(self.hypothesis(sizes.length));
        (self.number * of_prompt).saturating_add(hypotheses)
    }

    /// Returns the bytes of one hypothesis of `length` tokens: its keys and values, its scores and
    /// its tokens.
    fn hypothesis(self, length: u64) -> u64 {
        // Each step builds new keys and values for all layers before those of the previous step are
        // freed. The layer at work copies its own twice, to append and to order them.
        const CACHES: u64 = 2;
        const COPIES: u64 = 2;
        // The search and the model have a list of tokens each, and extend copies of them.
        const TOKENS: u64 = 4 * size_of::<u32>() as u64;
        // What a search needs to know of a hypothesis, its stream of random numbers included.
        const OTHERS: u64 = 256;
        // The logits as computed, the logits and the processed scores in double precision, and 32
        // bytes for a candidate of the beam search.
        let of_logit = self.number + 2 * size_of::<f64>() as u64 + 32;
        let logits = self.spec.vocabulary as u64 * of_logit;
        let cached = |core: &CoreSpec| match core {
            CoreSpec::SelfAttention(attention) => keys_and_values(attention),
            _ => 0,
        };
        let sublayers = self.spec.decoder.sublayers.iter();
        let cached = sublayers.map(|sublayer| cached(&sublayer.core));
        let of_layer = cached.clone().max().unwrap_or(0);
        let numbers = CACHES * cached.sum::<u64>() + COPIES * of_layer;
        // Saturating, because the limit on new tokens may be as large as a number gets.
        length
            .saturating_mul(self.number * numbers + TOKENS)
            .saturating_add(logits + OTHERS)
    }

    /// Returns the numbers that a pass of generation over `rows` whole rows of a stack has at once,
    /// not counting keys and values that it keeps.
    fn generating_rows(self, stack: Option<&StackSpec>, rows: u64) -> u64 {
        // A sublayer maps its input to projections, changes copies of them (rotation, activation and
        // its slopes), and maps the result back. Measured: 2.6 times what its trace would keep.
        const COPIES: u64 = 3;
        let widest = stack.map(|stack| sublayer_row_numbers(stack, self.spec.hidden).max());
        rows.saturating_mul(COPIES * widest.flatten().unwrap_or(0))
    }

    /// Returns the bytes that one row of a backward pass takes: the input and output gradients of
    /// the widest sublayer.
    pub(crate) fn cotangent(self) -> u64 {
        const IN_AND_OUT: u64 = 2;
        let stacks = self.spec.encoder.iter().chain([&self.spec.decoder]);
        let numbers = stacks.flat_map(|stack| sublayer_row_numbers(stack, self.spec.hidden));
        IN_AND_OUT * self.number * numbers.max().unwrap_or(0)
    }

    /// Returns the bytes that one row of a pass takes, not counting attention weights.
    pub(crate) fn row(self) -> u64 {
        let stacks = self.spec.encoder.iter().chain([&self.spec.decoder]);
        let most = stacks
            .map(|stack| sublayer_row_numbers(stack, self.spec.hidden).sum::<u64>())
            .max();
        self.number * most.unwrap_or(0)
    }

    /// Returns the bytes that one logit takes while the gradient of its block is computed: the
    /// logit and its gradient, and a copy of each.
    pub(crate) fn logit(self) -> u64 {
        const COPIES: u64 = 4;
        COPIES * self.number
    }
}

/// Returns how many numbers one row keeps in each sublayer of a stack.
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
            let shared = experts.shared.as_ref();
            let shared = shared.map_or(0, |shared| shared.network.inner);
            2 * (inner.unwrap_or(0) * experts.num_chosen + shared)
        }
    };
    // `2 * hidden` is the residual stream and what the norm keeps of it.
    let sublayers = stack.sublayers.iter();
    sublayers.map(move |sublayer| (of_core(&sublayer.core) + 2 * hidden) as u64)
}

/// Returns how many numbers the keys and values of one row have.
fn keys_and_values(attention: &AttentionSpec) -> u64 {
    2 * (attention.kv_heads * attention.head_dim) as u64
}

/// Returns how many attention weights one row has if it attends to `own` rows of its own stack and
/// `source` rows of the encoder.
fn weights_per_row(stack: &StackSpec, own: u64, source: u64) -> u64 {
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
    use crate::model::random::{random_llama, random_marian};

    #[test]
    fn attention_weights_grow_with_the_square_of_a_text() {
        let model = random_marian(DType::F32);
        let footprint = Footprint::of(&model);
        let encoder = model.spec().encoder.as_ref().unwrap();
        let weights = weights_per_row(encoder, 60_000, 0) * 60_000;
        assert!(footprint.pass(60_000, 1) > 4 * weights);
    }

    fn generating(hypotheses: u64, length: u64) -> GenerationSizes {
        GenerationSizes {
            source: 0,
            whole_rows: 8,
            hypotheses,
            length,
        }
    }

    #[test]
    fn generation_takes_more_with_every_token_and_beam_and_every_row_that_is_computed_again() {
        let model = random_llama(DType::F32);
        let footprint = Footprint::of(&model);
        let at = |hypotheses, length| footprint.generation(&generating(hypotheses, length));
        assert!(at(1, 9) > at(1, 8));
        assert!(at(4, 8) > at(1, 8));
        let again = GenerationSizes {
            whole_rows: 4 * 8,
            ..generating(4, 8)
        };
        assert!(footprint.generation(&again) > at(4, 8));
    }

    #[test]
    fn generation_from_a_long_prompt_takes_memory_in_proportion_to_its_length() {
        let model = random_marian(DType::F32);
        let footprint = Footprint::of(&model);
        let of_source = |source| {
            footprint.generation(&GenerationSizes {
                source,
                ..generating(1, 8)
            })
        };
        let first = of_source(30_000) - of_source(0);
        assert_eq!(of_source(60_000) - of_source(30_000), first);
    }
}
