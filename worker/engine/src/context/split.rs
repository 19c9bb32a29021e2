//! Splits a generated output into its context and the current text.

/// Characters at which an output is split if the template's separator does not split it.
const PUNCTUATION: &str = ".?!,;:)]}";

/// Returns the context of a generated output, if it is plain where it ends: the separator occurs
/// once, or punctuation and blanks split the output into two parts. The punctuation belongs to the
/// context.
pub(super) fn context_candidate<'t>(generated: &'t str, separator: &str) -> Option<&'t str> {
    let by_separator = || match generated.split_once(separator)? {
        (context, current) if !current.contains(separator) => Some(context),
        _ => None,
    };
    let is_text = |context: &&str| !separator.is_empty() && !context.trim().is_empty();
    let candidate = by_separator().filter(is_text);
    candidate.or_else(|| before_second_part(generated))
}

/// Returns what precedes the second of exactly two parts between punctuation and blanks.
fn before_second_part(generated: &str) -> Option<&str> {
    let is_between = |letter: char| letter.is_whitespace() || PUNCTUATION.contains(letter);
    let mut parts = generated.split(is_between).filter(|part| !part.is_empty());
    let (Some(_), Some(second), None) = (parts.next(), parts.next(), parts.next()) else {
        return None;
    };
    // The second part is the last one: only punctuation follows it.
    let end = generated.trim_end_matches(is_between).len();
    Some(generated[..end - second.len()].trim_end())
}

/// Returns the current text of a generated output that begins with `context`, without the
/// `separator` between them.
pub(super) fn current_behind(generated: &str, context: &str, separator: &str) -> Option<String> {
    let rest = generated.strip_prefix(context)?;
    let rest = rest.strip_prefix(separator).unwrap_or(rest);
    Some(rest.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_separator_splits_if_it_occurs_once() {
        assert_eq!(context_candidate("Oui. Non merci.", ". "), Some("Oui"));
        assert_eq!(context_candidate("a | b | c", " | "), None);
        assert_eq!(context_candidate(" suite", " "), None);
    }

    #[test]
    fn punctuation_splits_into_two_parts_and_stays_with_the_context() {
        assert_eq!(context_candidate("Oui ! Merci.", " "), Some("Oui !"));
        assert_eq!(context_candidate("Un, deux, trois", "|"), None);
        assert_eq!(context_candidate("Seul.", " "), None);
        assert_eq!(context_candidate("", ""), None);
    }

    #[test]
    fn the_current_text_follows_the_context_and_the_separator() {
        let behind = |context, separator| current_behind("Oui. Non merci.", context, separator);
        assert_eq!(behind("Oui", ". ").as_deref(), Some("Non merci."));
        assert_eq!(behind("Oui.", " ").as_deref(), Some("Non merci."));
        assert_eq!(behind("", " ").as_deref(), Some("Oui. Non merci."));
        assert_eq!(behind("Non", " "), None);
    }
}
