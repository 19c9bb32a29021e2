//! The rows of one slot, compared with the plan before the first of them is used.
//!
//! A file may change under a running job. Every shard is therefore read to its end and compared
//! with the digest in the plan first. The rows of a slot are kept from this reading if they are
//! few, as they usually are. Otherwise they are read again, and compared again.

use std::ops::Range;
use std::sync::Arc;
use std::vec;

use whence_datasets::{Cell, DatasetReader, Row, RowReader};
use whence_schemas::plan::{Plan, PlannedShard};

use super::digest::RowsDigest;
use super::fields::RowFields;
use crate::Error;

/// Longest texts of a slot that are kept in memory, in bytes.
const MAX_KEPT_BYTES: usize = 4 << 20;

/// Reads the rows of one slot.
pub(super) struct VerifiedRows {
    shard: ShardFiles,
    rows: Rows,
}

enum Rows {
    Kept(vec::IntoIter<Row>),
    Again {
        reader: FileReader,
        left: u64,
        digest: Box<RowsDigest>,
        /// The digest of the slot's rows when the shard was compared.
        expected: String,
    },
}

impl VerifiedRows {
    /// Compares the rows of `shard` with the plan, and opens those of a slot, `rows`.
    ///
    /// Fails if a file cannot be read, or if its rows are not those of the plan.
    pub(super) fn open(shard: ShardFiles, rows: &Range<u64>) -> Result<Self, Error> {
        let (kept, digest) = shard.verify(rows)?;
        let rows = match kept {
            Some(kept) => Rows::Kept(kept.into_iter()),
            None => Rows::Again {
                reader: shard.reader_at(rows.start)?,
                left: rows.end - rows.start,
                digest: Box::default(),
                expected: digest,
            },
        };
        Ok(Self { shard, rows })
    }

    /// Returns the next row, or `None` after the last.
    ///
    /// Fails if a file cannot be read any further, or if it has changed since it was compared.
    pub(super) fn next(&mut self) -> Result<Option<Row>, Error> {
        let (reader, left, digest, expected) = match &mut self.rows {
            Rows::Kept(rows) => return Ok(rows.next()),
            Rows::Again { left: 0, .. } => return Ok(None),
            Rows::Again {
                reader,
                left,
                digest,
                expected,
            } => (reader, left, digest, expected),
        };
        let row = self.shard.next(reader)?;
        digest.add(&row);
        *left -= 1;
        if *left == 0 && digest.finish() != *expected {
            return Err(self.shard.changed());
        }
        Ok(Some(row))
    }

    /// Returns the fields of each row.
    pub(super) fn fields(&self) -> &RowFields {
        &self.shard.fields
    }
}

/// A planned shard, with what it takes to read it.
pub(super) struct ShardFiles {
    pub(super) files: DatasetReader,
    pub(super) plan: Arc<Plan>,
    /// Index of the shard in the plan.
    pub(super) index: usize,
    pub(super) fields: RowFields,
}

/// Where a shard is being read.
struct FileReader {
    /// Index of the file in the plan.
    file: usize,
    rows: Box<dyn RowReader>,
}

impl ShardFiles {
    /// Reads the whole shard and compares it with the plan. Returns the rows of a slot, `rows`, if
    /// they are few enough to keep, and their digest.
    fn verify(&self, rows: &Range<u64>) -> Result<(Option<Vec<Row>>, String), Error> {
        let mut reader = self.reader_at(self.shard().rows.start)?;
        let (mut of_shard, mut of_slot) = (RowsDigest::default(), RowsDigest::default());
        let mut kept = Some(Vec::new());
        let mut num_bytes = 0;
        for index in self.shard().rows.clone() {
            let row = self.next(&mut reader)?;
            of_shard.add(&row);
            if !rows.contains(&index) {
                continue;
            }
            of_slot.add(&row);
            num_bytes += num_bytes_of(&row);
            if num_bytes > MAX_KEPT_BYTES {
                kept = None;
            }
            if let Some(kept) = &mut kept {
                kept.push(row);
            }
        }
        if of_shard.finish() != self.shard().digest {
            return Err(self.changed());
        }
        Ok((kept, of_slot.finish()))
    }

    fn shard(&self) -> &PlannedShard {
        &self.plan.shards[self.index]
    }

    /// Opens the rows from `row` on. Only the start of a shard has a known position in its file, so
    /// the rows before are skipped.
    fn reader_at(&self, row: u64) -> Result<FileReader, Error> {
        let cursor = self.shard().cursor;
        let mut reader = self.open_file(cursor.file, cursor.offset)?;
        for _ in self.shard().rows.start..row {
            while !reader.rows.skip()? {
                reader = self.open_file(reader.file + 1, 0)?;
            }
        }
        Ok(reader)
    }

    fn next(&self, reader: &mut FileReader) -> Result<Row, Error> {
        loop {
            if let Some(row) = reader.rows.next()? {
                return Ok(row);
            }
            *reader = self.open_file(reader.file + 1, 0)?;
        }
    }

    /// Opens a file of the plan. Fails if the plan has no such file: the last one ended too soon.
    fn open_file(&self, file: usize, offset: u64) -> Result<FileReader, Error> {
        let Some(found) = self.plan.files.get(file) else {
            return Err(self.changed());
        };
        Ok(FileReader {
            file,
            rows: self.files.rows(found, offset, self.fields.paths())?,
        })
    }

    /// Returns the error for rows that are not those of the plan. It names the file in which the
    /// shard starts.
    fn changed(&self) -> Error {
        let start = self.shard().cursor.file;
        let name = self.plan.files.get(start).map(|file| file.path.clone());
        whence_datasets::Error::Content {
            path: name.unwrap_or_default().into(),
            reason: format!(
                "its rows {}..{} are not those that the job was submitted with",
                self.shard().rows.start,
                self.shard().rows.end
            ),
        }
        .into()
    }
}

fn num_bytes_of(row: &Row) -> usize {
    match row {
        Ok(cells) => {
            let texts = cells.iter().map(|cell| match cell {
                Cell::Text(text) | Cell::Json(text) | Cell::Other(text) => text.len(),
                Cell::Absent | Cell::Null => 0,
            });
            texts.sum()
        }
        Err(error) => error.len(),
    }
}
