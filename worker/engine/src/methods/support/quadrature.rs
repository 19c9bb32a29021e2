//! Points and weights of the integral over `[0, 1]`.

use serde::{Deserialize, Serialize};

/// One point of the interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::methods) struct Node {
    /// Position between the baseline, 0, and the input, 1.
    pub(in crate::methods) alpha: f64,
    /// Weight of the gradient there.
    pub(in crate::methods) weight: f64,
}

/// How the integral is approximated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::methods) enum Rule {
    /// Gauss–Legendre quadrature, exact for polynomials of degree up to `2n − 1`.
    #[serde(rename = "gausslegendre")]
    GaussLegendre,
    /// Left ends of equal intervals.
    #[serde(rename = "riemann_left")]
    RiemannLeft,
    /// Right ends of equal intervals.
    #[serde(rename = "riemann_right")]
    RiemannRight,
    /// Midpoints of equal intervals.
    #[serde(rename = "riemann_middle")]
    RiemannMiddle,
    /// Both ends of `n − 1` intervals, the outermost with half weight. As in Captum, the weights
    /// sum to `(n − 1) / n`.
    #[serde(rename = "riemann_trapezoid")]
    RiemannTrapezoid,
}

impl Rule {
    /// Fails if `n_steps` points are too few for the rule.
    pub(in crate::methods) fn validate(self, n_steps: usize) -> Result<(), String> {
        let least = if self == Self::GaussLegendre { 1 } else { 2 };
        if n_steps < least {
            return Err(format!(
                "`n_steps` is {n_steps}, this rule needs at least {least}"
            ));
        }
        Ok(())
    }

    /// Returns `n` points in ascending order. `n` must pass [`Self::validate`].
    pub(in crate::methods) fn points(self, n: usize) -> Vec<Node> {
        let equal = 1.0 / n as f64;
        let spaced = |first: f64, last: f64| {
            (0..n).map(move |k| Node {
                alpha: first + (last - first) * k as f64 / (n - 1) as f64,
                weight: equal,
            })
        };
        match self {
            Self::GaussLegendre => gauss_legendre(n),
            Self::RiemannLeft => spaced(0.0, 1.0 - equal).collect(),
            Self::RiemannRight => spaced(equal, 1.0).collect(),
            Self::RiemannMiddle => spaced(equal / 2.0, 1.0 - equal / 2.0).collect(),
            Self::RiemannTrapezoid => {
                let mut points: Vec<_> = spaced(0.0, 1.0).collect();
                points[0].weight /= 2.0;
                points[n - 1].weight /= 2.0;
                points
            }
        }
    }
}

/// Finds the roots of the Legendre polynomial of degree `n` by Newton's method, mapped to `[0, 1]`.
fn gauss_legendre(n: usize) -> Vec<Node> {
    /// Each iteration of Newton's method doubles the number of correct digits. From the asymptotic
    /// guess four are enough; eight leave a margin.
    const ITERATIONS: usize = 8;
    let degree = n as f64;
    let mut points: Vec<Node> = (0..n)
        .map(|k| {
            let mut x = (std::f64::consts::PI * (k as f64 + 0.75) / (degree + 0.5)).cos();
            for _ in 0..ITERATIONS {
                let (value, slope) = legendre(n, x);
                x -= value / slope;
            }
            let (_, slope) = legendre(n, x);
            Node {
                alpha: f64::midpoint(1.0, x),
                weight: 1.0 / ((1.0 - x * x) * slope * slope),
            }
        })
        .collect();
    points.sort_by(|a, b| a.alpha.total_cmp(&b.alpha));
    points
}

/// Returns the Legendre polynomial of degree `n` and its derivative at `x`, by the three-term recurrence.
fn legendre(n: usize, x: f64) -> (f64, f64) {
    let (mut previous, mut current) = (1.0, x);
    for k in 2..=n {
        let k = k as f64;
        (previous, current) = (
            current,
            ((2.0 * k - 1.0) * x * current - (k - 1.0) * previous) / k,
        );
    }
    (current, n as f64 * (x * current - previous) / (x * x - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauss_legendre_is_exact_for_its_degree() {
        for n in 1..=60 {
            let points = Rule::GaussLegendre.points(n);
            let degree = 2 * n - 1;
            let sum: f64 = points
                .iter()
                .map(|p| p.weight * p.alpha.powi(degree as i32))
                .sum();
            let integral = 1.0 / (degree + 1) as f64;
            assert!(
                (sum - integral).abs() < 1e-13,
                "{n} points: {sum} against {integral}"
            );
        }
    }

    #[test]
    fn riemann_rules_have_their_ends_and_weights() {
        let ends = |rule: Rule| {
            let points = rule.points(4);
            (
                points[0].alpha,
                points[3].alpha,
                points.iter().map(|p| p.weight).sum::<f64>(),
            )
        };
        assert_eq!(ends(Rule::RiemannLeft), (0.0, 0.75, 1.0));
        assert_eq!(ends(Rule::RiemannRight), (0.25, 1.0, 1.0));
        assert_eq!(ends(Rule::RiemannMiddle), (0.125, 0.875, 1.0));
        assert_eq!(ends(Rule::RiemannTrapezoid), (0.0, 1.0, 0.75));
    }

    #[test]
    fn too_few_points_are_refused() {
        assert!(Rule::GaussLegendre.validate(0).is_err());
        assert!(Rule::RiemannLeft.validate(1).is_err());
    }
}
