//! JSON as Python writes it, with the numbers `NaN`, `Infinity` and `-Infinity`.
//!
//! JSON itself does not have these, and its readers stop at them. Scores never are written so, but
//! a parameter in a file's `info` can be.

use std::io::{self, BufRead, Read};

/// Puts quotation marks around the numbers that JSON does not have, and passes everything else on.
#[derive(Debug)]
pub(super) struct PythonJson<R> {
    input: R,
    /// What is still to be passed on before the input continues.
    pending: &'static [u8],
    in_string: bool,
    is_escaped: bool,
}

impl<R: BufRead> PythonJson<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            pending: &[],
            in_string: false,
            is_escaped: false,
        }
    }

    /// Passes on part of a string, at most to its end.
    fn read_in_string(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let input = self.input.fill_buf()?;
        let length = input.len().min(out.len());
        let mut end = length;
        for (index, byte) in input[..length].iter().enumerate() {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => {
                    self.in_string = false;
                    end = index + 1;
                    break;
                }
                _ => {}
            }
        }
        out[..end].copy_from_slice(&input[..end]);
        self.input.consume(end);
        Ok(end)
    }

    /// Passes on what is between strings, at most to the next string or special number.
    fn read_between(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let input = self.input.fill_buf()?;
        let Some(&first) = input.first() else {
            return Ok(0);
        };
        match first {
            b'"' => {
                self.in_string = true;
                out[0] = first;
                self.input.consume(1);
                Ok(1)
            }
            b'N' => self.quote(b"NaN", b"\"NaN\"", out),
            b'I' => self.quote(b"Infinity", b"\"Infinity\"", out),
            b'-' => {
                self.input.consume(1);
                if self.input.fill_buf()?.first() == Some(&b'I') {
                    return self.quote(b"Infinity", b"\"-Infinity\"", out);
                }
                out[0] = first;
                Ok(1)
            }
            _ => {
                let is_special = |byte: &u8| matches!(byte, b'"' | b'N' | b'I' | b'-');
                let end = input.iter().position(is_special).unwrap_or(input.len());
                let end = end.min(out.len());
                out[..end].copy_from_slice(&input[..end]);
                self.input.consume(end);
                Ok(end)
            }
        }
    }

    /// Passes on `quoted` in place of `number`, which the input has next.
    fn quote(
        &mut self,
        number: &'static [u8],
        quoted: &'static [u8],
        out: &mut [u8],
    ) -> io::Result<usize> {
        let mut found = [0; 8];
        let found = &mut found[..number.len()];
        self.input.read_exact(found)?;
        if found != number {
            let found = String::from_utf8_lossy(found);
            return Err(io::Error::other(format!("`{found}` is not JSON")));
        }
        self.pending = quoted;
        self.read(out)
    }
}

impl<R: BufRead> Read for PythonJson<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        if !self.pending.is_empty() {
            let length = self.pending.len().min(out.len());
            let (now, later) = self.pending.split_at(length);
            out[..length].copy_from_slice(now);
            self.pending = later;
            return Ok(length);
        }
        if self.in_string {
            self.read_in_string(out)
        } else {
            self.read_between(out)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn numbers_that_json_lacks_are_read_in_pieces_of_any_size() {
        let text =
            r#"{"a": NaN, "b": [Infinity, -Infinity, -1.5], "c": "NaN \"-Infinity\\", "d": -2}"#;
        let expected = json!({
            "a": "NaN", "b": ["Infinity", "-Infinity", -1.5], "c": "NaN \"-Infinity\\", "d": -2
        });
        for size in 1..12 {
            let input = io::BufReader::with_capacity(size, text.as_bytes());
            let mut read = Vec::new();
            let mut reader = PythonJson::new(input);
            let mut piece = vec![0; size];
            loop {
                let length = reader.read(&mut piece).unwrap();
                if length == 0 {
                    break;
                }
                read.extend_from_slice(&piece[..length]);
            }
            let found: Value = serde_json::from_slice(&read).unwrap();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn other_words_are_refused() {
        let mut read = Vec::new();
        let mut reader = PythonJson::new(&b"[None]"[..]);
        let error = reader.read_to_end(&mut read).unwrap_err().to_string();
        assert!(error.contains("`Non` is not JSON"), "{error}");
    }
}
