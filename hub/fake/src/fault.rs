//! What goes wrong on demand.

use std::time::Duration;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The request is answered with this status and no explanation.
    Status(u16),
    /// The request is answered with 429, and `Retry-After` gives these seconds.
    RateLimit(u64),
    /// The request is never answered.
    Silence,
    /// The connection breaks after this many bytes of the body.
    Cut(u64),
    /// No more bytes come after this many bytes of the body.
    Stall(u64),
    /// Each piece of the body comes after this pause.
    Slow(Duration),
    /// The first byte of the body is another one.
    WrongByte,
    /// The header `Range` is ignored.
    NoRanges,
}

impl FaultKind {
    /// Returns whether the fault concerns the body of a file only.
    pub(crate) fn is_in_body(self) -> bool {
        !matches!(self, Self::Status(_) | Self::RateLimit(_) | Self::Silence)
    }
}

/// A fault in the answers to some requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    part_of_path: String,
    kind: FaultKind,
    times_left: usize,
}

impl Fault {
    /// Makes a fault in the next answer to a request whose path contains `part_of_path`.
    pub fn new(part_of_path: &str, kind: FaultKind) -> Self {
        Self {
            part_of_path: part_of_path.to_owned(),
            kind,
            times_left: 1,
        }
    }

    /// Makes the fault happen in so many answers.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times_left = times;
        self
    }

    /// Makes the fault happen in every answer.
    #[must_use]
    pub fn always(self) -> Self {
        self.times(usize::MAX)
    }
}

/// Takes the fault that is due for a request, in its body or before it.
pub(crate) fn take(faults: &mut [Fault], path: &str, in_body: bool) -> Option<FaultKind> {
    let fault = faults.iter_mut().find(|fault| {
        fault.times_left > 0
            && fault.kind.is_in_body() == in_body
            && path.contains(&fault.part_of_path)
    })?;
    fault.times_left -= 1;
    Some(fault.kind)
}
