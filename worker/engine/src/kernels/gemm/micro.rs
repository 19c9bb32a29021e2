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
use std::sync::OnceLock;

use super::super::Real;
use super::vector::{Portable, Vector};

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
            Self::Baseline => (4, 8),
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

/// One tile's share of the factors: `depth` steps of a column of `A` and a row of `B`.
///
/// Entry `(row, k)` of `A` lies at `a + row · a_row_stride + k · a_step`, that of row `k` of `B`, as
/// long as the tile is wide, at `b + k · b_step`.
#[derive(Clone, Copy)]
pub(crate) struct Factors<T> {
    pub(crate) a: *const T,
    pub(crate) a_row_stride: usize,
    pub(crate) a_step: usize,
    pub(crate) b: *const T,
    pub(crate) b_step: usize,
    pub(crate) depth: usize,
}

impl<T> Factors<T> {
    /// Reads the entries as another type, which must be the same one.
    fn cast<U>(self) -> Factors<U> {
        let Self {
            a,
            a_row_stride,
            a_step,
            b,
            b_step,
            depth,
        } = self;
        Factors {
            a: a.cast(),
            a_row_stride,
            a_step,
            b: b.cast(),
            b_step,
            depth,
        }
    }
}

/// What becomes of the sums of a tile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Write<T> {
    /// `C = scale · sums`, whatever lay there, were it uninitialised.
    Replace(T),
    /// `C = C + scale · sums`.
    Add(T),
    /// `C = bias + sums`, where the pointer is to one entry a column.
    Bias(*const T),
}

impl<T: Real> Write<T> {
    /// Writes entries as another type, which must be the same one.
    fn cast<U: Real>(self) -> Write<U> {
        match self {
            Self::Replace(scale) => Write::Replace(U::from_f64(scale.to_f64())),
            Self::Add(scale) => Write::Add(U::from_f64(scale.to_f64())),
            Self::Bias(bias) => Write::Bias(bias.cast()),
        }
    }
}

/// Where a tile's sums go: `rows` rows of `columns` numbers, `stride` apart, from `elements` on.
/// A pointer, because the rows between may belong to other threads.
#[derive(Clone, Copy)]
pub(crate) struct Destination<T> {
    pub(crate) elements: *mut T,
    pub(crate) stride: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

impl<T> Destination<T> {
    /// Takes the entries for another type, which must be the same one.
    fn cast<U>(self) -> Destination<U> {
        let Self {
            elements,
            stride,
            rows,
            columns,
        } = self;
        Destination {
            elements: elements.cast(),
            stride,
            rows,
            columns,
        }
    }
}

/// Multiplies a tile, at most as large as that of `instructions`.
///
/// # Safety
///
/// Every entry the factors name must be valid for reads, every row of the destination for writes
/// (and initialised where it is added to) and nobody else's.
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
        if columns == 2 * V::LANES {
            for (row, sums) in sums.iter().enumerate() {
                for (half, &sum) in sums.iter().enumerate() {
                    write_register(
                        sum,
                        elements.add(row * stride + half * V::LANES),
                        half * V::LANES,
                        write,
                    );
                }
            }
        } else {
            for (row, sums) in sums.iter().enumerate() {
                write_part(*sums, elements.add(row * stride), columns, write);
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
