//! What is shown of a context attribution.

use whence_engine::context::{ContextAttribution, TextTokens, TokenCues};
use whence_schemas::Selection;

use super::marks::{Piece, pieces};

/// What was asked for, in words for the reader.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// The model as the user named it.
    pub model: String,
    /// The metric that finds context-sensitive tokens.
    pub metric: String,
    /// The method that finds their cues.
    pub method: String,
    /// The attributed function.
    pub function: String,
    /// The input text.
    pub input_current: String,
    /// Which tokens count as context-sensitive.
    pub sensitivity: Selection,
    /// Which tokens of the contexts are shown as cues.
    pub cues: Selection,
}

/// What is shown of a context attribution.
#[derive(Debug, Clone, PartialEq)]
pub struct ContextView {
    pub(super) description: Description,
    /// The contexts and the output by name.
    pub(super) texts: Vec<(&'static str, String)>,
    /// The output, with all its scores.
    pub(super) output: Vec<Piece>,
    pub(super) threshold: f64,
    pub(super) tokens: Vec<TokenView>,
}

/// A context-sensitive token.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TokenView {
    /// Index of the token in the output.
    pub(super) index: usize,
    pub(super) token: String,
    pub(super) score: f32,
    /// The token that it is contrasted with.
    pub(super) alternative: Option<String>,
    /// The output, with the token marked.
    pub(super) output: Vec<Piece>,
    /// Score from which on a token of a context is a cue.
    pub(super) threshold: f64,
    /// The contexts by name, with their cues marked.
    pub(super) contexts: Vec<(&'static str, Vec<Piece>)>,
}

const INPUT_CONTEXT: &str = "Input context";
const OUTPUT_CONTEXT: &str = "Output context";

impl ContextView {
    /// Chooses what is shown of `attribution`.
    pub fn new(attribution: &ContextAttribution, description: Description) -> Self {
        let text = |context: &Option<TextTokens>| context.as_ref().map(|own| own.text.clone());
        let texts = [
            (INPUT_CONTEXT, text(&attribution.input_context)),
            ("Input current", Some(description.input_current.clone())),
            (OUTPUT_CONTEXT, text(&attribution.output_context)),
            (
                "Output current",
                Some(attribution.output_current.text.clone()),
            ),
        ];
        let selected: Vec<_> = attribution.cues.iter().map(|cues| cues.index).collect();
        let tokens = attribution.cues.iter();
        Self {
            texts: (texts.into_iter())
                .filter_map(|(name, text)| Some((name, text?)))
                .collect(),
            output: pieces(
                &attribution.output_current,
                &attribution.cti_scores,
                &selected,
            ),
            threshold: attribution.cti_threshold,
            tokens: tokens.map(|cues| token_view(attribution, cues)).collect(),
            description,
        }
    }
}

impl ContextView {
    /// Returns the input text.
    pub(super) fn input_current(&self) -> &str {
        &self.description.input_current
    }
}

/// Returns the view of a token.
fn token_view(attribution: &ContextAttribution, cues: &TokenCues) -> TokenView {
    let own = &attribution.output_current;
    let mut output = pieces(own, &attribution.cti_scores, &[cues.index]);
    let others = output.iter_mut().filter(|piece| !piece.is_marked);
    others.for_each(|piece| piece.score = None);
    TokenView {
        index: cues.index,
        token: spelled(&own.tokens[cues.index].text),
        score: attribution.cti_scores[cues.index],
        alternative: cues.alternative.as_ref().map(|other| spelled(&other.token)),
        output,
        threshold: cues.cue_threshold,
        contexts: marked_contexts(attribution, cues),
    }
}

/// Returns the contexts with the cues of a token marked.
fn marked_contexts(
    attribution: &ContextAttribution,
    cues: &TokenCues,
) -> Vec<(&'static str, Vec<Piece>)> {
    let contexts = [
        (
            INPUT_CONTEXT,
            &attribution.input_context,
            (&cues.input_context_scores, &cues.input_cues),
        ),
        (
            OUTPUT_CONTEXT,
            &attribution.output_context,
            (&cues.output_context_scores, &cues.output_cues),
        ),
    ];
    let marked = contexts
        .into_iter()
        .filter_map(|(name, text, (scores, marked))| {
            Some((name, pieces(text.as_ref()?, scores.as_ref()?, marked)))
        });
    marked.collect()
}

/// Returns how `selection` chooses, in a few words.
pub(super) fn in_words(selection: &Selection) -> String {
    let weight = selection
        .std_weight
        .map(|weight| format!("std λ={weight:.2}"));
    let count = selection.top_k.map(|count| format!("top {count}"));
    let parts: Vec<_> = weight.into_iter().chain(count).collect();
    if parts.is_empty() {
        return "all".to_owned();
    }
    parts.join(", ")
}

/// Returns a token with line breaks and other control characters spelled out.
fn spelled(token: &str) -> String {
    let mut text = String::new();
    for character in token.chars() {
        if character.is_control() {
            text.extend(character.escape_debug());
        } else {
            text.push(character);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use whence_engine::Token;

    use super::*;

    /// Returns a text whose tokens are single letters with blanks between them.
    fn letters(text: &str) -> TextTokens {
        let places = (0..text.len()).step_by(2);
        let token = |place: usize| Token {
            id: None,
            text: text[place..=place].to_owned(),
            offsets: Some((place, place + 1)),
        };
        TextTokens {
            tokens: places.map(token).collect(),
            text: text.to_owned(),
        }
    }

    fn attribution(input_cues: &[usize], output_cues: &[usize]) -> ContextAttribution {
        ContextAttribution {
            input_context: Some(letters("a b")),
            output_context: Some(letters("c d")),
            output_current: letters("x y"),
            is_forced: true,
            cti_scores: vec![0.5, 2.0],
            cti_threshold: 1.5,
            cues: vec![TokenCues {
                index: 1,
                contextual_output: String::new(),
                alternative: None,
                input_context_scores: Some(vec![0.1, 0.2]),
                output_context_scores: Some(vec![0.9, 0.1]),
                cue_threshold: 0.711,
                input_cues: input_cues.to_vec(),
                output_cues: output_cues.to_vec(),
            }],
            notices: Vec::new(),
        }
    }

    fn view(input_cues: &[usize], output_cues: &[usize]) -> ContextView {
        let selection = Selection {
            std_weight: Some(1.0),
            top_k: None,
        };
        let description = Description {
            model: "m".to_owned(),
            metric: "kl_divergence".to_owned(),
            method: "saliency".to_owned(),
            function: "probability".to_owned(),
            input_current: "i".to_owned(),
            sensitivity: selection,
            cues: selection,
        };
        ContextView::new(&attribution(input_cues, output_cues), description)
    }

    /// Returns the marked letters of each context.
    fn marked(view: &ContextView) -> Vec<String> {
        let contexts = view.tokens[0].contexts.iter();
        let of_context = |pieces: &Vec<Piece>| {
            let marked = pieces.iter().filter(|piece| piece.is_marked);
            marked.map(|piece| piece.text.as_str()).collect()
        };
        contexts.map(|(_, pieces)| of_context(pieces)).collect()
    }

    #[test]
    fn cues_are_marked_in_their_own_context() {
        assert_eq!(marked(&view(&[], &[0])), ["", "c"]);
        assert_eq!(marked(&view(&[1, 0], &[0, 1])), ["ab", "cd"]);
    }

    #[test]
    fn scores_and_thresholds_are_drawn_without_colors_too() {
        let drawn = crate::viz::context::render(&view(&[], &[0]), crate::viz::Colors::None);
        assert!(
            drawn.contains("\nOutput (CTI ≥ 1.500): x y(2.000)\n"),
            "{drawn}"
        );
        assert!(
            drawn.contains("Output context (CCI ≥ 0.711): c(0.900) d\n"),
            "{drawn}"
        );
    }

    #[test]
    fn a_page_escapes_what_it_shows_and_tints_both_contexts_alike() {
        let mut description = view(&[], &[0]).description;
        description.input_current = "<b>".to_owned();
        let view = ContextView::new(&attribution(&[], &[0]), description);
        let mut page = Vec::new();
        crate::viz::context::write_page(&mut page, &view).unwrap();
        let page = String::from_utf8(page).unwrap();
        assert!(page.contains("<dd dir=\"auto\">&#60;b&#62;</dd>"), "{page}");
        // 0.1 is a ninth of the largest cue, which is in the other context.
        let weak = "<span class=\"token c2\" title=\"0.1000\">a</span>";
        assert!(page.contains(weak), "{page}");
        let strong = "<span class=\"token c20 marked\" title=\"0.9000\">c";
        assert!(page.contains(strong), "{page}");
        assert!(!page.contains("style=\""), "the policy forbids it");
    }
}
