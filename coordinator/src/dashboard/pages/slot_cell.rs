//! The grid of a job's slots.

use whence_schemas::{SlotId, SlotKind, layout};

use super::paging::Paging;
use crate::dashboard::figures::counted;
use crate::durable::manifest::Manifest;
use crate::job::{FillKind, Job, SlotState};

/// Slots on one page.
const PER_PAGE: usize = 500;

/// How a slot is shown: by a sign and a word, and only then by a color.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SlotLook {
    pub(super) word: &'static str,
    pub(super) sign: &'static str,
    /// The class of its color.
    pub(super) class: &'static str,
}

const PENDING: SlotLook = SlotLook {
    word: "pending",
    sign: "·",
    class: "pending",
};
const LEASED: SlotLook = SlotLook {
    word: "leased",
    sign: "▸",
    class: "leased",
};
const DONE: SlotLook = SlotLook {
    word: "done",
    sign: "✓",
    class: "done",
};
const WITH_ERRORS: SlotLook = SlotLook {
    word: "done with error rows",
    sign: "!",
    class: "errors",
};
const GIVEN_UP: SlotLook = SlotLook {
    word: "given up",
    sign: "×",
    class: "given-up",
};
const CLOSING: SlotLook = SlotLook {
    word: "being split or given up",
    sign: "÷",
    class: "closing",
};

/// Every look, in the order of the legend.
const LOOKS: [SlotLook; 6] = [DONE, WITH_ERRORS, GIVEN_UP, LEASED, PENDING, CLOSING];

/// A slot of the grid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SlotCell {
    pub(super) slot: SlotId,
    pub(super) look: SlotLook,
    /// What there is to say beside the look.
    pub(super) note: String,
}

/// Some slots of a job, and how many there are of each look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grid {
    pub(super) cells: Vec<SlotCell>,
    pub(super) counts: Vec<(SlotLook, u64)>,
    pub(super) paging: Paging,
}

impl Grid {
    /// Makes the grid of a job whose slots are known. Split slots have no cell; their halves do.
    pub(super) fn of_job(job: &Job, page: usize) -> Self {
        let slots = job.slots().filter_map(|(slot, state)| {
            let look = look(state)?;
            Some((slot, look, state))
        });
        let note = |slot: &SlotId, state: &SlotState| {
            let rows = job.plan().rows(slot);
            note(state, rows.map_or(0, |rows| rows.end - rows.start))
        };
        let cells = slots.map(|(slot, look, state)| {
            let cell = move || SlotCell {
                slot: slot.clone(),
                look,
                note: note(slot, state),
            };
            (look, cell)
        });
        Self::of_cells(cells, job.totals().slots as usize, page)
    }

    /// Makes the grid of a sealed job from the list of its files.
    pub(super) fn of_manifest(manifest: &Manifest, page: usize) -> Self {
        let files = manifest.files.iter().filter_map(|file| {
            let look = match file.kind {
                SlotKind::Tombstone => return None,
                SlotKind::Quarantine => GIVEN_UP,
                SlotKind::Full if file.errors > 0 => WITH_ERRORS,
                SlotKind::Full => DONE,
            };
            Some((layout::slot_of_key(&file.key)?, look, file))
        });
        let cells = files.map(|(slot, look, file)| {
            let cell = move || SlotCell {
                slot,
                look,
                note: filled_note(file.rows, file.errors),
            };
            (look, cell)
        });
        Self::of_cells(cells, manifest.totals().slots as usize, page)
    }

    /// Counts all cells, and makes those of the page.
    fn of_cells(
        cells: impl Iterator<Item = (SlotLook, impl FnOnce() -> SlotCell)>,
        total: usize,
        page: usize,
    ) -> Self {
        let paging = Paging::new(page, total, PER_PAGE);
        let mut counts = LOOKS.map(|look| (look, 0));
        let mut shown = Vec::new();
        for (index, (look, cell)) in cells.enumerate() {
            for (other, count) in &mut counts {
                *count += u64::from(*other == look);
            }
            if paging.items().contains(&index) {
                shown.push(cell());
            }
        }
        Self {
            cells: shown,
            counts: counts.to_vec(),
            paging,
        }
    }
}

/// Returns how a slot is shown; `None` for one that is split.
pub(super) fn look(state: &SlotState) -> Option<SlotLook> {
    match state {
        SlotState::Pending { .. } => Some(PENDING),
        SlotState::Leased(_) => Some(LEASED),
        SlotState::Closing(_) => Some(CLOSING),
        SlotState::Filled(fill) if fill.kind == FillKind::Quarantine => Some(GIVEN_UP),
        SlotState::Filled(fill) if fill.errors > 0 => Some(WITH_ERRORS),
        SlotState::Filled(_) => Some(DONE),
        SlotState::Split { .. } => None,
    }
}

fn note(state: &SlotState, rows: u64) -> String {
    match state {
        SlotState::Leased(leases) => {
            let most = leases.iter().map(|lease| lease.rows_done).max();
            let done = most.unwrap_or_default();
            format!("{done} of {}", counted(rows, "row"))
        }
        SlotState::Filled(fill) => filled_note(fill.rows, fill.errors),
        _ => counted(rows, "row"),
    }
}

fn filled_note(rows: u64, errors: u64) -> String {
    match errors {
        0 => counted(rows, "row"),
        _ => format!("{}, {}", counted(rows, "row"), counted(errors, "error row")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::tests::job;
    use crate::job::{Event, Fill};
    use crate::testing::{at, attempt, done, filled, slot, worker};

    #[test]
    fn every_slot_that_is_not_split_has_a_cell_with_a_sign() {
        let mut job = job(&[3, 2, 4, 5]);
        job.apply(filled(&slot(0), 3), at(1));
        let leased = Event::Renewed {
            slot: slot(1),
            attempt: attempt(7),
            worker: worker("a"),
            done: done(1, 10),
        };
        job.apply(leased, at(2));
        job.apply(
            Event::Split {
                slot: slot(2),
                bytes: 1,
            },
            at(3),
        );
        let [first, second] = slot(2).split();
        let with_errors = |slot: &SlotId, kind, rows| Event::Filled {
            slot: slot.clone(),
            fill: Fill {
                kind,
                rows,
                errors: 1,
                bytes: 9,
            },
            tokens: 0,
        };
        job.apply(with_errors(&first, FillKind::Full, 2), at(4));
        job.apply(with_errors(&second, FillKind::Quarantine, 2), at(4));
        let grid = Grid::of_job(&job, 1);
        let cells: Vec<_> = grid
            .cells
            .iter()
            .map(|cell| (cell.slot.as_str(), cell.look.sign, cell.note.as_str()))
            .collect();
        assert_eq!(
            cells,
            [
                ("p000000", "✓", "3 rows"),
                ("p000001", "▸", "1 of 2 rows"),
                ("p000002-0", "!", "2 rows, 1 error row"),
                ("p000002-1", "×", "2 rows, 1 error row"),
                ("p000003", "·", "5 rows"),
            ]
        );
        let counts: Vec<_> = grid.counts.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [1, 1, 1, 1, 1, 0]);
        // The list of the files shows the same of what is filled.
        let sealed = Grid::of_manifest(&Manifest::of(&job), 1);
        let is_filled = |cell: &&SlotCell| ![PENDING, LEASED].contains(&cell.look);
        let expected: Vec<_> = grid.cells.iter().filter(is_filled).collect();
        assert_eq!(sealed.cells.iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_page_has_some_of_the_cells_and_counts_all() {
        let job = job(&vec![1; 1200]);
        let grid = Grid::of_job(&job, 3);
        assert_eq!((grid.cells.len(), grid.paging.pages), (200, 3));
        assert_eq!(grid.cells[0].slot, slot(1000));
        assert_eq!(grid.counts[4], (PENDING, 1200));
    }

    #[test]
    fn no_two_looks_have_a_sign_or_a_word_in_common() {
        for (index, look) in LOOKS.iter().enumerate() {
            for other in &LOOKS[..index] {
                assert!(look.sign != other.sign && look.word != other.word);
            }
        }
    }
}
