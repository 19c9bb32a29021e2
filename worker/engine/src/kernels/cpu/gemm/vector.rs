//! Registers full of numbers.
//!
//! The compiler finds vector instructions for the inner loop on good days only, so they are
//! spelled out here, and the inner loop is written once for all of them.

#![expect(
    unsafe_code,
    reason = "the instructions of a processor are unsafe to use without it"
)]

use crate::kernels::cpu::real::Real;

/// A register of [`Self::LANES`] numbers.
///
/// # Safety
///
/// Every function needs a processor with the instructions, and a pointer that is valid for as many
/// numbers. All must be inlined into a function compiled for those instructions.
pub(super) trait Vector: Copy {
    type Element: Real;
    const LANES: usize;

    /// Returns `x` in every lane.
    unsafe fn splat(x: Self::Element) -> Self;
    unsafe fn load(from: *const Self::Element) -> Self;
    unsafe fn store(self, to: *mut Self::Element);
    /// Returns `a · b + c`, rounded once where the processor can.
    unsafe fn fused(a: Self, b: Self, c: Self) -> Self;
    unsafe fn multiply(a: Self, b: Self) -> Self;
    unsafe fn add(a: Self, b: Self) -> Self;
}

/// Numbers for a processor of which nothing is known.
#[derive(Clone, Copy)]
pub(super) struct Portable<T>([T; 4]);

impl<T: Real> Vector for Portable<T> {
    type Element = T;
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn splat(x: T) -> Self {
        Self([x; 4])
    }

    #[inline(always)]
    unsafe fn load(from: *const T) -> Self {
        // SAFETY: the caller's promise: four numbers can be read.
        Self(unsafe { *from.cast() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut T) {
        // SAFETY: the caller's promise: four numbers can be written.
        unsafe { *to.cast() = self.0 };
    }

    #[inline(always)]
    unsafe fn fused(a: Self, b: Self, c: Self) -> Self {
        // Rounding once without the instruction is a slow function call.
        let has_instruction = cfg!(any(target_arch = "aarch64", target_feature = "fma"));
        let lane = |i| {
            if has_instruction {
                T::fused(a.0[i], b.0[i], c.0[i])
            } else {
                a.0[i] * b.0[i] + c.0[i]
            }
        };
        Self(std::array::from_fn(lane))
    }

    #[inline(always)]
    unsafe fn multiply(a: Self, b: Self) -> Self {
        Self(std::array::from_fn(|i| a.0[i] * b.0[i]))
    }

    #[inline(always)]
    unsafe fn add(a: Self, b: Self) -> Self {
        Self(std::array::from_fn(|i| a.0[i] + b.0[i]))
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256, __m256d, __m512, __m512d, _mm256_add_pd, _mm256_add_ps, _mm256_fmadd_pd,
        _mm256_fmadd_ps, _mm256_loadu_pd, _mm256_loadu_ps, _mm256_mul_pd, _mm256_mul_ps,
        _mm256_set1_pd, _mm256_set1_ps, _mm256_storeu_pd, _mm256_storeu_ps, _mm512_add_pd,
        _mm512_add_ps, _mm512_fmadd_pd, _mm512_fmadd_ps, _mm512_loadu_pd, _mm512_loadu_ps,
        _mm512_mul_pd, _mm512_mul_ps, _mm512_set1_pd, _mm512_set1_ps, _mm512_storeu_pd,
        _mm512_storeu_ps,
    };

    use super::Vector;

    macro_rules! vector {
        ($register:ty, $element:ty, $splat:ident, $load:ident, $store:ident, $fused:ident, $multiply:ident, $add:ident) => {
            // SAFETY: each function's caller has the instructions and valid pointers.
            impl Vector for $register {
                type Element = $element;
                const LANES: usize = size_of::<$register>() / size_of::<$element>();

                #[inline(always)]
                unsafe fn splat(x: $element) -> Self {
                    // SAFETY: the caller's promise.
                    unsafe { $splat(x) }
                }

                #[inline(always)]
                unsafe fn load(from: *const $element) -> Self {
                    // SAFETY: the caller's promise.
                    unsafe { $load(from) }
                }

                #[inline(always)]
                unsafe fn store(self, to: *mut $element) {
                    // SAFETY: the caller's promise.
                    unsafe { $store(to, self) };
                }

                #[inline(always)]
                unsafe fn fused(a: Self, b: Self, c: Self) -> Self {
                    // SAFETY: the caller's promise.
                    unsafe { $fused(a, b, c) }
                }

                #[inline(always)]
                unsafe fn multiply(a: Self, b: Self) -> Self {
                    // SAFETY: the caller's promise.
                    unsafe { $multiply(a, b) }
                }

                #[inline(always)]
                unsafe fn add(a: Self, b: Self) -> Self {
                    // SAFETY: the caller's promise.
                    unsafe { $add(a, b) }
                }
            }
        };
    }

    #[rustfmt::skip]
    vector!(__m256, f32, _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_fmadd_ps, _mm256_mul_ps, _mm256_add_ps);
    #[rustfmt::skip]
    vector!(__m256d, f64, _mm256_set1_pd, _mm256_loadu_pd, _mm256_storeu_pd, _mm256_fmadd_pd, _mm256_mul_pd, _mm256_add_pd);
    #[rustfmt::skip]
    vector!(__m512, f32, _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_fmadd_ps, _mm512_mul_ps, _mm512_add_ps);
    #[rustfmt::skip]
    vector!(__m512d, f64, _mm512_set1_pd, _mm512_loadu_pd, _mm512_storeu_pd, _mm512_fmadd_pd, _mm512_mul_pd, _mm512_add_pd);
}
