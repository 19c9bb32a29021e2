//! Moves through the bytes of one JSON value without decoding what nobody asked for.
//!
//! The grammar is that of JSON with the words that Python adds: `NaN`, `Infinity`, `-Infinity`.
//! Numbers are only passed over, because converting one can lose digits. Texts are decoded by
//! `serde_json`.

use std::borrow::Cow;

/// Levels of lists and objects in each other, at most. Each one costs stack memory.
const MAX_DEPTH: usize = 200;

/// What is wrong with a value, and at which of its bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    pub(super) at: usize,
    pub(super) reason: String,
}

/// A place in the bytes of a value.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Cursor<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Returns how many bytes have been passed.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Passes over blanks and returns the next byte without consuming it.
    pub(super) fn peek(&mut self) -> Result<u8, SyntaxError> {
        while let Some(byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Ok(*byte);
            }
            self.at += 1;
        }
        Err(self.error("it ends too early"))
    }

    /// Enters an object. Returns its first key, or `None` if it is empty.
    pub(super) fn first_key(&mut self) -> Result<Option<Cow<'b, str>>, SyntaxError> {
        self.expect(b'{', "expected `{`")?;
        self.key_or(b'}')
    }

    /// Returns the key after a value of an object, or `None` after the last.
    pub(super) fn next_key(&mut self) -> Result<Option<Cow<'b, str>>, SyntaxError> {
        if self.peek()? == b'}' {
            return self.key_or(b'}');
        }
        self.expect(b',', "expected `,` or `}`")?;
        if self.peek()? == b'}' {
            return Err(self.error("a key is missing after `,`"));
        }
        self.key_or(b'}')
    }

    fn key_or(&mut self, end: u8) -> Result<Option<Cow<'b, str>>, SyntaxError> {
        if self.peek()? == end {
            self.at += 1;
            return Ok(None);
        }
        let key = self.text()?;
        self.expect(b':', "expected `:`")?;
        Ok(Some(key))
    }

    /// Enters a list. Returns whether it has an item.
    pub(super) fn first_item(&mut self) -> Result<bool, SyntaxError> {
        self.expect(b'[', "expected `[`")?;
        let is_empty = self.peek()? == b']';
        self.at += usize::from(is_empty);
        Ok(!is_empty)
    }

    /// Moves to the next item of a list. Returns false after the last.
    pub(super) fn next_item(&mut self) -> Result<bool, SyntaxError> {
        if self.peek()? == b']' {
            self.at += 1;
            return Ok(false);
        }
        self.expect(b',', "expected `,` or `]`")?;
        Ok(true)
    }

    /// Reads a text.
    pub(super) fn text(&mut self) -> Result<Cow<'b, str>, SyntaxError> {
        self.peek()?;
        let start = self.at;
        let quoted = self.skip_text()?;
        let inner = &quoted[1..quoted.len() - 1];
        let is_plain = inner.iter().all(|byte| *byte >= b' ' && *byte != b'\\');
        if is_plain && let Ok(text) = str::from_utf8(inner) {
            return Ok(Cow::Borrowed(text));
        }
        let decoded = serde_json::from_slice::<String>(quoted);
        decoded.map(Cow::Owned).map_err(|error| {
            let text = error.to_string();
            let reason = match text.split(" at line ").next().unwrap_or(&text) {
                "unexpected end of hex escape" | "lone leading surrogate in hex escape" => {
                    "half of a surrogate pair is not a character"
                }
                reason => reason,
            };
            SyntaxError {
                at: start + error.column().saturating_sub(1),
                reason: reason.to_owned(),
            }
        })
    }

    /// Passes over the next value and returns its bytes.
    pub(super) fn skip(&mut self) -> Result<&'b [u8], SyntaxError> {
        self.peek()?;
        let start = self.at;
        self.skip_value(0)?;
        Ok(&self.bytes[start..self.at])
    }

    fn skip_value(&mut self, depth: usize) -> Result<(), SyntaxError> {
        if depth > MAX_DEPTH {
            let reason = format!("it is nested more than {MAX_DEPTH} levels deep");
            return Err(self.error(&reason));
        }
        match self.peek()? {
            b'"' => self.skip_text().map(|_| ()),
            b'{' => {
                self.expect(b'{', "")?;
                let mut has_key = self.skip_key(true)?;
                while has_key {
                    self.skip_value(depth + 1)?;
                    has_key = self.skip_key(false)?;
                }
                Ok(())
            }
            b'[' => {
                let mut has_item = self.first_item()?;
                while has_item {
                    self.skip_value(depth + 1)?;
                    has_item = self.next_item()?;
                }
                Ok(())
            }
            _ => self.skip_literal(),
        }
    }

    /// Passes over a key of an object and its colon. Returns false at the end of the object.
    fn skip_key(&mut self, is_first: bool) -> Result<bool, SyntaxError> {
        if self.peek()? == b'}' {
            self.at += 1;
            return Ok(false);
        }
        if !is_first {
            self.expect(b',', "expected `,` or `}`")?;
            self.peek()?;
        }
        self.skip_text()?;
        self.expect(b':', "expected `:`")?;
        Ok(true)
    }

    /// Passes over a text and returns it with its quotes.
    fn skip_text(&mut self) -> Result<&'b [u8], SyntaxError> {
        let start = self.at;
        if self.bytes.get(start) != Some(&b'"') {
            return Err(self.error("expected a text in double quotes"));
        }
        let mut at = start + 1;
        while let Some(found) =
            memchr::memchr2(b'"', b'\\', &self.bytes[at.min(self.bytes.len())..])
        {
            at += found;
            if self.bytes[at] == b'"' {
                self.at = at + 1;
                return Ok(&self.bytes[start..self.at]);
            }
            at += 2;
        }
        Err(self.error("a text is never closed"))
    }

    fn skip_literal(&mut self) -> Result<(), SyntaxError> {
        const WORDS: [&[u8]; 6] = [
            b"null",
            b"true",
            b"false",
            b"NaN",
            b"Infinity",
            b"-Infinity",
        ];
        let rest = &self.bytes[self.at..];
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-._".contains(byte);
        let length = rest.iter().take_while(|byte| is_part(byte)).count();
        let literal = &rest[..length];
        if !WORDS.contains(&literal) && !is_number(literal) {
            return Err(self.error("expected a value"));
        }
        self.at += length;
        Ok(())
    }

    fn expect(&mut self, wanted: u8, reason: &str) -> Result<(), SyntaxError> {
        if self.peek()? != wanted {
            return Err(self.error(reason));
        }
        self.at += 1;
        Ok(())
    }

    fn error(&self, reason: &str) -> SyntaxError {
        SyntaxError {
            at: self.at,
            reason: reason.to_owned(),
        }
    }
}

/// Returns whether `text` is a number in the grammar of JSON.
fn is_number(text: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(text);
    if whole == 0 || (whole > 1 && text[0] == b'0') {
        return false;
    }
    let mut rest = &text[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let length = digits(fraction);
        rest = &fraction[length..];
        if length == 0 {
            return false;
        }
    }
    let Some(exponent) = rest.strip_prefix(b"e").or(rest.strip_prefix(b"E")) else {
        return rest.is_empty();
    };
    let signed = exponent.strip_prefix(b"+").or(exponent.strip_prefix(b"-"));
    let exponent = signed.unwrap_or(exponent);
    !exponent.is_empty() && digits(exponent) == exponent.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_grammar_are_passed_over_and_others_refused() {
        for value in [
            "{}",
            "[]",
            r#"{"a": [1, {"b": "}\\"}], "c": null}"#,
            "-0.5e+10",
            "0",
            "NaN",
            "-Infinity",
            r#""\"""#,
        ] {
            let mut cursor = Cursor::new(value.as_bytes());
            assert_eq!(cursor.skip().unwrap(), value.as_bytes());
        }
        for value in [
            "{",
            "[1,]",
            "{\"a\"}",
            "{\"a\":1,}",
            "{a:1}",
            "01",
            "1.",
            "--1",
            "nul",
            "\"a",
            "[1 2]",
            "+1",
            "'a'",
            "",
            "-",
        ] {
            assert!(Cursor::new(value.as_bytes()).skip().is_err(), "{value}");
        }
    }

    #[test]
    fn what_serde_json_reads_is_read() {
        let values = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(Cursor::new(values(100).as_bytes()).skip().is_ok());
        let error = Cursor::new(values(100_000).as_bytes()).skip().unwrap_err();
        assert!(error.reason.contains("nested"), "{error:?}");
    }

    #[test]
    fn a_text_is_decoded_or_refused() {
        let text = |bytes: &[u8]| Cursor::new(bytes).text().map(Cow::into_owned);
        assert_eq!(text(r#""é\u00e9\ud83d\ude00""#.as_bytes()).unwrap(), "éé😀");
        assert!(
            text(br#""\ud800""#)
                .unwrap_err()
                .reason
                .contains("surrogate")
        );
        assert!(
            text(b"\"\t\"")
                .unwrap_err()
                .reason
                .contains("control character")
        );
        assert!(text(b"\"\xff\"").is_err());
    }
}
