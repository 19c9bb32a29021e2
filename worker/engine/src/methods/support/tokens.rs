//! Operations on the rows of one sequence's tokens.

use crate::Error;
use crate::kernels::{Tensor, rows};
use crate::model::Embedded;

/// Returns the rows of `embedded` that belong to the first `len` tokens of sequence `index`.
pub(in crate::methods) fn tokens_of(
    embedded: &Embedded,
    index: usize,
    len: usize,
) -> Result<Tensor, Error> {
    Ok(embedded
        .rows
        .narrow(0, embedded.sequences.rows(index).start, len)?)
}

/// Returns the element-wise product `a ⊙ b`. `[tokens, hidden]`
pub(in crate::methods) fn multiply(a: &Tensor, b: &Tensor) -> Result<Tensor, Error> {
    Ok(rows::multiply(a, b)?)
}
