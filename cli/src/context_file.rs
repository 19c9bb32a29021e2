//! Writes the result of `attribute-context` as Inseq does: one JSON object, indented by four. Of a
//! dataset every row is such an object in a line of its own, with its number as `example_id`.
//!
//! `AttributeContextOutput.from_dict` of Inseq reads both.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use whence_engine::context::{ContextAttribution, TextTokens, TokenCues};
use whence_schemas::RowId;

/// The object. The names of its fields are Inseq's.
#[derive(Serialize)]
struct Saved<'a, I> {
    input_context: Option<&'a str>,
    input_context_tokens: Option<Vec<&'a str>>,
    output_context: Option<&'a str>,
    output_context_tokens: Option<Vec<&'a str>>,
    output_current: &'a str,
    output_current_tokens: Vec<&'a str>,
    cti_scores: Vec<f64>,
    cci_scores: Vec<Cues<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<I>,
}

/// A context-sensitive token, with the scores of the contexts for it.
#[derive(Serialize)]
struct Cues<'a> {
    cti_idx: usize,
    cti_token: &'a str,
    cti_score: f64,
    contextual_output: &'a str,
    contrast_token: Option<&'a str>,
    contextless_output: Option<&'a str>,
    input_context_scores: Option<Vec<f64>>,
    output_context_scores: Option<Vec<f64>>,
}

/// Writes `attribution`, with the options that it was computed with as `info` if they are wanted.
pub fn write<I: Serialize>(
    mut out: impl Write,
    attribution: &ContextAttribution,
    info: Option<I>,
) -> io::Result<()> {
    let object = saved(attribution, info);
    let indented = PrettyFormatter::with_indent(b"    ");
    object.serialize(&mut Serializer::with_formatter(&mut out, indented))?;
    out.write_all(b"\n")
}

/// Writes `attribution` of the row `id` as one line.
pub fn write_line(
    mut out: impl Write,
    id: RowId,
    attribution: &ContextAttribution,
) -> io::Result<()> {
    #[derive(Serialize)]
    struct Line<'a> {
        example_id: i64,
        #[serde(flatten)]
        saved: Saved<'a, ()>,
    }
    let line = Line {
        example_id: id.example,
        saved: saved(attribution, None),
    };
    serde_json::to_writer(&mut out, &line)?;
    out.write_all(b"\n")
}

fn saved<I>(attribution: &ContextAttribution, info: Option<I>) -> Saved<'_, I> {
    let (input, output) = (
        attribution.input_context.as_ref(),
        attribution.output_context.as_ref(),
    );
    Saved {
        input_context: input.map(|context| context.text.as_str()),
        input_context_tokens: input.map(tokens),
        output_context: output.map(|context| context.text.as_str()),
        output_context_tokens: output.map(tokens),
        output_current: &attribution.output_current.text,
        output_current_tokens: tokens(&attribution.output_current),
        cti_scores: numbers(&attribution.cti_scores),
        cci_scores: (attribution.cues.iter())
            .map(|cues| of_token(attribution, cues))
            .collect(),
        info,
    }
}

fn of_token<'a>(attribution: &'a ContextAttribution, cues: &'a TokenCues) -> Cues<'a> {
    let alternative = cues.alternative.as_ref();
    Cues {
        cti_idx: cues.index,
        cti_token: &attribution.output_current.tokens[cues.index].text,
        cti_score: attribution.cti_scores[cues.index].into(),
        contextual_output: &cues.contextual_output,
        contrast_token: alternative.map(|other| other.token.as_str()),
        contextless_output: alternative.map(|other| other.output.as_str()),
        input_context_scores: cues.input_context_scores.as_deref().map(numbers),
        output_context_scores: cues.output_context_scores.as_deref().map(numbers),
    }
}

fn tokens(text: &TextTokens) -> Vec<&str> {
    text.tokens
        .iter()
        .map(|token| token.text.as_str())
        .collect()
}

/// Returns the numbers with all their digits, as Python writes them.
fn numbers(scores: &[f32]) -> Vec<f64> {
    scores.iter().copied().map(f64::from).collect()
}
