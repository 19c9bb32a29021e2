//! The body of a file: a range of it, in pieces, with its faults.

use std::future::pending;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use futures::stream;

use crate::content::Content;
use crate::fault::FaultKind;

/// Bytes that are sent at a time.
const PIECE: u64 = 1 << 16;

/// How long a connection stays open after the last byte before a cut.
const FLUSH: Duration = Duration::from_millis(10);

/// A body that is being sent.
struct Sending {
    content: Content,
    next: u64,
    end: u64,
    start: u64,
    fault: Option<FaultKind>,
    sent: Arc<AtomicU64>,
}

/// Makes the body of a range.
pub(crate) fn body(
    content: &Content,
    range: Range<u64>,
    fault: Option<FaultKind>,
    sent: Arc<AtomicU64>,
) -> Body {
    let sending = Sending {
        content: content.clone(),
        next: range.start,
        start: range.start,
        end: range.end,
        fault,
        sent,
    };
    Body::from_stream(stream::unfold(sending, |mut sending| async {
        let piece = sending.piece().await.transpose()?;
        Some((piece, sending))
    }))
}

impl Sending {
    /// Returns the next piece, unless a fault comes before it.
    async fn piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        let so_far = self.next - self.start;
        let allowed = match self.fault {
            Some(FaultKind::Cut(after)) if so_far >= after => {
                // The server sends what it has while it waits; an error at once would discard it.
                tokio::time::sleep(FLUSH).await;
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            Some(FaultKind::Stall(after)) if so_far >= after => pending().await,
            Some(FaultKind::Cut(after) | FaultKind::Stall(after)) => after - so_far,
            Some(FaultKind::Slow(pause)) => {
                tokio::time::sleep(pause).await;
                PIECE
            }
            _ => PIECE,
        };
        if self.next == self.end {
            return Ok(None);
        }
        let end = self.end.min(self.next + allowed.min(PIECE));
        let mut piece = self.content.read(self.next..end)?;
        if self.fault == Some(FaultKind::WrongByte) && so_far == 0 {
            piece[0] ^= 1;
        }
        self.next = end;
        self.sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
        Ok(Some(piece))
    }
}

/// Reads the header `Range` for a file of `size` bytes: `bytes=10-19`, `bytes=10-`, `bytes=-10`.
/// Returns `None` if there are no such bytes.
pub(crate) fn parse_range(header: &str, size: u64) -> Option<Range<u64>> {
    let (first, last) = header.strip_prefix("bytes=")?.split_once('-')?;
    let range = match (first.parse().ok(), last.parse::<u64>().ok()) {
        (Some(first), Some(last)) => first..size.min(last + 1),
        (Some(first), None) => first..size,
        (None, Some(count)) => size.saturating_sub(count)..size,
        (None, None) => return None,
    };
    (range.start < range.end).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_http_defines_them() {
        let cases = [
            ("bytes=10-19", Some(10..20)),
            ("bytes=10-", Some(10..50)),
            ("bytes=-10", Some(40..50)),
            ("bytes=40-99", Some(40..50)),
            ("bytes=50-", None),
            ("bytes=-", None),
            ("10-19", None),
        ];
        for (header, expected) in cases {
            assert_eq!(parse_range(header, 50), expected, "{header}");
        }
    }
}
