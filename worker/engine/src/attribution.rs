//! What goes in and what comes out: plain data, no tensors.

use crate::sides::Side;

/// What the input of an example is. The example's giver knows; how a text begins never says.
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
    /// Number of the row; seeds what is random for this example.
    pub id: i64,
    /// Encoder input, or the prompt of a decoder-only model.
    pub input_text: String,
    /// What `input_text` is.
    pub input_kind: InputKind,
    /// Target to explain instead of a generated one. Decoder-only: prompt and continuation.
    pub generated_text: Option<String>,
    /// Encoder input to contrast with; the specification's when absent.
    pub contrast_source: Option<String>,
    /// Target to contrast with, for decoder-only models prompt and continuation; the
    /// specification's when absent.
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

    /// Returns the example with its target forced to be `text`.
    #[must_use]
    pub fn with_generated_text(self, text: &str) -> Self {
        Self {
            generated_text: Some(text.to_owned()),
            ..self
        }
    }
}

/// First character of a token and the one behind its last, counted in characters from the start of
/// its text; empty where a token stands for nothing in the text, as a tokenizer's first blank.
/// `None` for a token no text led to, such as an end token or the code of a language.
pub type Offsets = Option<(usize, usize)>;

/// A token as the model knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its id; `None` for one merged of several.
    pub id: Option<u32>,
    /// Its vocabulary entry, with the tokenizer's marks (`▁le`, `Ġthe`).
    pub text: String,
    /// The characters it stands for; those from the first piece to the last for one merged of
    /// several. Source tokens stand in the input text, after a chat template where there is one,
    /// target tokens in [`Attribution::generated_text`]. `None` for contrast tokens.
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
    /// Scores of a stack's tokens for each other, by name; none unless the method was asked for
    /// them, and in decoder-only models, whose steps have them.
    pub sequence_scores: Vec<SequenceScores>,
}

impl Attribution {
    /// Returns the tokens the source scores belong to.
    pub fn num_tokens(&self) -> usize {
        self.source.len() + self.target.len()
    }
}

/// What made the model produce one token.
#[derive(Debug, Clone, PartialEq)]
pub struct StepAttribution {
    /// Position of the produced token in [`Attribution::target`].
    pub target_pos: usize,
    /// One row per source token; `None` for decoder-only models.
    pub source: Option<ScoreRows>,
    /// One row per prefix token, `target_pos` of them; `None` where the prefix was not attributed.
    /// A token merged of several may have a row more: what its later pieces took from its earlier.
    pub target: Option<ScoreRows>,
    /// One score per requested step function, in the order of the request.
    pub step_scores: Vec<f32>,
    /// The token the produced one is contrasted with; `None` where there is no contrast.
    pub contrast: Option<Token>,
}

/// Scores of the tokens of one stack for each other: what Inseq calls `sequence_scores`.
#[derive(Debug, Clone, PartialEq)]
pub struct SequenceScores {
    /// Inseq's name of them, such as `encoder_self_attentions`.
    pub name: String,
    /// Whose tokens rows and columns are.
    pub side: Side,
    /// One entry per query token, with one row per key token. Source: every source token is a query
    /// with all of them as keys. Target: one entry per step, whose rows are those that
    /// [`StepAttribution::target`] would have, as many as the prefix is long.
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
    /// Returns how many values one token has.
    pub fn row_len(&self) -> usize {
        self.row_shape.iter().product()
    }

    /// Returns the number of tokens.
    pub fn num_rows(&self) -> usize {
        self.values.len() / self.row_len().max(1)
    }
}
