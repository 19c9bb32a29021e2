//! Where ranges of files are kept in one file of fixed size. The oldest ranges make room.
//!
//! Pieces are placed one behind the other, and from the start again when the end is reached. This
//! module only does the bookkeeping; it never touches a disk.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

/// What tells one version of a file from every other file: the digest of its address and contents.
pub(super) type FileKey = [u8; 32];

/// A piece of a file that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    /// Where it starts and ends in the file it is from.
    pub(super) start: u64,
    pub(super) end: u64,
    /// Where it is kept.
    pub(super) at: u64,
}

/// The pieces that are kept.
#[derive(Debug)]
pub(super) struct Ring {
    capacity: u64,
    /// Where the next piece is placed.
    head: u64,
    pieces: BTreeMap<(FileKey, u64), Piece>,
    /// All pieces from the oldest to the newest.
    order: VecDeque<(FileKey, Piece)>,
}

impl Ring {
    pub(super) fn new(capacity: u64) -> Self {
        Self {
            capacity,
            head: 0,
            pieces: BTreeMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Finds a place for the bytes in `range` of a file, and forgets the pieces that were there.
    /// Returns `None` if there are none, or more than can be kept at all.
    pub(super) fn place(&mut self, key: FileKey, range: &Range<u64>) -> Option<Piece> {
        let length = range.end - range.start;
        if length == 0 || length > self.capacity {
            return None;
        }
        if self.head + length > self.capacity {
            self.forget(self.head..self.capacity);
            self.head = 0;
        }
        let at = self.head;
        self.head += length;
        self.forget(at..self.head);
        let (start, end) = (range.start, range.end);
        let piece = Piece { start, end, at };
        self.pieces.insert((key, start), piece);
        self.order.push_back((key, piece));
        Some(piece)
    }

    /// Returns the piece that holds the byte at `position` of a file.
    pub(super) fn find(&self, key: FileKey, position: u64) -> Option<Piece> {
        let ((of_file, _), piece) = self.pieces.range(..=(key, position)).next_back()?;
        (*of_file == key && position < piece.end).then_some(*piece)
    }

    /// Returns where the first piece of a file after `position` starts.
    pub(super) fn next_start(&self, key: FileKey, position: u64) -> Option<u64> {
        let after = (key, position + 1)..=(key, u64::MAX);
        let ((_, start), _) = self.pieces.range(after).next()?;
        Some(*start)
    }

    /// Forgets the oldest pieces as long as they are kept in `place`.
    fn forget(&mut self, place: Range<u64>) {
        while let Some((key, oldest)) = self.order.front().copied() {
            if !place.contains(&oldest.at) {
                break;
            }
            self.order.pop_front();
            // A newer piece with the same start may have replaced it.
            if self.pieces.get(&(key, oldest.start)) == Some(&oldest) {
                self.pieces.remove(&(key, oldest.start));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: FileKey = [1; 32];
    const B: FileKey = [2; 32];

    fn at(ring: &Ring, key: FileKey, position: u64) -> Option<u64> {
        let piece = ring.find(key, position)?;
        Some(piece.at + position - piece.start)
    }

    #[test]
    fn a_byte_is_found_where_its_piece_was_placed() {
        let mut ring = Ring::new(100);
        ring.place(A, &(10..20)).unwrap();
        ring.place(B, &(10..15)).unwrap();
        ring.place(A, &(30..40)).unwrap();
        assert_eq!(at(&ring, A, 9), None);
        assert_eq!(at(&ring, A, 10), Some(0));
        assert_eq!(at(&ring, A, 19), Some(9));
        assert_eq!(at(&ring, A, 20), None);
        assert_eq!(at(&ring, B, 12), Some(12));
        assert_eq!(at(&ring, A, 35), Some(20));
        assert_eq!(ring.next_start(A, 9), Some(10));
        assert_eq!(ring.next_start(A, 10), Some(30));
        assert_eq!(ring.next_start(A, 30), None);
        assert_eq!(ring.next_start(B, 10), None);
    }

    #[test]
    fn the_oldest_pieces_make_room() {
        let mut ring = Ring::new(25);
        for start in [0, 10, 20, 30] {
            ring.place(A, &(start..start + 10)).unwrap();
        }
        // The third piece did not fit behind the second, so it took the place of the first, and
        // the fourth that of the second.
        let kept: Vec<_> = [0, 10, 20, 30].map(|start| at(&ring, A, start)).into();
        assert_eq!(kept, [None, None, Some(0), Some(10)]);
        assert_eq!(ring.place(A, &(0..26)), None);
        assert_eq!(ring.place(B, &(0..25)).unwrap().at, 0);
        assert_eq!(at(&ring, A, 30), None);
    }

    /// Compares the ring with a plain list of what was written to each byte.
    #[test]
    fn no_byte_is_ever_found_where_another_was_written_since() {
        let mut ring = Ring::new(64);
        let mut written: Vec<Option<(FileKey, u64)>> = vec![None; 64];
        for step in 0..2000_u64 {
            let key = if step % 3 == 0 { A } else { B };
            let start = step * 7 % 40;
            let range = start..start + 1 + step * 11 % 20;
            let piece = ring.place(key, &range).unwrap();
            for position in range {
                written[(piece.at + position - start) as usize] = Some((key, position));
            }
            for (key, position) in [A, B]
                .into_iter()
                .flat_map(|key| (0..64).map(move |p| (key, p)))
            {
                if let Some(at) = at(&ring, key, position) {
                    assert_eq!(written[at as usize], Some((key, position)), "step {step}");
                }
            }
        }
    }
}
