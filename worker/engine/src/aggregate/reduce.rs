//! The aggregators: each turns one axis into one number.

use serde::{Deserialize, Serialize};

use super::entry;
use crate::registry::{Describe, Entry};

/// Every aggregator, in the order `whence list aggregators` shows them.
pub const AGGREGATORS: &[Entry<dyn Aggregator>] = &[
    entry::<VectorNorm>(),
    entry::<Mean>(),
    entry::<Sum>(),
    entry::<Prod>(),
    entry::<Min>(),
    entry::<Max>(),
    entry::<AbsMax>(),
];

/// Turns the values along one axis into one.
pub trait Aggregator: std::fmt::Debug + Send + Sync {
    /// Reduces `values`, of which there is at least one.
    fn reduce(&self, values: &[f64]) -> f64;
}

macro_rules! aggregator {
    ($type:ident, $name:literal, $summary:literal, $values:ident => $reduced:expr) => {
        #[doc = $summary]
        #[derive(Debug, Default, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub(super) struct $type {}

        impl Describe for $type {
            const NAME: &'static str = $name;
            const SUMMARY: &'static str = $summary;
        }

        impl Aggregator for $type {
            fn reduce(&self, $values: &[f64]) -> f64 {
                $reduced
            }
        }
    };
}

aggregator!(VectorNorm, "vnorm", "Euclidean length", values => values.iter().map(|v| v * v).sum::<f64>().sqrt());
aggregator!(Mean, "mean", "arithmetic mean", values => values.iter().sum::<f64>() / values.len() as f64);
aggregator!(Sum, "sum", "sum", values => values.iter().sum());
aggregator!(Prod, "prod", "product", values => values.iter().product());
aggregator!(Min, "min", "smallest value", values => values.iter().copied().reduce(f64::min).unwrap_or(f64::NAN));
aggregator!(Max, "max", "largest value", values => values.iter().copied().reduce(f64::max).unwrap_or(f64::NAN));
aggregator!(AbsMax, "absmax", "value farthest from zero, with its sign", values => {
    // The first one of several equally far: later ones must be strictly farther.
    values.iter().copied().reduce(|far, v| if v.abs() > far.abs() { v } else { far }).unwrap_or(f64::NAN)
});

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::registry;

    #[test]
    fn each_aggregator_reduces_as_its_name_says() {
        let values = [1.0, -4.0, 2.0, 4.0];
        let expected = [37.0_f64.sqrt(), 0.75, 3.0, -32.0, -4.0, 4.0, -4.0];
        for (entry, expected) in AGGREGATORS.iter().zip(expected) {
            let aggregator = registry::build(
                AGGREGATORS,
                entry.name,
                &Map::new(),
                "aggregator",
                "aggregators",
            )
            .unwrap();
            assert!(
                (aggregator.reduce(&values) - expected).abs() < 1e-12,
                "{}",
                entry.name
            );
        }
    }
}
