//! Cuts the examples of a shard into groups that are computed together.

use std::ops::Range;

use whence_schemas::RowError;

use crate::computation::Computation;

/// Cuts rows into groups of consecutive rows, each with at most about `max_tokens` tokens and
/// `max_size` rows. Groups keep the order of the rows, so that a task that must end has finished
/// the first rows of its shard.
///
/// Nothing is padded, so the lengths in a group may differ. The exact number of tokens is known
/// only after tokenizing; the length of the texts is a good enough estimate.
pub(crate) fn groups<C: Computation>(
    rows: &[Result<C::Example, RowError>],
    max_tokens: usize,
    max_size: usize,
) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let mut tokens = 0;
    for (index, row) in rows.iter().enumerate() {
        // A bad row is not computed, so it costs nothing.
        let own = row.as_ref().map_or(0, C::estimated_tokens);
        match groups.last_mut() {
            Some(group) if tokens + own <= max_tokens && group.len() < max_size => {
                tokens += own;
                group.end = index + 1;
            }
            _ => {
                tokens = own;
                groups.push(index..index + 1);
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use whence_engine::Example;

    use super::*;
    use crate::computation::attributing::Attributing;

    fn of_length(id: i64, bytes: usize) -> Example {
        Example::new(id, &"x".repeat(bytes)).with_generated_text("")
    }

    #[test]
    fn groups_are_consecutive_rows_within_the_budget() {
        let rows = [
            Ok(of_length(0, 40)),
            Ok(of_length(1, 8)),
            Err(RowError::new("unreadable_row", "")),
            Ok(of_length(3, 400)),
            Ok(of_length(4, 8)),
        ];
        let groups = groups::<Attributing>;
        assert_eq!(groups(&rows, 30, 64), [0..3, 3..4, 4..5]);
        assert_eq!(groups(&rows, 1000, 2), [0..2, 2..4, 4..5]);
    }
}
