//! Draws an example as running text: one paragraph for each generated token, in which the tokens it
//! owes most to are tinted.
//!
//! Where there are no colors, each token with at least half of the largest score of its paragraph has
//! its score in parentheses.

use std::fmt::Write;

use unicode_width::UnicodeWidthStr;

use super::style::{Style, TokenText};
use crate::viz::color::Colors;
use crate::viz::heatmap::{Axes, Heatmap, largest, rounded, share};
use crate::viz::label::{BLANK, Label};

/// The share of the largest score from which on a token is marked where there are no colors.
const MARKED: f64 = 0.5;

/// Draws the heatmaps of one example. Ends with a newline.
pub(super) fn draw(heatmaps: &[Heatmap], style: &Style) -> String {
    let mut text = String::new();
    // Scores between tokens of one stack belong to no generated token; only the matrix shows them.
    let sides: Vec<_> = (heatmaps.iter())
        .filter(|heatmap| heatmap.axes != Axes::Stack && !heatmap.rows.is_empty())
        .collect();
    let Some(first) = heatmaps.first() else {
        return text;
    };
    for (index, column) in first.columns.iter().enumerate() {
        let token = column.heading(|label| style.tokens.of(label));
        // Writing to a string cannot fail.
        let _ = write!(text, "{index} {}", style.colors.bold(&token));
        for (name, values) in &first.step_scores {
            let _ = write!(text, "  {name} {:.2}", values[index]);
        }
        text.push('\n');
        for side in &sides {
            let name = match side.axes {
                Axes::Source => "source",
                _ => "prefix",
            };
            let words = words(side, index, style);
            fold(&words, &format!("  {name}  "), style.width, &mut text);
        }
    }
    text
}

/// A token with its score, painted.
struct Word {
    painted: String,
    width: usize,
}

/// Returns the tokens that have a score in a column.
fn words(heatmap: &Heatmap, column: usize, style: &Style) -> Vec<Word> {
    let limit = heatmap.limits(style.scale)[column];
    let strongest = largest(heatmap.rows.iter().filter_map(|row| row.scores[column]));
    let scored = heatmap.rows.iter();
    let scored = scored.filter_map(|row| Some((&row.token, row.scores[column]?)));
    let word = |(label, score): (&Label, f32)| {
        let token = match style.tokens {
            TokenText::Decoded => label.shown().replace(BLANK, " "),
            TokenText::Raw => style.tokens.of(label),
        };
        let is_marked = share(score, strongest).abs() >= MARKED;
        let text = match style.colors {
            Colors::None if is_marked => format!("{token}({})", rounded(score, 2)),
            _ => token,
        };
        Word {
            width: text.width(),
            painted: style.colors.paint(&text, share(score, limit)),
        }
    };
    scored.map(word).collect()
}

/// Appends `words` to `text`, folded to `width`, with `head` before the first line and as many blanks
/// before the others.
fn fold(words: &[Word], head: &str, width: Option<usize>, text: &mut String) {
    let indent = head.width();
    text.push_str(head);
    let mut used = indent;
    for word in words {
        if width.is_some_and(|width| used + word.width > width) && used > indent {
            text.push('\n');
            text.push_str(&" ".repeat(indent));
            used = indent;
        }
        text.push_str(&word.painted);
        used += word.width;
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::super::style::View;
    use super::*;
    use crate::viz::color::Theme;
    use crate::viz::heatmap::{ColorScale, Column, HeatmapRow};

    fn heatmap() -> Heatmap {
        let label = |text: &str| Label {
            text: text.to_owned(),
            raw: text.replace(' ', "Ġ"),
        };
        let row = |token: &str, scores: [Option<f32>; 2]| HeatmapRow {
            token: label(token),
            scores: scores.to_vec(),
        };
        let column = |text: &str, contrast: Option<&str>| Column {
            token: label(text),
            contrast: contrast.map(label),
            row: None,
        };
        Heatmap {
            title: String::new(),
            axes: Axes::Prefix,
            columns: vec![column(" sat", None), column(" down", Some(" up"))],
            rows: vec![
                row("The", [Some(0.1), Some(-0.9)]),
                row(" cat", [Some(0.5), Some(0.2)]),
                row(" sat", [None, Some(0.1)]),
            ],
            step_scores: vec![("probability".to_owned(), vec![0.5, 0.25])],
            example_limit: 0.9,
        }
    }

    fn style(width: Option<usize>, colors: Colors, tokens: TokenText) -> Style {
        Style {
            view: View::Text,
            width,
            colors,
            scale: ColorScale::Example,
            tokens,
        }
    }

    #[test]
    fn each_generated_token_has_a_paragraph_with_its_sources() {
        let drawn = draw(&[heatmap()], &style(None, Colors::None, TokenText::Decoded));
        assert_eq!(
            drawn,
            "0 ▁sat  probability 0.50
  prefix  The cat(0.5)
1 ▁up → ▁down  probability 0.25
  prefix  The(-0.9) cat sat
"
        );
        let raw = draw(&[heatmap()], &style(None, Colors::None, TokenText::Raw));
        assert!(
            raw.contains("1 Ġup → Ġdown") && raw.contains("TheĠcat(0.5)"),
            "{raw}"
        );
    }

    #[test]
    fn a_long_text_is_folded_between_tokens() {
        let drawn = draw(
            &[heatmap()],
            &style(Some(18), Colors::None, TokenText::Decoded),
        );
        assert!(
            drawn.contains("  prefix  The\n           cat(0.5)\n"),
            "{drawn}"
        );
    }

    #[test]
    fn strong_tokens_are_painted() {
        let colors = Colors::True(Theme::Light);
        let drawn = draw(&[heatmap()], &style(None, colors, TokenText::Decoded));
        assert!(drawn.contains("48;2;33;102;172mThe"), "{drawn}");
    }
}
