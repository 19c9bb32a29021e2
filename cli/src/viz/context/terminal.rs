//! Draws a context attribution as lines of text, as Inseq does.
//!
//! Marked tokens are bold and have a color and their score in parentheses, so that they are found
//! without colors too.

use std::fmt::Write;

use super::marks::Piece;
use super::view::{ContextView, in_words};
use crate::viz::Colors;

/// The color of marked tokens.
#[derive(Debug, Clone, Copy)]
enum Mark {
    /// A token of the output that depends on the context.
    Sensitive,
    /// A token of a context that one depends on.
    Cue,
}

/// Draws `view`. Ends with a newline.
pub fn render(view: &ContextView, colors: Colors) -> String {
    let described = &view.description;
    let bold = |text: &str| colors.bold(text);
    let mut text = format!(
        "Context with {} ({}) followed by output with {} ({})\n",
        paint(colors, Mark::Cue, "contextual cues"),
        in_words(&described.cues),
        paint(colors, Mark::Sensitive, "context-sensitive tokens"),
        in_words(&described.sensitivity),
    );
    let mut line = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    line(format!(
        "(CTI = {:?}, CCI = {:?} with target {:?})\n",
        described.metric, described.method, described.function
    ));
    for (name, own) in &view.texts {
        line(format!("{} {own}", bold(&format!("{name}:"))));
    }
    if view.tokens.is_empty() {
        line(format!(
            "\nNo token reaches the threshold (CTI ≥ {:.3}).",
            view.threshold
        ));
    }
    for (index, token) in view.tokens.iter().enumerate() {
        let name = bold(&format!("Output (CTI ≥ {:.3}):", view.threshold));
        line(format!("\n#{}.", index + 1));
        line(format!(
            "{name} {}",
            marked(&token.output, Mark::Sensitive, colors)
        ));
        if let Some(alternative) = &token.alternative {
            line(format!("{} {alternative}", bold("Without context:")));
        }
        for (name, pieces) in &token.contexts {
            let name = bold(&format!("{name} (CCI ≥ {:.3}):", token.threshold));
            line(format!("{name} {}", marked(pieces, Mark::Cue, colors)));
        }
    }
    text
}

fn marked(pieces: &[Piece], mark: Mark, colors: Colors) -> String {
    let mut text = String::new();
    for piece in pieces {
        match piece.score.filter(|_| piece.is_marked) {
            Some(score) => {
                let shown = format!("{}({score:.3})", piece.text);
                text.push_str(&paint(colors, mark, &shown));
            }
            None => text.push_str(&piece.text),
        }
    }
    text
}

fn paint(colors: Colors, mark: Mark, text: &str) -> String {
    let code = match mark {
        Mark::Sensitive => 34,
        Mark::Cue => 32,
    };
    let mut painted = String::new();
    // Writing to a string cannot fail.
    let _ = match colors {
        Colors::None => write!(painted, "{text}"),
        _ => write!(painted, "\x1b[1;{code}m{text}\x1b[0m"),
    };
    painted
}
