//! The name somebody meant.

use datafusion::common::utils::datafusion_strsim::levenshtein;

/// Returns the candidate most like `name`, if any is alike enough to be what was meant.
pub(crate) fn nearest<'c>(
    name: &str,
    candidates: impl Iterator<Item = &'c str>,
) -> Option<&'c str> {
    let (distance, candidate) = candidates
        .map(|candidate| (levenshtein(name, candidate), candidate))
        .min()?;
    (distance <= name.len().max(candidate.len()) / 2).then_some(candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn the_nearest_name_is_suggested_if_it_is_near() {
        let tables = ["examples", "steps"];
        assert_eq!(nearest("exmples", tables.into_iter()), Some("examples"));
        assert_eq!(nearest("quite_another", tables.into_iter()), None);
    }
}
