//! What somebody may have meant by a name that does not exist.

/// Returns the candidate most like `name`, if any is alike enough to be what was meant.
pub fn nearest<'c>(name: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    let (distance, candidate) = candidates
        .map(|candidate| (edit_distance(name, candidate), candidate))
        .min()?;
    (distance <= candidate.len().max(name.len()) / 2).then_some(candidate)
}

/// Returns how many letters must be changed, added or removed to get from `a` to `b`.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut previous: Vec<usize> = (0..=b.chars().count()).collect();
    for (row, from) in a.chars().enumerate() {
        let mut current = vec![row + 1];
        for (column, to) in b.chars().enumerate() {
            let changed = previous[column] + usize::from(from != to);
            current.push(
                changed
                    .min(previous[column + 1] + 1)
                    .min(current[column] + 1),
            );
        }
        previous = current;
    }
    previous[b.chars().count()]
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
        assert_eq!(nearest("xyz", names.into_iter()), None);
    }
}
