//! Suggestions for misspelled names.

/// Returns the candidate closest to `name` by edit distance, or `None` if none is close enough: the
/// distance may be at most half the length of the longer name.
pub fn nearest<'c>(name: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    let (distance, candidate) = candidates
        .map(|candidate| (strsim::osa_distance(name, candidate), candidate))
        .min()?;
    (distance <= candidate.len().max(name.len()) / 2).then_some(candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_if_it_is_near() {
        let names = ["saliency", "attention", "integrated_gradients"];
        assert_eq!(nearest("salience", names.into_iter()), Some("saliency"));
        assert_eq!(
            nearest("integrated_gradient", names.into_iter()),
            Some("integrated_gradients")
        );
        assert_eq!(nearest("attnetion", names.into_iter()), Some("attention"));
        assert_eq!(nearest("xyz", names.into_iter()), None);
    }
}
