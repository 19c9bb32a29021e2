//! Parquet files: only the columns and row groups that are needed are read, in batches of a few
//! hundred rows.
//!
//! The decoder says which bytes it needs next, so that a file across the network is read by a few
//! large ranges instead of page by page. What is in memory at a time is the compressed columns of
//! one row group.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use parquet::DecodeResult;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::push_decoder::{ParquetPushDecoder, ParquetPushDecoderBuilder};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaDataPushDecoder};

use super::batches::{BatchRows, Batches, damaged, guarded};
use super::columnar::Places;
use crate::Error;
use crate::content::{SharedContent, unreadable};
use crate::field::FieldPath;
use crate::format::{Format, RowReader};

/// What errors call a file.
const FORMAT: &str = "Parquet";

/// Rows decoded at a time. Few enough that a batch of long texts does not take much memory.
const BATCH_ROWS: usize = 256;

/// Bytes at the end of a file that are read at first. They hold the metadata of most files, so that
/// it takes one request.
const TAIL_BYTES: u64 = 64 << 10;

/// Ranges that are this close to each other are read as one, because a request costs more than the
/// bytes between them.
const MAX_GAP_BYTES: u64 = 16 << 10;

/// The Parquet format. An offset in its files is a row number.
#[derive(Debug)]
pub(super) struct Parquet;

impl Format for Parquet {
    fn open(
        &self,
        content: &SharedContent,
        offset: u64,
        fields: &[FieldPath],
    ) -> Result<Box<dyn RowReader>, Error> {
        let metadata = metadata(content)?;
        let schema = metadata.schema().clone();
        let places = Places::find(fields, &schema);
        let mask = projection(&metadata, &places);
        let (groups, passed) = groups_from(&metadata, offset);
        let decoder = ParquetPushDecoderBuilder::new_with_metadata(metadata)
            .with_row_groups(groups)
            // Counted from the first of the chosen row groups.
            .with_offset((offset - passed) as usize)
            .with_projection(mask)
            .with_batch_size(BATCH_ROWS);
        let batches = ParquetBatches {
            content: SharedContent::clone(content),
            decoder: guarded(content, FORMAT, || decoder.build())?,
        };
        Ok(Box::new(BatchRows::new(batches, schema, places, offset)))
    }

    fn count(&self, content: &SharedContent) -> Result<u64, Error> {
        let metadata = metadata(content)?;
        Ok(metadata.metadata().file_metadata().num_rows() as u64)
    }
}

/// Reads the end of the file, which says where everything is.
fn metadata(content: &SharedContent) -> Result<ArrowReaderMetadata, Error> {
    let length = content.num_bytes();
    let decoder = guarded(content, FORMAT, || {
        ParquetMetaDataPushDecoder::try_new(length)
    });
    let mut decoder = decoder?.with_page_index_policy(PageIndexPolicy::Skip);
    let mut wanted: Vec<Range<u64>> = Vec::new();
    wanted.push(length.saturating_sub(TAIL_BYTES)..length);
    loop {
        for range in wanted {
            let bytes = read_range(content, &range)?;
            guarded(content, FORMAT, || decoder.push_range(range, bytes))?;
        }
        match guarded(content, FORMAT, || decoder.try_decode())? {
            DecodeResult::NeedsData(ranges) => wanted = ranges,
            DecodeResult::Data(metadata) => {
                let options = ArrowReaderOptions::new();
                return guarded(content, FORMAT, || {
                    ArrowReaderMetadata::try_new(Arc::new(metadata), options)
                });
            }
            DecodeResult::Finished => return Err(damaged(content, FORMAT, "it has no metadata")),
        }
    }
}

/// Reads a range that the file itself names, and that may therefore lie outside of it.
fn read_range(content: &SharedContent, range: &Range<u64>) -> Result<Bytes, Error> {
    if range.end > content.num_bytes() || range.start > range.end {
        let reason = format!("it ends before byte {}", range.end);
        return Err(damaged(content, FORMAT, &reason));
    }
    content
        .read_range(range.clone())
        .map_err(unreadable(content))
}

/// Selects the leaf columns in which the fields lie: of a struct only the children that are asked
/// for, of lists and maps everything.
fn projection(metadata: &ArrowReaderMetadata, places: &Places) -> ProjectionMask {
    let leaves = metadata.parquet_schema().columns().iter().enumerate();
    let wanted = leaves.filter(|(_, leaf)| places.needs_leaf(leaf.path().parts()));
    ProjectionMask::leaves(metadata.parquet_schema(), wanted.map(|(leaf, _)| leaf))
}

/// Returns the row groups from the one that holds row `offset` onward, and how many rows come
/// before the first of them.
fn groups_from(metadata: &ArrowReaderMetadata, offset: u64) -> (Vec<usize>, u64) {
    let mut passed = 0;
    let groups = metadata.metadata().row_groups();
    for (index, group) in groups.iter().enumerate() {
        let rows = group.num_rows() as u64;
        if passed + rows > offset {
            return ((index..groups.len()).collect(), passed);
        }
        passed += rows;
    }
    (Vec::new(), offset)
}

struct ParquetBatches {
    content: SharedContent,
    decoder: ParquetPushDecoder,
}

impl Batches for ParquetBatches {
    fn next(&mut self) -> Result<Option<RecordBatch>, Error> {
        loop {
            match guarded(&self.content, FORMAT, || self.decoder.try_decode())? {
                DecodeResult::Data(batch) => return Ok(Some(batch)),
                DecodeResult::NeedsData(ranges) => self.fetch(&ranges)?,
                DecodeResult::Finished => return Ok(None),
            }
        }
    }
}

impl ParquetBatches {
    /// Gives the decoder the bytes that it asked for.
    fn fetch(&mut self, ranges: &[Range<u64>]) -> Result<(), Error> {
        for together in coalesced(ranges) {
            let bytes = read_range(&self.content, &together)?;
            let within =
                |range: &&Range<u64>| together.start <= range.start && range.end <= together.end;
            for range in ranges.iter().filter(within) {
                let from = (range.start - together.start) as usize;
                let to = (range.end - together.start) as usize;
                let part = bytes.slice(from..to);
                guarded(&self.content, FORMAT, || {
                    self.decoder.push_range(range.clone(), part)
                })?;
            }
        }
        Ok(())
    }
}

/// Joins ranges that lie close together.
fn coalesced(ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable_by_key(|range| range.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in sorted {
        match joined.last_mut() {
            Some(last) if range.start <= last.end + MAX_GAP_BYTES => {
                last.end = last.end.max(range.end);
            }
            _ => joined.push(range),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::single_range_in_vec_init, reason = "one range is meant")]
    fn ranges_that_lie_close_together_are_one_request() {
        assert_eq!(coalesced(&[10..20, 0..10]), [0..20]);
        let far = 20 + MAX_GAP_BYTES + 1;
        assert_eq!(coalesced(&[0..20, far..far + 5]), [0..20, far..far + 5]);
    }
}
