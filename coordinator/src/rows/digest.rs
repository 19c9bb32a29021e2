//! The digest of a shard's rows, which the plan pins.
//!
//! It covers the cells that the job reads, not the bytes of the file. Only then is it the same for
//! every format and compression, and only then can it be checked without reading the rest of the
//! file: what is attributed is what was planned.

use whence_datasets::{Cell, Row};

/// Computes the digest of consecutive rows.
#[derive(Debug, Default)]
pub(super) struct RowsDigest(blake3::Hasher);

impl RowsDigest {
    /// Adds the next row.
    pub(super) fn add(&mut self, row: &Row) {
        let Ok(cells) = row else {
            // Messages may change from release to release, so that they cannot be pinned.
            self.0.update(&[0]);
            return;
        };
        self.0
            .update(&[1])
            .update(&(cells.len() as u64).to_le_bytes());
        for cell in cells {
            let (kind, text) = match cell {
                Cell::Absent => (0, ""),
                Cell::Null => (1, ""),
                Cell::Text(text) => (2, text.as_str()),
                Cell::Json(text) => (3, text.as_str()),
                Cell::Other(text) => (4, text.as_str()),
            };
            // The length marks where the text ends, so that no character can move to the next cell.
            self.0
                .update(&[kind])
                .update(&(text.len() as u64).to_le_bytes())
                .update(text.as_bytes());
        }
    }

    /// Returns the digest of the rows so far, in hexadecimal.
    pub(super) fn finish(&self) -> String {
        self.0.finalize().to_hex().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(rows: &[Row]) -> String {
        let mut digest = RowsDigest::default();
        for row in rows {
            digest.add(row);
        }
        digest.finish()
    }

    #[test]
    fn rows_that_differ_anywhere_have_other_digests() {
        let text = |text: &str| Cell::Text(text.to_owned());
        let different = [
            vec![],
            vec![Err("a".to_owned())],
            vec![Ok(vec![])],
            vec![Ok(vec![text("ab"), text("c")])],
            vec![Ok(vec![text("a"), text("bc")])],
            vec![Ok(vec![text("ab")]), Ok(vec![text("c")])],
            vec![Ok(vec![text("")])],
            vec![Ok(vec![Cell::Null])],
            vec![Ok(vec![Cell::Absent])],
            vec![Ok(vec![Cell::Json("1".to_owned())])],
            vec![Ok(vec![Cell::Other("1".to_owned())])],
            vec![Ok(vec![text("1")])],
        ];
        let digests: std::collections::BTreeSet<_> =
            different.iter().map(|rows| digest(rows)).collect();
        assert_eq!(digests.len(), different.len());
        let reworded = [Err("b".to_owned())];
        assert_eq!(digest(&reworded), digest(&different[1]));
    }
}
