//! Parses text into a [`Tree`] by recursive descent, with one function per level of precedence.
//!
//! ```text
//! sum     = product { ("+" | "-") product }
//! product = negated { ("*" | "/") negated }
//! negated = "-" negated | power
//! power   = indexed [ "^" negated ]
//! indexed = primary { "[" ( "target" | "contrast" | digits ) "]" }
//! primary = number | name | name "(" sum { "," sum } ")" | "(" sum ")"
//! ```

use std::iter::Peekable;
use std::str::CharIndices;

use whence_schemas::suggest::nearest;

use super::tree::{Binary, Node, NodeId, Quantity, Reduce, Shape, TokenRef, Tree, Unary};

/// Limit on nested operations: deeper than anybody writes, shallow enough that the stack cannot
/// overflow.
const MAX_DEPTH: usize = 100;

/// What is wrong with an expression, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column} of `{text}`: {reason}")]
pub(super) struct ParseError {
    /// Number of the character where the error is, counted from 1.
    pub(super) column: usize,
    text: String,
    reason: String,
}

/// Parses an expression whose value is one number.
pub(super) fn parse(text: &str) -> Result<Tree, ParseError> {
    let mut parser = Parser {
        text,
        rest: text.char_indices().peekable(),
        tree: Tree::new(),
        depth: 0,
    };
    let root = parser.sum()?;
    parser.skip_blanks();
    if let Some(&(position, found)) = parser.rest.peek() {
        return Err(parser.error(position, format!("unexpected `{found}`")));
    }
    let at_start = |reason: &str| Err(parser.error(0, reason.to_owned()));
    if parser.tree.shape(root) == Shape::Vector {
        return at_start(
            "the value is one number per token; index it, or make one number of it with `sum`, `mean`, `min` or `max`",
        );
    }
    if !parser.tree.reads_step() {
        return at_start("the value does not depend on the step");
    }
    Ok(parser.tree)
}

struct Parser<'t> {
    text: &'t str,
    rest: Peekable<CharIndices<'t>>,
    tree: Tree,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn sum(&mut self) -> Result<NodeId, ParseError> {
        let start = self.enter()?;
        let mut left = self.product()?;
        loop {
            let op = match self.peek() {
                Some('+') => Binary::Add,
                Some('-') => Binary::Subtract,
                _ => break,
            };
            self.rest.next();
            let right = self.product()?;
            left = self.push(start, Node::Binary { op, left, right })?;
        }
        self.depth -= 1;
        Ok(left)
    }

    fn product(&mut self) -> Result<NodeId, ParseError> {
        let start = self.position();
        let mut left = self.negated()?;
        loop {
            let op = match self.peek() {
                Some('*') => Binary::Multiply,
                Some('/') => Binary::Divide,
                _ => return Ok(left),
            };
            self.rest.next();
            let right = self.negated()?;
            left = self.push(start, Node::Binary { op, left, right })?;
        }
    }

    fn negated(&mut self) -> Result<NodeId, ParseError> {
        if !self.take('-') {
            return self.power();
        }
        let start = self.enter()?;
        let operand = self.negated()?;
        self.depth -= 1;
        let op = Unary::Negate;
        self.push(start, Node::Unary { op, operand })
    }

    fn power(&mut self) -> Result<NodeId, ParseError> {
        let start = self.position();
        let left = self.indexed()?;
        if !self.take('^') {
            return Ok(left);
        }
        self.enter()?;
        let right = self.negated()?;
        self.depth -= 1;
        let op = Binary::Power;
        self.push(start, Node::Binary { op, left, right })
    }

    fn indexed(&mut self) -> Result<NodeId, ParseError> {
        let start = self.position();
        let mut node = self.primary()?;
        while self.take('[') {
            let at = self.position();
            let word = self.word();
            let token = match word {
                "target" => TokenRef::Target,
                "contrast" => TokenRef::Contrast,
                digits => {
                    let Ok(id) = digits.parse() else {
                        let reason = "an index is `target`, `contrast` or a token's id";
                        return Err(self.error(at, reason.to_owned()));
                    };
                    TokenRef::Id(id)
                }
            };
            self.expect(']')?;
            let vector = node;
            node = self.push(start, Node::At { vector, token })?;
        }
        Ok(node)
    }

    fn primary(&mut self) -> Result<NodeId, ParseError> {
        let start = self.position();
        match self.peek() {
            Some('(') => {
                self.rest.next();
                let node = self.sum()?;
                self.expect(')')?;
                Ok(node)
            }
            Some(digit) if digit.is_ascii_digit() || digit == '.' => self.number(),
            Some(letter) if letter.is_alphabetic() || letter == '_' => {
                let name = self.word();
                if self.take('(') {
                    self.call(start, name)
                } else {
                    self.quantity(start, name)
                }
            }
            Some(other) => Err(self.error(
                start,
                format!("expected a quantity or a number, not `{other}`"),
            )),
            None => Err(self.error(start, "the expression ends too early".to_owned())),
        }
    }

    fn quantity(&mut self, start: usize, name: &str) -> Result<NodeId, ParseError> {
        if let Some(&quantity) = Quantity::ALL.iter().find(|q| q.name() == name) {
            return self.push(start, Node::Quantity(quantity));
        }
        if matches!(name, "target" | "contrast") {
            let reason = format!("`{name}` is a token; use it as an index, as in `logp[{name}]`");
            return Err(self.error(start, reason));
        }
        let names = Quantity::ALL.iter().map(|q| q.name());
        Err(self.unknown(start, "quantity", name, names))
    }

    /// Parses the arguments of the function `name`, after its opening parenthesis.
    fn call(&mut self, start: usize, name: &str) -> Result<NodeId, ParseError> {
        let mut operands = vec![self.sum()?];
        while self.take(',') {
            operands.push(self.sum()?);
        }
        self.expect(')')?;
        let unary = Unary::ALL.iter().find(|op| op.name() == name);
        let reduce = Reduce::ALL.iter().find(|op| op.name() == name);
        let binary = Binary::ALL.iter().find(|op| op.name() == name);
        let node = match (operands.as_slice(), unary, reduce, binary) {
            (&[operand], Some(&op), ..) => Node::Unary { op, operand },
            (&[vector], _, Some(&op), _) => Node::Reduce { op, vector },
            (&[left, right], .., Some(&op)) => Node::Binary { op, left, right },
            (_, None, None, None) => {
                let names = Unary::ALL[1..].iter().map(|op| op.name());
                let names = names.chain(Reduce::ALL.iter().map(|op| op.name()));
                return Err(self.unknown(start, "function", name, names));
            }
            _ => {
                let reason = format!("`{name}` does not take {} operands", operands.len());
                return Err(self.error(start, reason));
            }
        };
        self.push(start, node)
    }

    fn number(&mut self) -> Result<NodeId, ParseError> {
        let start = self.position();
        let mut end = start;
        let mut previous = ' ';
        while let Some(&(position, c)) = self.rest.peek() {
            let is_exponents_sign = matches!(c, '+' | '-') && matches!(previous, 'e' | 'E');
            if !(c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E') || is_exponents_sign) {
                break;
            }
            self.rest.next();
            (previous, end) = (c, position + c.len_utf8());
        }
        let digits = &self.text[start..end];
        match digits.parse::<f64>() {
            Ok(value) if value.is_finite() => self.push(start, Node::Number(value)),
            _ => Err(self.error(start, format!("`{digits}` is not a number"))),
        }
    }

    /// Consumes letters, digits and underscores.
    fn word(&mut self) -> &'t str {
        let start = self.position();
        let mut end = start;
        while let Some(&(position, c)) = self.rest.peek() {
            if !(c.is_alphanumeric() || c == '_') {
                break;
            }
            self.rest.next();
            end = position + c.len_utf8();
        }
        &self.text[start..end]
    }

    fn push(&mut self, start: usize, node: Node) -> Result<NodeId, ParseError> {
        let pushed = self.tree.push(node);
        pushed.map_err(|reason| self.error(start, reason))
    }

    /// Enters one more level of nesting. Returns the position where the operation starts.
    fn enter(&mut self) -> Result<usize, ParseError> {
        let start = self.position();
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let reason = format!("more than {MAX_DEPTH} operations stand inside one another");
            return Err(self.error(start, reason));
        }
        Ok(start)
    }

    fn skip_blanks(&mut self) {
        while self.rest.next_if(|(_, c)| c.is_whitespace()).is_some() {}
    }

    /// Returns the next character that is not whitespace, without consuming it.
    fn peek(&mut self) -> Option<char> {
        self.skip_blanks();
        self.rest.peek().map(|&(_, c)| c)
    }

    /// Returns the byte position of the next character that is not whitespace.
    fn position(&mut self) -> usize {
        self.skip_blanks();
        self.rest
            .peek()
            .map_or(self.text.len(), |&(position, _)| position)
    }

    /// Consumes `wanted` if it comes next, and returns whether it did.
    fn take(&mut self, wanted: char) -> bool {
        self.skip_blanks();
        self.rest.next_if(|&(_, c)| c == wanted).is_some()
    }

    fn expect(&mut self, wanted: char) -> Result<(), ParseError> {
        if self.take(wanted) {
            return Ok(());
        }
        let position = self.position();
        Err(self.error(position, format!("expected `{wanted}`")))
    }

    fn unknown(
        &self,
        start: usize,
        what: &str,
        name: &str,
        names: impl Iterator<Item = &'static str> + Clone,
    ) -> ParseError {
        let hint = match nearest(name, names.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are `{}`", names.collect::<Vec<_>>().join("`, `")),
        };
        self.error(start, format!("unknown {what} `{name}`, {hint}"))
    }

    fn error(&self, position: usize, reason: String) -> ParseError {
        ParseError {
            column: self.text[..position].chars().count() + 1,
            text: self.text.to_owned(),
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn operations_bind_as_in_arithmetic() {
        for (text, printed) in [
            ("p[target]+2*3^2", "p[target] + 2 * 3 ^ 2"),
            ("(p[target] + 2) * 3", "(p[target] + 2) * 3"),
            ("p[target] - (2 - 3)", "p[target] - (2 - 3)"),
            ("((p[target] - 2)) - 3", "p[target] - 2 - 3"),
            ("-p[target]^2", "-p[target] ^ 2"),
            ("(-p[target])^2", "(-p[target]) ^ 2"),
            ("2^-logp[7]^3", "2 ^ -logp[7] ^ 3"),
            ("(2^3)^p[target]", "(2 ^ 3) ^ p[target]"),
            ("sum( p*logp )", "sum(p * logp)"),
            (
                "max(p[target], min(contrast_p))",
                "max(p[target], min(contrast_p))",
            ),
            ("(p * logp)[contrast]", "(p * logp)[contrast]"),
            ("1e-3*p[target]", "0.001 * p[target]"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), printed);
        }
    }

    #[test]
    fn errors_name_the_place_and_the_next_step() {
        for (text, expected) in [
            ("", "column 1 of ``: the expression ends too early"),
            (
                "p[target] + lgop[target]",
                "column 13 of `p[target] + lgop[target]`: unknown quantity `lgop`, did you mean `logp`?",
            ),
            (
                "logp",
                "column 1 of `logp`: the value is one number per token",
            ),
            ("p[target", "column 9 of `p[target`: expected `]`"),
            ("p[best]", "column 3 of `p[best]`: an index is"),
            ("é + 1", "column 1 of `é + 1`: unknown quantity `é`"),
            ("p[target] é", "column 11 of `p[target] é`: unexpected `é`"),
            ("target", "column 1 of `target`: `target` is a token"),
            ("sum(1)", "column 1 of `sum(1)`: `sum` of one operand needs"),
            ("exp(p, p)[target]", "`exp` does not take 2 operands"),
            ("1.2.3 * p[target]", "`1.2.3` is not a number"),
            ("1 + 1", "does not depend on the step"),
            ("3[target]", "only what has one number per token"),
        ] {
            let found = error(text);
            assert!(found.contains(expected), "{text}: {found}");
        }
    }

    #[test]
    fn no_nesting_overflows_the_stack() {
        for opening in ["(", "-", "exp(", "2^"] {
            let text = opening.repeat(100_000);
            assert!(error(&text).contains("stand inside one another"));
        }
    }
}
