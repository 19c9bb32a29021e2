//! The access token, in a type that cannot be printed.

use std::fmt;

use reqwest::header::HeaderValue;

/// A token that opens private and gated repositories.
///
/// `Debug` shows a placeholder and there is no `Display`, so that no log, error or specification
/// can contain the token by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Returns the token in `text` without the blanks and line ends around it; `None` if nothing
    /// is left.
    pub fn parse(text: &str) -> Option<Self> {
        let token = text.trim();
        (!token.is_empty()).then(|| Self(token.to_owned()))
    }

    /// Returns the value of the `Authorization` header, marked so that HTTP libraries do not log
    /// it. `None` if the token holds characters that a header cannot carry.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.0)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_printed() {
        let token = Token::parse(" hf_secret\r\n").unwrap();
        let header = token.header().unwrap();
        for shown in [format!("{token:?}"), format!("{header:?}")] {
            assert!(!shown.contains("secret"), "{shown}");
        }
        assert_eq!(header.to_str().unwrap(), "Bearer hf_secret");
    }

    #[test]
    fn blanks_are_no_token() {
        assert_eq!(Token::parse(" \n"), None);
        assert_eq!(Token::parse("hf\u{1}").unwrap().header(), None);
    }
}
