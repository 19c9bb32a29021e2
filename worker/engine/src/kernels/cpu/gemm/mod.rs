//! Products of matrices, the larger part of all work.
//!
//! [`Packed`] holds a weight in the order the inner loop reads it; [`Packed::product`] multiplies
//! many rows with it on all threads. [`small_product`] multiplies strided views, as attention
//! needs, on the calling thread.
//!
//! **What must stay true:** the bits of a row of the result depend on that row of `A` and on `B`
//! alone. So the sum over `k` runs in blocks of fixed length in ascending order, threads share rows
//! and columns but never a sum, and tiles of every height add in the same order.
//!
//! The inner loop is plain Rust, compiled for several instruction sets and chosen at run time: see
//! `micro`. Source of the blocking: Goto & van de Geijn 2008, <https://doi.org/10.1145/1356052.1356053>.

mod instructions;
mod micro;
mod operands;
mod pack;
mod product;
mod small;
mod vector;

#[cfg(target_arch = "x86_64")]
pub(crate) use instructions::has_avx2;
pub(crate) use instructions::{Instructions, with_best_instructions};
pub(crate) use pack::{Halves, Packed};
pub(crate) use small::{Strided, WriteMode, small_product};
