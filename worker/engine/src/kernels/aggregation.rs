//! The aggregation functions: each makes one number of several. The names are Inseq's.
//!
//! What they do to numbers in main memory is their definition; `reduction` applies them to tensors.

use serde::{Deserialize, Serialize};

/// Makes one number of several. What is not a number is passed on, except by [`Reduction::AbsMax`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reduction {
    /// `vnorm`: the length of the vector.
    VNorm,
    /// `mean`: the arithmetic mean.
    Mean,
    /// `sum`: the sum.
    Sum,
    /// `prod`: the product.
    Prod,
    /// `min`: the smallest.
    Min,
    /// `max`: the largest.
    Max,
    /// `absmax`: the one farthest from zero, with its sign; the first of several. What is not a
    /// number counts as zero.
    AbsMax,
}

impl Reduction {
    /// Reduces `values`, at least one number. `order` is that of the norm.
    pub fn reduce(self, values: &[f64], order: f64) -> f64 {
        let pick = |better: fn(f64, f64) -> bool| {
            let first = values.iter().copied().reduce(|best, v| {
                let is_better = better(v, best) || (v.is_nan() && !best.is_nan());
                if is_better { v } else { best }
            });
            first.unwrap_or(f64::NAN)
        };
        match self {
            Self::VNorm => norm(values, order),
            Self::Mean => values.iter().sum::<f64>() / values.len() as f64,
            Self::Sum => values.iter().sum(),
            Self::Prod => values.iter().product(),
            Self::Min => pick(|value, best| value < best),
            Self::Max => pick(|value, best| value > best),
            Self::AbsMax => {
                let size = |v: f64| if v.is_nan() { 0.0 } else { v.abs() };
                let far = values.iter().copied().reduce(|far, v| {
                    // The first of several equally far: later ones must be strictly farther.
                    if size(v) > size(far) { v } else { far }
                });
                far.unwrap_or(f64::NAN)
            }
        }
    }
}

/// Which entries of an axis become one number, and how.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AxisReduction {
    /// Numbers of the entries, in the order in which they are reduced.
    pub(crate) entries: Vec<usize>,
    /// What makes one number of them; `None` takes the first as it is.
    pub(crate) by: Option<Reduction>,
    /// Order of the norm.
    pub(crate) order: f64,
}

impl AxisReduction {
    /// Returns the number that rows of `values`, each `axis` long, become.
    pub(crate) fn of_rows<T: Copy>(
        &self,
        values: &[T],
        axis: usize,
        to_double: impl Fn(T) -> f64,
    ) -> Vec<f64> {
        let mut chosen = Vec::with_capacity(self.entries.len());
        let number_of = |row: &[T]| {
            chosen.clear();
            chosen.extend(self.entries.iter().map(|&entry| to_double(row[entry])));
            match self.by {
                Some(reduction) => reduction.reduce(&chosen, self.order),
                None => chosen[0],
            }
        };
        values.chunks_exact(axis.max(1)).map(number_of).collect()
    }
}

/// Returns `(Σ|v|ᵖ)^(1/p)`; the largest absolute value for an infinite `order`, the number of
/// values that are not zero for order 0.
fn norm(values: &[f64], order: f64) -> f64 {
    let sizes = values.iter().map(|v| v.abs());
    if order == 2.0 {
        return values.iter().map(|v| v * v).sum::<f64>().sqrt();
    }
    if order == 1.0 {
        return sizes.sum();
    }
    if order == 0.0 {
        return values.iter().filter(|v| **v != 0.0).count() as f64;
    }
    if order == f64::INFINITY {
        return sizes.fold(0.0, f64::max);
    }
    sizes
        .map(|size| size.powf(order))
        .sum::<f64>()
        .powf(1.0 / order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reduces_as_its_name_says() {
        let values = [1.0, -4.0, 2.0, 4.0];
        let expected = [
            (Reduction::VNorm, 37.0_f64.sqrt()),
            (Reduction::Mean, 0.75),
            (Reduction::Sum, 3.0),
            (Reduction::Prod, -32.0),
            (Reduction::Min, -4.0),
            (Reduction::Max, 4.0),
            (Reduction::AbsMax, -4.0),
        ];
        for (reduction, expected) in expected {
            let found = reduction.reduce(&values, 2.0);
            assert!((found - expected).abs() < 1e-12, "{reduction:?}: {found}");
        }
    }

    #[test]
    fn a_norm_has_its_order() {
        let norm = |order| Reduction::VNorm.reduce(&[3.0, -4.0, 0.0], order);
        assert_eq!(norm(1.0), 7.0);
        assert_eq!(norm(0.0), 2.0);
        assert_eq!(norm(f64::INFINITY), 4.0);
        assert!((norm(3.0) - 91.0_f64.powf(1.0 / 3.0)).abs() < 1e-12);
    }

    #[test]
    fn only_absmax_overlooks_what_is_not_a_number() {
        let values = [1.0, f64::NAN, -2.0];
        for reduction in [
            Reduction::VNorm,
            Reduction::Mean,
            Reduction::Sum,
            Reduction::Prod,
            Reduction::Min,
            Reduction::Max,
        ] {
            assert!(reduction.reduce(&values, 2.0).is_nan(), "{reduction:?}");
        }
        assert_eq!(Reduction::AbsMax.reduce(&values, 2.0), -2.0);
    }
}
