//! The times of a schedule.

use std::str::FromStr;

use chrono::{DateTime, Offset, TimeDelta, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds};
use serde::{Deserialize, Serialize};

/// Steps in which times are looked for within hours that clocks show again: three hours at most.
const REPEATED_STEPS: i64 = 12;
const STEP_MINUTES: i64 = 15;
/// The longest interval: a leap year.
const LONGEST_SECONDS: u64 = 366 * 24 * 60 * 60;

/// When a schedule fires. Times are in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum When {
    /// At the times of a cron expression with five fields, as clocks in a time zone show them.
    ///
    /// A fixed time that a change of the clocks leaves out comes right after the change; one that they
    /// show twice comes once.
    Cron {
        /// The expression, such as `0 3 * * *`.
        expression: String,
        /// IANA name of the zone, such as `Europe/Berlin`.
        zone: String,
    },
    /// Again after this many seconds, counted from 1970, so that it does not matter when a coordinator
    /// was started.
    Every {
        /// The seconds.
        seconds: u64,
    },
}

/// Why there are no such times.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WhenError {
    /// The expression means nothing.
    #[error(
        "`{expression}` is no cron expression: {reason}; write minute, hour, day, month and weekday, such as `0 3 * * *`"
    )]
    Expression {
        /// The expression.
        expression: String,
        /// What is wrong.
        reason: String,
    },
    /// The expression names times that never come, such as the 30th of February.
    #[error("`{0}` names no time that ever comes")]
    Never(String),
    /// There is no such time zone.
    #[error("there is no time zone `{0}`; write an IANA name, such as `Europe/Berlin` or `UTC`")]
    Zone(String),
    /// The interval is empty, or so long that it would never come.
    #[error("a schedule cannot fire every {0} seconds; give a second or more, and a year or less")]
    Interval(u64),
}

impl When {
    /// Fails if there are no such times.
    pub fn check(&self) -> Result<(), WhenError> {
        self.after(0).map(|_| ())
    }

    /// Returns the first time after `ms`.
    pub fn after(&self, ms: u64) -> Result<u64, WhenError> {
        match self {
            Self::Every { seconds } if !(1..=LONGEST_SECONDS).contains(seconds) => {
                Err(WhenError::Interval(*seconds))
            }
            Self::Every { seconds } => {
                let every = seconds.saturating_mul(1000);
                Ok((ms / every).saturating_add(1).saturating_mul(every))
            }
            Self::Cron { expression, zone } => {
                let cron = parse(expression)?;
                let zone = Tz::from_str(zone).map_err(|_| WhenError::Zone(zone.clone()))?;
                let never = || WhenError::Never(expression.clone());
                // A fraction of a second would be carried along.
                let since = i64::try_from(ms / 1000).ok();
                let since = since.and_then(|since| DateTime::<Utc>::from_timestamp(since, 0));
                let since = since.ok_or_else(never)?.with_timezone(&zone);
                let next = next(&cron, expression, &since).ok_or_else(never)?;
                u64::try_from(next.timestamp_millis()).map_err(|_| never())
            }
        }
    }
}

/// Returns the next time of an expression.
///
/// Of an hour that clocks show twice, the library returns the first time alone. That is right for a fixed
/// hour. An expression of every hour, or of every third, means both.
fn next(cron: &Cron, expression: &str, since: &DateTime<Tz>) -> Option<DateTime<Tz>> {
    let next = later(cron, since)?;
    let hour = expression.split_whitespace().nth(1)?;
    if !hour.starts_with('*') {
        return Some(next);
    }
    // As clocks would show it that were not changed, or that had been changed before.
    let unchanged = [since.offset().fix(), next.offset().fix()].map(|offset| {
        let next = cron.find_next_occurrence(&since.with_timezone(&offset), false);
        let next = next.ok()?.with_timezone(&since.timezone());
        let is_one = cron.is_time_matching(&next).unwrap_or(false);
        (is_one && next > *since).then_some(next)
    });
    let others = unchanged.into_iter().flatten();
    others.chain([next]).min()
}

/// Returns the next time as the library understands it.
///
/// It thinks in what clocks show, so that within an hour that they show again it finds times of the first
/// one, which are over.
fn later(cron: &Cron, since: &DateTime<Tz>) -> Option<DateTime<Tz>> {
    let steps = (0..=REPEATED_STEPS).map(|step| *since + TimeDelta::minutes(step * STEP_MINUTES));
    let mut found = steps.map_while(|from| cron.find_next_occurrence(&from, false).ok());
    found.find(|next| next > since)
}

fn parse(expression: &str) -> Result<Cron, WhenError> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).build();
    parser
        .parse(expression)
        .map_err(|error: CronError| WhenError::Expression {
            expression: expression.to_owned(),
            reason: error.to_string(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cron(expression: &str, zone: &str) -> When {
        When::Cron {
            expression: expression.to_owned(),
            zone: zone.to_owned(),
        }
    }

    fn ms(time: &str) -> u64 {
        let time = DateTime::parse_from_rfc3339(time).unwrap();
        time.timestamp_millis() as u64
    }

    /// Returns the next times after `since`.
    fn next<const N: usize>(when: &When, since: &str) -> [u64; N] {
        let mut at = ms(since);
        [(); N].map(|()| {
            at = when.after(at).unwrap();
            at
        })
    }

    #[test]
    fn an_expression_means_the_clocks_of_its_zone() {
        let nightly = cron("30 3 * * *", "Europe/Berlin");
        let expected = [ms("2026-01-02T02:30:00Z"), ms("2026-01-03T02:30:00Z")];
        assert_eq!(next(&nightly, "2026-01-01T02:30:00Z"), expected);
        let summer = [ms("2026-07-01T01:30:00Z")];
        assert_eq!(next(&nightly, "2026-07-01T00:00:00Z"), summer);
    }

    #[test]
    fn a_time_that_clocks_leave_out_or_show_twice_comes_once() {
        let nightly = cron("30 2 * * *", "Europe/Berlin");
        // On 2026-03-29 clocks go from 2:00 to 3:00.
        let [gap, after] = next(&nightly, "2026-03-28T12:00:00Z");
        assert!(gap >= ms("2026-03-29T01:00:00Z") && gap <= ms("2026-03-29T02:00:00Z"));
        assert_eq!(after, ms("2026-03-30T00:30:00Z"));
        // On 2026-10-25 clocks show 2:30 twice.
        let twice: [u64; 2] = next(&nightly, "2026-10-24T12:00:00Z");
        assert_eq!(twice[0], ms("2026-10-25T00:30:00Z"));
        assert_eq!(twice[1], ms("2026-10-26T01:30:00Z"));
    }

    #[test]
    fn an_hour_that_clocks_show_twice_is_two_hours() {
        let hourly: [u64; 4] = next(&cron("0 * * * *", "Europe/Berlin"), "2026-10-24T23:00:00Z");
        let expected = ["00:00", "01:00", "02:00", "03:00"];
        assert_eq!(
            hourly,
            expected.map(|time| ms(&format!("2026-10-25T{time}:00Z")))
        );
        let often: [u64; 4] = next(
            &cron("*/20 * * * *", "Europe/Berlin"),
            "2026-10-25T00:40:00Z",
        );
        let expected = ["01:00", "01:20", "01:40", "02:00"];
        assert_eq!(
            often,
            expected.map(|time| ms(&format!("2026-10-25T{time}:00Z")))
        );
        // A fixed hour does not come again.
        let nightly: [u64; 1] = next(&cron("30 2 * * *", "Europe/Berlin"), "2026-10-25T01:10:00Z");
        assert_eq!(nightly, [ms("2026-10-26T01:30:00Z")]);
        // In spring, one is left out.
        let spring: [u64; 2] = next(&cron("0 * * * *", "Europe/Berlin"), "2026-03-29T00:00:00Z");
        assert_eq!(
            spring,
            [ms("2026-03-29T01:00:00Z"), ms("2026-03-29T02:00:00Z")]
        );
    }

    #[test]
    fn each_time_is_later_than_the_one_before_all_year() {
        for (expression, zone) in [
            ("17 * * * *", "Europe/Berlin"),
            ("30 2 * * *", "America/New_York"),
            ("0 */2 * * *", "Australia/Lord_Howe"),
            ("5,35 1-3 * * *", "America/St_Johns"),
        ] {
            let (when, mut at) = (cron(expression, zone), ms("2026-01-01T00:00:00Z"));
            let end = ms("2027-01-01T00:00:00Z");
            while at < end {
                let next = when.after(at).unwrap();
                assert!(next > at, "{expression} in {zone}: {at}, then {next}");
                at = next;
            }
        }
    }

    #[test]
    fn a_time_has_no_fraction_of_a_second() {
        let since = ms("2026-11-30T15:03:00.571Z");
        let next = cron("0 0 * * *", "UTC").after(since);
        assert_eq!(next, Ok(ms("2026-12-01T00:00:00Z")));
    }

    #[test]
    fn an_interval_does_not_depend_on_when_it_was_asked() {
        let every = When::Every { seconds: 3600 };
        assert_eq!(every.after(0), Ok(3_600_000));
        assert_eq!(every.after(3_600_000), Ok(7_200_000));
        assert_eq!(every.after(3_599_999), Ok(3_600_000));
    }

    #[test]
    fn what_has_no_times_is_refused_by_its_name() {
        for (when, named) in [
            (cron("0 3 * *", "UTC"), "0 3 * *"),
            (cron("0 25 * * *", "UTC"), "0 25 * * *"),
            (cron("0 0 3 * * *", "UTC"), "0 0 3 * * *"),
            (cron("", "UTC"), "cron expression"),
            (cron("0 3 30 2 *", "UTC"), "never comes"),
            (cron("0 3 * * *", "Europe/Berln"), "Europe/Berln"),
            (When::Every { seconds: 0 }, "0 seconds"),
            (When::Every { seconds: u64::MAX }, "a year or less"),
        ] {
            let refused = when.check().unwrap_err().to_string();
            let named = if named == "never comes" {
                "ever comes"
            } else {
                named
            };
            assert!(refused.contains(named), "{refused}");
        }
    }
}
