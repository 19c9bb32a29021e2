//! What a sweep may cost.

use std::time::Duration;

use serde::Deserialize;

use crate::Failure;
use crate::output::{counted, grouped};

/// Limits of a sweep, and what a device costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Budget {
    /// Rows that may be left to compute when the sweep begins.
    #[serde(default)]
    pub(crate) rows: Option<u64>,
    /// Hours for which workers may compute, all of them together.
    #[serde(default)]
    pub(crate) device_hours: Option<f64>,
    /// Price of one of these hours, in whatever currency.
    #[serde(default)]
    pub(crate) device_hour_price: Option<f64>,
}

impl Budget {
    /// Fails if a limit is no amount.
    pub(super) fn check(&self) -> Result<(), Failure> {
        for (name, value) in [
            ("device_hours", self.device_hours),
            ("device_hour_price", self.device_hour_price),
        ] {
            if value.is_some_and(|value| !value.is_finite() || value < 0.0) {
                return Err(Failure::request(format!(
                    "`budget.{name}` is not an amount"
                )));
            }
        }
        Ok(())
    }

    /// Fails if the sweep would compute more rows than it may.
    pub(crate) fn check_rows(&self, left: u64) -> Result<(), Failure> {
        match self.rows {
            Some(limit) if left > limit => Err(Failure::request(format!(
                "the sweep has {} left to compute, and `budget.rows` allows {}",
                counted(left, "row"),
                grouped(limit)
            ))
            .hint("raise the budget, or leave cells out with `exclude`")),
            _ => Ok(()),
        }
    }

    /// Returns whether workers have computed for as long as they may.
    pub(crate) fn is_used_up(&self, used: Duration) -> bool {
        let hours = used.as_secs_f64() / 3600.0;
        self.device_hours.is_some_and(|limit| hours >= limit)
    }

    /// Returns what it costs if a device computes for `time`, as far as its price is known.
    pub(crate) fn price(&self, time: Duration) -> Option<f64> {
        let price = self.device_hour_price?;
        Some(price * time.as_secs_f64() / 3600.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_holds_from_itself_on() {
        let budget = Budget {
            rows: Some(10),
            device_hours: Some(0.5),
            device_hour_price: Some(4.0),
        };
        assert!(budget.check().is_ok());
        assert!(budget.check_rows(10).is_ok());
        let refused = budget.check_rows(11).unwrap_err();
        assert!(
            refused.message().contains("11 rows"),
            "{}",
            refused.message()
        );
        assert!(!budget.is_used_up(Duration::from_secs(1799)));
        assert!(budget.is_used_up(Duration::from_mins(30)));
        assert_eq!(budget.price(Duration::from_mins(15)), Some(1.0));
        let none = Budget::default();
        assert!(none.check_rows(u64::MAX).is_ok());
        assert!(!none.is_used_up(Duration::from_hours(1000)));
        assert_eq!(none.price(Duration::from_hours(1)), None);
    }

    #[test]
    fn an_amount_below_zero_is_refused() {
        let budget = Budget {
            device_hours: Some(-1.0),
            ..Budget::default()
        };
        let refused = budget.check().unwrap_err();
        assert!(refused.message().contains("budget.device_hours"));
    }
}
