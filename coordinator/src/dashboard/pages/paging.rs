//! Long lists in pages.

use std::ops::Range;

use crate::dashboard::figures;

/// Which page of a list is shown, of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Paging {
    /// From 1 on.
    pub(super) page: usize,
    pub(super) pages: usize,
    first: usize,
    end: usize,
    pub(super) total: usize,
}

impl Paging {
    /// Returns the page `asked` of a list with `total` items, or the nearest one that there is.
    pub(super) fn new(asked: usize, total: usize, per_page: usize) -> Self {
        let pages = total.div_ceil(per_page).max(1);
        let page = asked.clamp(1, pages);
        let first = (page - 1) * per_page;
        Self {
            page,
            pages,
            first,
            end: (first + per_page).min(total),
            total,
        }
    }

    /// Returns the items of the page.
    pub(super) fn items(self) -> Range<usize> {
        self.first..self.end
    }

    /// Returns what the page shows, in words; `thing` is the word for one.
    pub(super) fn words(self, thing: &str) -> String {
        let Self {
            first, end, total, ..
        } = self;
        let counted = figures::counted(total as u64, thing);
        match total {
            0 => format!("no {thing}s"),
            _ if self.pages == 1 => counted,
            _ => format!("{} to {end} of {counted}", first + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_on_one_page() {
        let items: Vec<usize> = (1..=3)
            .flat_map(|page| Paging::new(page, 250, 100).items())
            .collect();
        assert_eq!(items, (0..250).collect::<Vec<_>>());
        assert_eq!(
            Paging::new(3, 250, 100).words("job"),
            "201 to 250 of 250 jobs"
        );
        // If there is no such page, the nearest one is shown.
        for (asked, found) in [(0, 1), (9, 3), (usize::MAX, 3)] {
            assert_eq!(Paging::new(asked, 250, 100).page, found);
        }
        let empty = Paging::new(1, 0, 100);
        assert_eq!(
            (empty.items(), empty.words("job")),
            (0..0, "no jobs".to_owned())
        );
        assert_eq!(Paging::new(1, 1, 100).words("job"), "1 job");
    }
}
