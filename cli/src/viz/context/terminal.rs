//! Draws a context attribution as lines of text, as Inseq does.
//!
//! Marked tokens are bold, in the colors that the page has, and have their score in parentheses, so
//! that they are found without colors too.

use super::marks::Piece;
use super::view::{ContextView, in_words};
use crate::viz::color::{Colors, Hue};

/// Draws `view`. Ends with a newline.
pub fn render(view: &ContextView, colors: Colors) -> String {
    let described = &view.description;
    let bold = |text: &str| colors.bold(text);
    let mut text = format!(
        "Context with {} ({}) followed by output with {} ({})\n",
        colors.mark("contextual cues", Hue::Cue),
        in_words(&described.cues),
        colors.mark("context-sensitive tokens", Hue::Sensitive),
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
            marked(&token.output, Hue::Sensitive, colors)
        ));
        if let Some(alternative) = &token.alternative {
            line(format!("{} {alternative}", bold("Without context:")));
        }
        for (name, pieces) in &token.contexts {
            let name = bold(&format!("{name} (CCI ≥ {:.3}):", token.threshold));
            line(format!("{name} {}", marked(pieces, Hue::Cue, colors)));
        }
    }
    text
}

fn marked(pieces: &[Piece], hue: Hue, colors: Colors) -> String {
    let mut text = String::new();
    for piece in pieces {
        match piece.score.filter(|_| piece.is_marked) {
            Some(score) => {
                let shown = format!("{}({score:.3})", piece.text);
                text.push_str(&colors.mark(&shown, hue));
            }
            None => text.push_str(&piece.text),
        }
    }
    text
}
