//! Templates that make one text of several fields: `{premise} {hypothesis}`.
//!
//! Braces hold the path of a field; `{{` and `}}` stand for braces themselves.

use std::fmt;
use std::str::FromStr;

use crate::Error;
use crate::field::{Cell, FieldPath};

/// A text with fields of a row in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    pieces: Vec<Piece>,
    fields: Vec<FieldPath>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// Index of a field in the template's list.
    Field(usize),
}

impl Template {
    /// Returns its fields, each once, in the order of their first use.
    pub fn fields(&self) -> &[FieldPath] {
        &self.fields
    }

    /// Returns the text for a row, given the cells of [`fields`](Self::fields) in their order.
    /// Fails if one of them does not hold text.
    pub fn render(&self, cells: &[Cell]) -> Result<String, String> {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Field(index) => {
                    let cell = cells.get(*index).unwrap_or(&Cell::Absent);
                    text.push_str(cell.text(&self.fields[*index])?);
                }
            }
        }
        Ok(text)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Template {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut template = Self {
            text: text.to_owned(),
            pieces: Vec::new(),
            fields: Vec::new(),
        };
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            template.pieces.push(Piece::Text(rest[..at].to_owned()));
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                template.pieces.push(Piece::Text(brace.to_owned()));
                rest = after;
            } else if let Some((name, after)) = rest.split_once('}').filter(|_| brace == "{") {
                template.add_field(name)?;
                rest = after;
            } else {
                let reason =
                    format!("a `{brace}` stands alone; write `{brace}{brace}` for a brace");
                return Err(template.refused(reason));
            }
        }
        template.pieces.push(Piece::Text(rest.to_owned()));
        if template.fields.is_empty() {
            return Err(template.refused("it names no field".to_owned()));
        }
        Ok(template)
    }
}

impl Template {
    fn add_field(&mut self, name: &str) -> Result<(), Error> {
        let field: FieldPath = name
            .parse()
            .map_err(|_| self.refused("`{}` names no field".to_owned()))?;
        let known = self.fields.iter().position(|known| *known == field);
        let index = known.unwrap_or(self.fields.len());
        if known.is_none() {
            self.fields.push(field);
        }
        self.pieces.push(Piece::Field(index));
        Ok(())
    }

    fn refused(&self, reason: String) -> Error {
        Error::Template {
            template: self.text.clone(),
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(template: &str, cells: &[Cell]) -> Result<String, String> {
        template.parse::<Template>().unwrap().render(cells)
    }

    fn text(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }

    #[test]
    fn fields_are_put_into_the_text() {
        let cells = [text("It rains."), text("It is wet.")];
        let rendered = render("{premise} {hypothesis}", &cells);
        assert_eq!(rendered.unwrap(), "It rains. It is wet.");
        let rendered = render("Q: {q}\n{{\"a\": \"{b[0].c}\"}} {q}", &cells);
        let expected = "Q: It rains.\n{\"a\": \"It is wet.\"} It rains.";
        assert_eq!(rendered.unwrap(), expected);
        let fields = "{a}{b}{a}".parse::<Template>().unwrap();
        assert_eq!(fields.fields().len(), 2);
    }

    #[test]
    fn a_field_without_text_is_the_error_of_the_row() {
        let error = |cell| render("{a}", &[cell]).unwrap_err();
        assert_eq!(error(Cell::Null), "field `a` is null");
        assert_eq!(error(Cell::Absent), "the row has no field `a`");
        assert_eq!(error(Cell::Json("1".to_owned())), "field `a` holds no text");
        assert_eq!(render("{a}!", &[text("")]).unwrap(), "!");
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for template in ["", "text", "{{a}}", "{a", "a}", "{}", "{a}{", "{a}}"] {
            let error = template.parse::<Template>().unwrap_err().to_string();
            assert!(error.contains(template), "{error}");
        }
    }
}
