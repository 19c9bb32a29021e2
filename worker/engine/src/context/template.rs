//! Templates of texts: where the context and the current text go.
//!
//! A template is written as for Python's `str.format`: `{context}` and `{current}` are replaced,
//! `{{` and `}}` stand for braces. A filled template remembers which characters came from where,
//! so that the tokens of each part are found in one encoding of the whole text.

use std::ops::Range;

use crate::Error;

/// Where the context and the current text go in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Context,
    Current,
}

/// A filled template. The ranges count characters of `text`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filled {
    pub(super) text: String,
    pub(super) context: Option<Range<usize>>,
    pub(super) current: Range<usize>,
}

impl Template {
    /// Reads a template. `option` names it in messages.
    ///
    /// Fails if it has no `{current}`, has a placeholder twice, or has another one.
    pub fn parse(option: &str, template: &str) -> Result<Self, Error> {
        let refused = |reason: String| Error::Specification {
            reason: format!("{option} `{template}` {reason}"),
        };
        let pieces = pieces(template).map_err(&refused)?;
        for (piece, name) in [(Piece::Context, "{context}"), (Piece::Current, "{current}")] {
            if pieces.iter().filter(|own| **own == piece).count() > 1 {
                return Err(refused(format!("has `{name}` twice; once is enough")));
            }
        }
        if !pieces.contains(&Piece::Current) {
            return Err(refused(
                "has no `{current}`: add it where the text goes".to_owned(),
            ));
        }
        Ok(Self { pieces })
    }

    /// Returns whether a context goes into the text.
    pub fn has_context(&self) -> bool {
        self.pieces.contains(&Piece::Context)
    }

    /// Returns whether the context, if any, comes before the current text.
    pub(super) fn is_context_first(&self) -> bool {
        let place = |piece| self.pieces.iter().position(|own| *own == piece);
        place(Piece::Context) < place(Piece::Current)
    }

    /// Returns the text with `context` and `current` in their places.
    pub(super) fn fill(&self, context: &str, current: &str) -> Filled {
        let mut filled = Filled {
            text: String::new(),
            context: None,
            current: 0..0,
        };
        let mut length = 0;
        for piece in &self.pieces {
            let part = match piece {
                Piece::Text(text) => text,
                Piece::Context => context,
                Piece::Current => current,
            };
            let range = length..length + part.chars().count();
            filled.text.push_str(part);
            length = range.end;
            match piece {
                Piece::Text(_) => {}
                Piece::Context => filled.context = Some(range),
                Piece::Current => filled.current = range,
            }
        }
        filled
    }

    /// Returns what comes before the first placeholder.
    pub(super) fn beginning(&self) -> &str {
        text_at(self.pieces.first())
    }

    /// Returns what comes after `{current}`.
    pub(super) fn ending(&self) -> &str {
        text_at(self.pieces.last())
    }

    /// Returns what stands between `{context}` and `{current}`.
    pub(super) fn between(&self) -> &str {
        let mut after = self
            .pieces
            .iter()
            .skip_while(|piece| **piece != Piece::Context);
        text_at(after.nth(1))
    }

    /// Returns the text before `{current}` with `context` in its place, without the template's own
    /// blanks at both ends.
    pub(super) fn before_current(&self, context: &str) -> String {
        let mut text = String::new();
        let before: Vec<_> = (self.pieces.iter())
            .take_while(|piece| **piece != Piece::Current)
            .collect();
        for (index, piece) in before.iter().enumerate() {
            match piece {
                Piece::Text(own) => {
                    let own = if index == 0 { own.trim_start() } else { own };
                    let is_last = index + 1 == before.len();
                    text.push_str(if is_last { own.trim_end() } else { own });
                }
                _ => text.push_str(context),
            }
        }
        text
    }
}

impl Filled {
    /// Returns this text behind `first`, with `separator` between the two where neither has it.
    pub(super) fn behind(self, first: &str, separator: &str) -> Self {
        let before = joined(first, &self.text, separator);
        let shift = before.chars().count() - self.text.chars().count();
        let shifted = |range: Range<usize>| range.start + shift..range.end + shift;
        Self {
            text: before,
            context: self.context.map(shifted),
            current: shifted(self.current),
        }
    }
}

/// Returns the two texts with `separator` between them, unless the first ends or the second begins
/// with it.
pub(super) fn joined(first: &str, second: &str, separator: &str) -> String {
    if first.ends_with(separator) || second.starts_with(separator) {
        return format!("{first}{second}");
    }
    format!("{first}{separator}{second}")
}

/// Returns the text of a piece; empty if it is a placeholder, or missing.
fn text_at(piece: Option<&Piece>) -> &str {
    match piece {
        Some(Piece::Text(text)) => text,
        _ => "",
    }
}

/// Splits a template into its pieces. Fails with the rest of a sentence that names the template.
fn pieces(template: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = template;
    while let Some(next) = rest.chars().next() {
        let doubled = ["{{", "}}"].into_iter().find(|pair| rest.starts_with(pair));
        if doubled.is_some() || !"{}".contains(next) {
            text.push(next);
            rest = &rest[next.len_utf8() + usize::from(doubled.is_some())..];
            continue;
        }
        let name = rest.split_inclusive('}').next().unwrap_or_default();
        let piece = match name {
            "{context}" => Piece::Context,
            "{current}" => Piece::Current,
            _ => {
                return Err(format!(
                    "has `{name}`, which is neither `{{context}}` nor `{{current}}`; write braces \
                     of the text itself twice"
                ));
            }
        };
        if !text.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut text)));
        }
        pieces.push(piece);
        rest = &rest[name.len()..];
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> Template {
        Template::parse("--input-template", text).unwrap()
    }

    #[test]
    fn a_filled_template_knows_where_its_parts_are() {
        let filled = template("é{{ {context} / {current}!").fill("née", "là");
        assert_eq!(filled.text, "é{ née / là!");
        assert_eq!((filled.context, filled.current), (Some(3..6), 9..11));
        let filled = template("{current} {context}")
            .fill("b", "a")
            .behind("x", " ");
        assert_eq!(filled.text, "x a b");
        assert_eq!((filled.context, filled.current), (Some(4..5), 2..3));
    }

    #[test]
    fn texts_around_placeholders_are_found() {
        let whole = template("A {context} B {current} C");
        assert_eq!(
            (whole.beginning(), whole.between(), whole.ending()),
            ("A ", " B ", " C")
        );
        assert_eq!(whole.before_current("x "), "A x  B");
        assert!(whole.has_context() && whole.is_context_first());
        let bare = template("{current}");
        assert_eq!(
            (bare.beginning(), bare.between(), bare.ending()),
            ("", "", "")
        );
        assert!(!template("{current} {context}").is_context_first());
    }

    #[test]
    fn what_is_no_template_is_refused_by_name() {
        let refused = |text: &str| {
            let error = Template::parse("--input-template", text).unwrap_err();
            error.to_string()
        };
        assert!(refused("{context}").contains("has no `{current}`"));
        assert!(refused("{current}{current}").contains("`{current}` twice"));
        assert!(refused("{current} {curent}").contains("has `{curent}`"));
        assert!(refused("{current} {").contains("has `{`"));
        assert!(refused("{current} }").contains("has `}`"));
    }

    /// Inseq's results.
    #[test]
    fn a_separator_stands_between_two_texts_once() {
        let cases = [
            ("a", "b", "a b"),
            ("a ", "b", "a b"),
            ("a", " b", "a b"),
            ("a", "", "a "),
            ("a ", "", "a "),
        ];
        for (first, second, expected) in cases {
            assert_eq!(joined(first, second, " "), expected);
        }
    }
}
