//! Explains why a text is not a continuation of its prompt.

/// Characters of each text that a message shows.
const SHOWN: usize = 24;

/// Says where `text` diverges from `prompt`, and what to do if it is only the answer without the
/// prompt.
///
/// Most datasets hold only the answers. So a text that shares little with its prompt is taken for
/// an answer, unless the two differ only in case and whitespace.
pub(crate) fn difference(prompt: &str, text: &str) -> String {
    let pairs = prompt.chars().zip(text.chars());
    let common = pairs.take_while(|(a, b)| a == b).count();
    let shown = |text: &str| {
        let from = common.saturating_sub(SHOWN / 2);
        let excerpt: String = text.chars().skip(from).take(SHOWN).collect();
        let before = if from > 0 { "…" } else { "" };
        format!("{:?}", format!("{before}{excerpt}"))
    };
    let position = common + 1;
    let mut said = format!(
        "they differ from character {position} on, {} against {}",
        shown(prompt),
        shown(text)
    );
    let is_like = bare(text).starts_with(&bare(prompt));
    if !is_like && common * 2 < prompt.chars().count() {
        said.push_str(
            "; it seems to be an answer alone: put the input text in front of it, or use --chat, \
             which takes answers alone",
        );
    }
    said
}

/// Returns the text in lower case and without whitespace.
fn bare(text: &str) -> String {
    let letters = text.chars().filter(|letter| !letter.is_whitespace());
    letters.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn an_answer_alone_is_told_how_to_be_given() {
        let said = difference("The cat sat", " on the mat.");
        assert!(said.starts_with("they differ from character 1 on, \"The cat sat\" against \" on the mat.\"; it seems to be an answer alone"), "{said}");
    }

    #[test]
    fn a_text_that_differs_a_little_is_told_where() {
        assert_eq!(
            difference("the cat", "The cat sat"),
            "they differ from character 1 on, \"the cat\" against \"The cat sat\""
        );
        assert_eq!(
            difference(
                "It is a long story about a cat.\n",
                "It is a long story about a cat. So"
            ),
            "they differ from character 32 on, \"…about a cat.\\n\" against \"…about a cat. So\""
        );
        assert_eq!(
            difference("The cat sat", "The cat"),
            "they differ from character 8 on, \"The cat sat\" against \"The cat\""
        );
    }
}
