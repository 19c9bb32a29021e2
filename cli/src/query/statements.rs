//! Cuts a text into SQL statements at the semicolons that end them.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

/// Returns the statements of `text`, without their semicolons. A text that cannot be tokenized is one
/// statement, so that the parser says what is wrong with it.
pub(crate) fn statements(text: &str) -> Vec<String> {
    split(text).0
}

/// Returns whether the last statement of `text` is ended by a semicolon.
pub(crate) fn is_complete(text: &str) -> bool {
    split(text).1
}

fn split(text: &str) -> (Vec<String>, bool) {
    let dialect = GenericDialect {};
    let Ok(tokens) = Tokenizer::new(&dialect, text)
        .with_unescape(false)
        .tokenize()
    else {
        return (vec![text.trim().to_owned()], false);
    };
    let mut statements = vec![String::new()];
    let mut is_empty = true;
    let mut is_complete = false;
    for token in tokens {
        if token == Token::SemiColon {
            statements.push(String::new());
            is_empty = true;
            is_complete = true;
            continue;
        }
        if !matches!(token, Token::Whitespace(_)) {
            is_empty = false;
            is_complete = false;
        }
        if let Some(statement) = statements.last_mut() {
            *statement += &token.to_string();
        }
    }
    // What follows the last semicolon may be comments only.
    if is_empty {
        statements.pop();
    }
    statements.retain(|statement| !statement.trim().is_empty());
    (statements, is_complete)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn semicolons_end_statements_but_not_in_texts_and_comments() {
        let text = "SELECT ';' AS a; -- no; \n SELECT 2 /* ; */;\n-- end";
        let found = statements(text);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0], "SELECT ';' AS a");
        assert!(found[1].contains("SELECT 2"));
        assert!(is_complete(text));
        assert!(!is_complete("SELECT 1"));
        assert!(!is_complete("SELECT 1; SELECT 2"));
        assert!(statements(" ; \n").is_empty());
    }

    #[test]
    fn a_text_keeps_its_quotes_and_escapes() {
        let text = "SELECT 'it''s', \"a;b\" FROM x";
        assert_eq!(statements(text), [text]);
    }

    #[test]
    fn an_open_text_is_one_unfinished_statement() {
        assert_eq!(statements("SELECT 'a; b"), ["SELECT 'a; b"]);
        assert!(!is_complete("SELECT 'a; b;"));
    }
}
