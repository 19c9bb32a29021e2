//! The inner loop: a tile of `MR × NR` sums, kept in registers.
//!
//! One function in plain Rust serves every instruction set: compiled with AVX2 or AVX-512 enabled,
//! the compiler turns the loop over columns into vector instructions of that width. The tile is
//! chosen so that its sums, one row of `B` and one entry of `A` fill the registers.

#![expect(unsafe_code, reason = "functions compiled for an instruction set are unsafe to call without it")]

use std::any::TypeId;
use std::sync::OnceLock;

use super::super::Real;

/// What the processor can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Instructions {
    /// AVX-512: 32 registers of 64 bytes.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX2 and FMA: 16 registers of 32 bytes.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Whatever the program was compiled for.
    Baseline,
}

impl Instructions {
    /// Returns the best the processor has, found out once.
    pub(crate) fn best() -> Self {
        static BEST: OnceLock<Instructions> = OnceLock::new();
        *BEST.get_or_init(|| {
            #[cfg(target_arch = "x86_64")]
            {
                let has_fma = is_x86_feature_detected!("fma") && is_x86_feature_detected!("avx2");
                if has_fma && is_x86_feature_detected!("avx512f") {
                    return Self::Avx512;
                }
                if has_fma {
                    return Self::Avx2;
                }
            }
            Self::Baseline
        })
    }

    /// Returns the tile for numbers of type `T`.
    pub(crate) fn tile<T: Real>(self) -> Tile {
        let is_single = TypeId::of::<T>() == TypeId::of::<f32>();
        let (rows, columns) = match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => (12, if is_single { 32 } else { 16 }),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => (6, if is_single { 16 } else { 8 }),
            Self::Baseline => (4, if is_single { 8 } else { 4 }),
        };
        Tile { rows, columns }
    }
}

/// Shape of the sums kept in registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tile {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

/// What becomes of the sums of a tile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Write<T> {
    /// `C = scale · sums`.
    Replace(T),
    /// `C = C + scale · sums`.
    Add(T),
}

/// Where a tile's sums go: `rows` rows of `columns` numbers, `stride` apart, from `elements` on.
/// A pointer, because the rows between may belong to other threads.
pub(crate) struct Destination<T> {
    pub(crate) elements: *mut T,
    pub(crate) stride: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

/// Multiplies a tile of `A`, packed `[k][rows of the tile]`, with a panel of `B`, packed
/// `[k][columns of the tile]`, both for `instructions`.
///
/// # Safety
///
/// Every row of the destination must be valid for reads and writes and nobody else's.
pub(crate) unsafe fn multiply<T: Real>(
    instructions: Instructions,
    a: &[T],
    b: &[T],
    destination: Destination<T>,
    write: Write<T>,
) {
    let is_single = TypeId::of::<T>() == TypeId::of::<f32>();
    match instructions {
        // SAFETY: `Instructions::best` returns this only where the processor has AVX-512F; the rest is the caller's promise.
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512 => unsafe {
            if is_single { avx512::<T, 32>(a, b, destination, write) } else { avx512::<T, 16>(a, b, destination, write) }
        },
        // SAFETY: `Instructions::best` returns this only where the processor has AVX2 and FMA; the rest is the caller's promise.
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2 => unsafe {
            if is_single { avx2::<T, 16>(a, b, destination, write) } else { avx2::<T, 8>(a, b, destination, write) }
        },
        Instructions::Baseline => {
            if is_single {
                // SAFETY: the caller's promise.
                unsafe { heights::<T, 4, 8, false>(a, b, destination, write) };
            } else {
                // SAFETY: the caller's promise.
                unsafe { heights::<T, 4, 4, false>(a, b, destination, write) };
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma")]
unsafe fn avx512<T: Real, const NR: usize>(a: &[T], b: &[T], destination: Destination<T>, write: Write<T>) {
    // SAFETY: the caller's promise.
    unsafe { heights::<T, 12, NR, true>(a, b, destination, write) };
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<T: Real, const NR: usize>(a: &[T], b: &[T], destination: Destination<T>, write: Write<T>) {
    // SAFETY: the caller's promise.
    unsafe { heights::<T, 6, NR, true>(a, b, destination, write) };
}

/// Multiplies, sparing the rows a short tile does not have where that pays. A row's sums are the
/// same in a tile of any height.
#[inline(always)]
unsafe fn heights<T: Real, const MR: usize, const NR: usize, const FUSED: bool>(
    a: &[T],
    b: &[T],
    destination: Destination<T>,
    write: Write<T>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        match destination.rows {
            1 => tile::<T, MR, 1, NR, FUSED>(a, b, destination, write),
            2 => tile::<T, MR, 2, NR, FUSED>(a, b, destination, write),
            3 | 4 => tile::<T, MR, 4, NR, FUSED>(a, b, destination, write),
            _ => tile::<T, MR, MR, NR, FUSED>(a, b, destination, write),
        }
    }
}

/// Sums `ROWS` of the `MR` packed rows and writes those the destination has.
#[inline(always)]
unsafe fn tile<T: Real, const MR: usize, const ROWS: usize, const NR: usize, const FUSED: bool>(
    a: &[T],
    b: &[T],
    destination: Destination<T>,
    write: Write<T>,
) {
    let mut sums = [[T::zero(); NR]; ROWS];
    let (a, _) = a.as_chunks::<MR>();
    let (b, _) = b.as_chunks::<NR>();
    for (a, b) in a.iter().zip(b) {
        for row in 0..ROWS {
            for column in 0..NR {
                let sum = &mut sums[row][column];
                *sum = if FUSED { T::fused(a[row], b[column], *sum) } else { a[row] * b[column] + *sum };
            }
        }
    }
    let Destination { elements, stride, rows, columns } = destination;
    for (row, sums) in sums.iter().enumerate().take(rows) {
        // SAFETY: the row lies in the destination, which is the caller's alone.
        let out = unsafe { std::slice::from_raw_parts_mut(elements.add(row * stride), columns) };
        match write {
            Write::Replace(scale) => out.iter_mut().zip(sums).for_each(|(out, &sum)| *out = scale * sum),
            Write::Add(scale) => out.iter_mut().zip(sums).for_each(|(out, &sum)| *out += scale * sum),
        }
    }
}

/// Calls `function`, which must be `#[inline(always)]`, compiled for the best instructions there are.
macro_rules! with_best_instructions {
    ($function:ident::<$T:ident>($($argument:ident: $type:ty),*)) => {{
        #[cfg(target_arch = "x86_64")]
        {
            #[target_feature(enable = "avx2,fma")]
            fn with_avx2<$T: $crate::kernels::Real>($($argument: $type),*) {
                $function::<$T>($($argument),*);
            }
            if $crate::kernels::gemm::has_avx2() {
                #[expect(unsafe_code, reason = "calls a function compiled for AVX2")]
                // SAFETY: the processor has AVX2 and FMA, as was just asked.
                return unsafe { with_avx2::<$T>($($argument),*) };
            }
        }
        $function::<$T>($($argument),*);
    }};
}
pub(crate) use with_best_instructions;

/// Returns whether the processor has AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
pub(crate) fn has_avx2() -> bool {
    Instructions::best() != Instructions::Baseline
}
