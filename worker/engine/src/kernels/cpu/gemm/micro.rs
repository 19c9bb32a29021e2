//! The inner loop: a tile of `MR × NR` sums, kept in registers.
//!
//! One function in plain Rust serves every instruction set: compiled with AVX2 or AVX-512 enabled,
//! the compiler turns the loop over columns into vector instructions of that width. The tile is
//! chosen so that its sums, one row of `B` and one entry of `A` fill the registers.

#![expect(
    unsafe_code,
    reason = "functions compiled for an instruction set are unsafe to call without it"
)]

use std::any::TypeId;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m256, __m256d, __m512, __m512d};

use super::instructions::Instructions;
use super::operands::{Destination, Factors, Write};
use super::vector::{Portable, Vector};
use crate::kernels::cpu::real::Real;

/// Multiplies a tile, at most as large as that of `instructions`.
///
/// # Safety
///
/// Every entry the factors name must be valid for reads, every row of the destination for writes
/// (and initialized if it is added to) and nobody else's.
pub(crate) unsafe fn multiply<T: Real>(
    instructions: Instructions,
    factors: Factors<T>,
    destination: Destination<T>,
    write: Write<T>,
) {
    if TypeId::of::<T>() == TypeId::of::<f32>() {
        let (factors, destination, write) =
            (factors.cast::<f32>(), destination.cast(), write.cast());
        // SAFETY: `Instructions::best` names only what the processor has; the rest is the caller's promise.
        unsafe {
            match instructions {
                #[cfg(target_arch = "x86_64")]
                Instructions::Avx512 => avx512::<__m512>(factors, destination, write),
                #[cfg(target_arch = "x86_64")]
                Instructions::Avx2 => avx2::<__m256>(factors, destination, write),
                Instructions::Baseline => baseline::<Portable<f32>>(factors, destination, write),
            }
        }
    } else {
        let (factors, destination, write) =
            (factors.cast::<f64>(), destination.cast(), write.cast());
        // SAFETY: as above.
        unsafe {
            match instructions {
                #[cfg(target_arch = "x86_64")]
                Instructions::Avx512 => avx512::<__m512d>(factors, destination, write),
                #[cfg(target_arch = "x86_64")]
                Instructions::Avx2 => avx2::<__m256d>(factors, destination, write),
                Instructions::Baseline => baseline::<Portable<f64>>(factors, destination, write),
            }
        }
    }
}

/// Picks the function for a height, so that the loop over rows disappears. A row's sums are the
/// same in a tile of any height.
macro_rules! by_height {
    ($V:ident, $factors:ident, $destination:ident, $write:ident; $($rows:literal)*) => {
        match $destination.rows {
            // SAFETY: the caller's promise.
            $($rows => unsafe { tile::<$V, $rows>($factors, $destination, $write) },)*
            rows => unreachable!("a tile of {rows} rows"),
        }
    };
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma")]
unsafe fn avx512<V: Vector>(
    factors: Factors<V::Element>,
    destination: Destination<V::Element>,
    write: Write<V::Element>,
) {
    by_height!(V, factors, destination, write; 1 2 3 4 5 6 7 8 9 10 11 12);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<V: Vector>(
    factors: Factors<V::Element>,
    destination: Destination<V::Element>,
    write: Write<V::Element>,
) {
    by_height!(V, factors, destination, write; 1 2 3 4 5 6);
}

unsafe fn baseline<V: Vector>(
    factors: Factors<V::Element>,
    destination: Destination<V::Element>,
    write: Write<V::Element>,
) {
    by_height!(V, factors, destination, write; 1 2 3 4);
}

/// Sums `ROWS` rows, two registers wide, and writes those columns the destination has.
#[inline(always)]
unsafe fn tile<V: Vector, const ROWS: usize>(
    factors: Factors<V::Element>,
    destination: Destination<V::Element>,
    write: Write<V::Element>,
) {
    let Destination {
        elements,
        stride,
        columns,
        ..
    } = destination;
    for row in 0..ROWS {
        // The sums take long enough for the rows they go to to arrive.
        prefetch(elements.wrapping_add(row * stride));
        prefetch(elements.wrapping_add(row * stride + columns - 1));
    }
    let Factors {
        mut a,
        a_row_stride,
        a_step,
        mut b,
        b_step,
        depth,
    } = factors;
    // SAFETY: the caller's promise: `A` has entry `(row, k)`, row `k` of `B` two registers of
    // entries, and so has the destination, which lies in its `rows` and `columns`.
    unsafe {
        let mut sums = [[V::splat(V::Element::default()); 2]; ROWS];
        for _ in 0..depth {
            let (left, right) = (V::load(b), V::load(b.add(V::LANES)));
            for (row, sums) in sums.iter_mut().enumerate() {
                let a = V::splat(*a.add(row * a_row_stride));
                *sums = [V::fused(a, left, sums[0]), V::fused(a, right, sums[1])];
            }
            (a, b) = (a.wrapping_add(a_step), b.wrapping_add(b_step));
        }
        write_tile(&sums, destination, write);
    }
}

/// Writes the sums of a tile to those columns the destination has.
#[inline(always)]
unsafe fn write_tile<V: Vector, const ROWS: usize>(
    sums: &[[V; 2]; ROWS],
    destination: Destination<V::Element>,
    write: Write<V::Element>,
) {
    let Destination {
        elements,
        stride,
        columns,
        ..
    } = destination;
    for (row, sums) in sums.iter().enumerate() {
        // SAFETY: the caller's promise: the destination has `ROWS` rows of `columns` numbers.
        unsafe {
            let out = elements.add(row * stride);
            if columns < 2 * V::LANES {
                write_part(*sums, out, columns, write);
                continue;
            }
            for (half, &sum) in sums.iter().enumerate() {
                let first = half * V::LANES;
                write_register(sum, out.add(first), first, write);
            }
        }
    }
}

/// Writes the sums of columns `first..` of the tile to `out`.
#[inline(always)]
unsafe fn write_register<V: Vector>(
    sum: V,
    out: *mut V::Element,
    first: usize,
    write: Write<V::Element>,
) {
    // SAFETY: the caller's promise: row and bias have the columns.
    unsafe {
        match write {
            Write::Replace(scale) => V::multiply(V::splat(scale), sum),
            Write::Add(scale) => V::add(V::load(out), V::multiply(V::splat(scale), sum)),
            Write::Bias(bias) => V::add(V::load(bias.add(first)), sum),
        }
        .store(out);
    }
}

/// Writes the first `columns` sums of a row, with the arithmetic of [`write_register`].
#[inline(never)]
unsafe fn write_part<V: Vector>(
    sums: [V; 2],
    out: *mut V::Element,
    columns: usize,
    write: Write<V::Element>,
) {
    // SAFETY: the caller's promise: row and bias have the columns; two registers are as many
    // numbers.
    unsafe {
        let sums = std::slice::from_raw_parts(sums.as_ptr().cast::<V::Element>(), columns);
        for (column, &sum) in sums.iter().enumerate() {
            let out = out.add(column);
            *out = match write {
                Write::Replace(scale) => scale * sum,
                Write::Add(scale) => *out + scale * sum,
                Write::Bias(bias) => *bias.add(column) + sum,
            };
        }
    }
}

/// Asks for the cache line at `address`, which need not be valid.
#[inline(always)]
pub(crate) fn prefetch<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch never faults.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
