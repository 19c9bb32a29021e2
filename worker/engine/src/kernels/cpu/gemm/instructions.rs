//! Which instructions the processor has, found out once when the program runs.

use std::any::TypeId;
use std::sync::OnceLock;

use crate::kernels::cpu::real::Real;

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
    /// Returns the best the processor has.
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

    /// Returns the name by which a job asks for processors like this one.
    pub(crate) fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            Self::Baseline => "baseline",
        }
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

/// Calls `function`, which must be `#[inline(always)]`, compiled for the best instructions there are.
macro_rules! with_best_instructions {
    ($function:ident::<$T:ident>($($argument:ident: $type:ty),*)) => {{
        #[cfg(target_arch = "x86_64")]
        {
            #[target_feature(enable = "avx2,fma")]
            fn with_avx2<$T: $crate::kernels::cpu::Real>($($argument: $type),*) {
                $function::<$T>($($argument),*);
            }
            if $crate::kernels::cpu::gemm::has_avx2() {
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
