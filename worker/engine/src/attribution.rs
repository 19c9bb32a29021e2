//! The engine's input and output: plain data, no tensors.

use crate::sides::Side;

/// The kind of an example's input. The caller states it; it is never guessed from how the text
/// begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum InputKind {
    /// A text.
    #[default]
    Text,
    /// The JSON of a list of messages, for a chat template.
    Messages,
}

/// One example to attribute.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// Number of the row. Together with the job's seed it seeds the example's random draws.
    pub id: i64,
    /// Encoder input, or the prompt of a decoder-only model.
    pub input_text: String,
    /// What `input_text` is.
    pub input_kind: InputKind,
    /// Target to explain instead of a generated one. For decoder-only models it is the prompt and
    /// its continuation.
    pub generated_text: Option<String>,
    /// Encoder input to contrast with; the specification's when absent.
    pub contrast_source: Option<String>,
    /// Target to contrast with, including the prompt for decoder-only models; the specification's
    /// when absent.
    pub contrast_target: Option<String>,
}

impl Example {
    /// Returns the example with number `id` whose target is to be generated.
    pub fn new(id: i64, input_text: &str) -> Self {
        Self {
            id,
            input_text: input_text.to_owned(),
            input_kind: InputKind::Text,
            generated_text: None,
            contrast_source: None,
            contrast_target: None,
        }
    }

    /// Returns the example with number `id` whose input is a list of messages, given as its JSON.
    pub fn of_messages(id: i64, messages: &str) -> Self {
        Self {
            input_kind: InputKind::Messages,
            ..Self::new(id, messages)
        }
    }

    /// Returns the example with `text` as its forced target.
    #[must_use]
    pub fn with_generated_text(self, text: &str) -> Self {
        Self {
            generated_text: Some(text.to_owned()),
            ..self
        }
    }
}

/// Start and end (exclusive) of a token in its text, counted in characters. The two are equal if
/// the token covers no characters of the text, such as the blank that some tokenizers put first.
/// `None` for a token that comes from no text, such as an end token or a language code.
pub type Offsets = Option<(usize, usize)>;

/// A token as the model knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its id; `None` for a token merged from several.
    pub id: Option<u32>,
    /// Its vocabulary entry, with the tokenizer's marks (`▁le`, `Ġthe`).
    pub text: String,
    /// The characters it covers; for a token merged from several, from the first piece to the last.
    /// Offsets of source tokens count in the input text (after the chat template, if there is one),
    /// those of target tokens in [`Attribution::generated_text`]. `None` for contrast tokens.
    pub offsets: Offsets,
}

/// The attribution of one example.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribution {
    /// Tokens the encoder saw; empty for decoder-only models.
    pub source: Vec<Token>,
    /// Tokens the decoder saw: start token and target, or prompt and continuation.
    pub target: Vec<Token>,
    /// The target as text.
    pub generated_text: String,
    /// Whether the target was forced rather than generated.
    pub forced: bool,
    /// Position in `target` of the first attributed token.
    pub attr_pos_start: usize,
    /// Position in `target` after the last attributed token.
    pub attr_pos_end: usize,
    /// One entry for each position from `attr_pos_start` to `attr_pos_end`.
    pub steps: Vec<StepAttribution>,
    /// Scores of a stack's tokens for each other, sorted by name. Empty unless the method was asked
    /// for them, and in decoder-only models, where the steps already hold them.
    pub sequence_scores: Vec<SequenceScores>,
}

impl Attribution {
    /// Returns how many tokens the example has on both sides together.
    pub fn num_tokens(&self) -> usize {
        self.source.len() + self.target.len()
    }

    /// Returns whether the scores have several numbers per token, because they were not aggregated.
    pub fn has_raw_scores(&self) -> bool {
        let rows = self
            .steps
            .iter()
            .flat_map(|step| [step.source.as_ref(), step.target.as_ref()]);
        rows.flatten().any(|rows| !rows.row_shape.is_empty())
    }
}

/// The scores of one generation step: how much each token contributed to the produced token.
#[derive(Debug, Clone, PartialEq)]
pub struct StepAttribution {
    /// Position of the produced token in [`Attribution::target`].
    pub target_pos: usize,
    /// One row per source token; `None` for decoder-only models.
    pub source: Option<ScoreRows>,
    /// One row per prefix token, `target_pos` of them; `None` if the prefix was not attributed. A
    /// token merged from several may have one row more, for what its later pieces owe to its
    /// earlier ones.
    pub target: Option<ScoreRows>,
    /// One score per requested step function, in the order of the request.
    pub step_scores: Vec<f32>,
    /// The token that the produced one is contrasted with; `None` if there is no contrast.
    pub contrast: Option<Token>,
}

/// Scores of the tokens of one stack for each other. Inseq calls them `sequence_scores`.
#[derive(Debug, Clone, PartialEq)]
pub struct SequenceScores {
    /// Inseq's name for them, such as `encoder_self_attentions`.
    pub name: String,
    /// The side whose tokens are both the rows and the columns.
    pub side: Side,
    /// One entry per query token, with one row per key token. On the source side every source token
    /// is a query and all of them are keys. On the target side there is one entry per step, with
    /// the rows that [`StepAttribution::target`] would have: one per prefix token.
    pub columns: Vec<ScoreRows>,
}

/// Scores of consecutive tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreRows {
    /// Scores, row after row.
    pub values: Vec<f32>,
    /// Shape of one row: empty once aggregated, `[hidden]` for raw gradients, `[layer, head]` for
    /// raw attention.
    pub row_shape: Vec<usize>,
}

impl ScoreRows {
    /// Returns how many values each row has: 1 once the scores are aggregated.
    pub fn row_len(&self) -> usize {
        self.row_shape.iter().product()
    }

    /// Returns the number of tokens.
    pub fn num_rows(&self) -> usize {
        self.values.len() / self.row_len().max(1)
    }
}
