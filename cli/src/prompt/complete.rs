//! Completes the names of tables, columns and functions at the prompt.

/// Words of SQL that queries of analysis are made of.
const KEYWORDS: &[&str] = &[
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP BY",
    "ORDER BY",
    "LIMIT",
    "HAVING",
    "JOIN",
    "LEFT JOIN",
    "ON",
    "USING",
    "UNION ALL",
    "DISTINCT",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "AND",
    "OR",
    "NOT",
    "IN",
    "IS",
    "NULL",
    "LIKE",
    "BETWEEN",
    "AS",
    "DESC",
    "WITH",
    "OVER",
    "PARTITION BY",
    "DESCRIBE",
    "EXPLAIN",
    "SHOW TABLES",
];

/// What can be completed.
#[derive(Debug)]
pub(super) struct Completer {
    words: Vec<String>,
}

/// How a word can be completed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Completion<'a> {
    /// Number of characters before the cursor that are replaced.
    pub(super) count: usize,
    /// The words that begin like them.
    pub(super) words: Vec<&'a str>,
}

impl Completer {
    /// Completes `names` and the words of SQL.
    pub(super) fn new(names: Vec<String>) -> Self {
        let keywords = KEYWORDS.iter().map(|word| (*word).to_owned());
        Self {
            words: names.into_iter().chain(keywords).collect(),
        }
    }

    /// Completes the word at the end of `before`, the text before the cursor.
    pub(super) fn complete(&self, before: &str) -> Completion<'_> {
        let is_part = |c: &char| c.is_alphanumeric() || *c == '_';
        let begun: Vec<char> = before.chars().rev().take_while(is_part).collect();
        let count = begun.len();
        let begun: String = begun.iter().rev().collect::<String>().to_lowercase();
        let words = self.words.iter().map(String::as_str);
        let begins = |word: &&str| count > 0 && word.to_lowercase().starts_with(&begun);
        Completion {
            count,
            words: words.filter(begins).collect(),
        }
    }
}

impl Completion<'_> {
    /// Returns the letters that all words begin with.
    pub(super) fn common(&self) -> String {
        let Some((first, others)) = self.words.split_first() else {
            return String::new();
        };
        let shared = |word: &&str| {
            let pairs = first.chars().zip(word.chars());
            pairs.take_while(|(a, b)| a == b).count()
        };
        let count = others.iter().map(shared).min();
        first.chars().take(count.unwrap_or(usize::MAX)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_before_the_cursor_is_completed() {
        let names = ["steps", "step_scores", "jobs"].map(str::to_owned);
        let completer = Completer::new(names.to_vec());
        let found = completer.complete("SELECT * FROM ste");
        assert_eq!(
            (found.count, &found.words[..]),
            (3, &["steps", "step_scores"][..])
        );
        assert_eq!(found.common(), "step");
        assert_eq!(completer.complete("é.JO").words, ["jobs", "JOIN"]);
        assert_eq!(completer.complete("sel").common(), "SELECT");
        assert!(completer.complete("SELECT ").words.is_empty());
        assert_eq!(completer.complete("x").common(), "");
    }
}
