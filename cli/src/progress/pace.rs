//! Estimates how fast a counter grows and when it will reach its total. Uses no clock or terminal.
//!
//! Counts arrive in jumps, because workers report every few seconds and rows differ in length. So
//! the rate is measured from jump to jump, over a moving window that adapts when workers join or
//! leave. No time left is given before there are enough jumps to measure a rate. The time since the
//! last jump is taken into account as well: a job that has stalled is not "2s" from its end.

use std::collections::VecDeque;
use std::time::Duration;

/// The window is the elapsed time divided by this, because the rate changes with the rows and the
/// workers.
const WINDOW_SHARE: u32 = 4;
/// Bounds of the window: a shorter one would measure noise, a longer one would react too late.
const MIN_WINDOW: Duration = Duration::from_secs(30);
const MAX_WINDOW: Duration = Duration::from_mins(10);
/// This many jumps are kept even if they are older than the window, because the window of a slow
/// job may hold too few to measure a rate.
const MIN_JUMPS: usize = 5;
/// No rate is given from fewer jumps than this, or over less time: it would be a guess.
const MEASURED_JUMPS: usize = 3;
const MEASURED_TIME: Duration = Duration::from_secs(3);
/// The job counts as stalled after a pause of this many times the usual pause, and no earlier than
/// [`STALLED_TIME`].
const STALLED_PAUSES: u32 = 3;
const STALLED_TIME: Duration = Duration::from_secs(15);

/// The recent history of a counter.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// The jumps in the window: when the counter grew, and the count after it.
    jumps: VecDeque<Jump>,
    start: Option<Jump>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Jump {
    at: Duration,
    count: u64,
}

/// When the counter will be full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outlook {
    /// There is not enough data for an estimate yet.
    Unknown,
    /// The counter will reach its total in about this time.
    Left(Duration),
    /// The counter has not grown for this long, so the earlier rate means nothing.
    Stalled(Duration),
}

impl Pace {
    /// Records the counter's value at `now`, the time since the watch began.
    ///
    /// A count that is not above the highest one so far is ignored. Counts fall when a worker's
    /// work is lost; when that work is done again, it must not count twice.
    pub(super) fn observe(&mut self, now: Duration, count: u64) {
        let seen = Jump { at: now, count };
        let start = *self.start.get_or_insert(seen);
        if count <= self.jumps.back().map_or(start.count, |last| last.count) {
            return;
        }
        self.jumps.push_back(seen);
        let window = (now / WINDOW_SHARE).clamp(MIN_WINDOW, MAX_WINDOW);
        while self.jumps.len() > MIN_JUMPS && self.jumps[0].at + window < now {
            self.jumps.pop_front();
        }
    }

    /// Returns the highest count recorded so far.
    pub(super) fn count(&self) -> u64 {
        let last = self.jumps.back().or(self.start.as_ref());
        last.map_or(0, |last| last.count)
    }

    /// Returns how much the counter grows per second; `None` until it can be measured.
    pub(super) fn rate(&self, now: Duration) -> Option<f64> {
        let (first, last) = (self.jumps.front()?, self.jumps.back()?);
        if self.jumps.len() < MEASURED_JUMPS {
            return None;
        }
        // A pause of the usual length precedes every jump, so it does not lower the rate. Only
        // the time beyond it does.
        let end = last.at.max(now.saturating_sub(self.usual_pause()));
        let time = end.saturating_sub(first.at);
        (time >= MEASURED_TIME).then(|| (last.count - first.count) as f64 / time.as_secs_f64())
    }

    /// Returns an estimate of when the counter will reach `total`.
    pub(super) fn outlook(&self, now: Duration, total: u64) -> Outlook {
        let Some(last) = self.jumps.back() else {
            return Outlook::Unknown;
        };
        let (waited, pause) = (now.saturating_sub(last.at), self.usual_pause());
        if waited > STALLED_TIME.max(pause * STALLED_PAUSES) {
            return Outlook::Stalled(waited);
        }
        let Some(rate) = self.rate(now) else {
            return Outlook::Unknown;
        };
        let left = total.saturating_sub(last.count) as f64 / rate;
        let left = Duration::try_from_secs_f64(left).unwrap_or(Duration::MAX);
        // If the next jump is overdue, it will hardly come at once. The best guess is that it takes
        // as long again as it is overdue.
        let overdue = waited.saturating_sub(pause);
        Outlook::Left(left.saturating_sub(waited.min(pause)).max(overdue))
    }

    /// Returns the usual pause: the longest time between two successive jumps in the window.
    fn usual_pause(&self) -> Duration {
        let times = self.jumps.iter().zip(self.jumps.iter().skip(1));
        let pauses = times.map(|(earlier, later)| later.at.saturating_sub(earlier.at));
        pauses.max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Replays a history with one count per second, and returns the outlook at each second.
    fn replay(history: &[u64], total: u64) -> Vec<Outlook> {
        let mut pace = Pace::default();
        let counts = history.iter().zip(0..);
        counts
            .map(|(count, second)| {
                pace.observe(seconds(second), *count);
                pace.outlook(seconds(second), total)
            })
            .collect()
    }

    /// Checks every outlook from second `from` on: it must be within a factor of `factor` of the
    /// true time left, give or take `slack` seconds.
    #[track_caller]
    fn assert_near(history: &[u64], from: usize, factor: f64, slack: f64) {
        let total = *history.last().unwrap();
        let end = history.iter().position(|count| *count == total).unwrap();
        let outlooks = replay(history, total);
        for (second, outlook) in outlooks.iter().enumerate().take(end).skip(from) {
            let truth = (end - second) as f64;
            let Outlook::Left(left) = outlook else {
                panic!("second {second}: {outlook:?}");
            };
            let left = left.as_secs_f64();
            let is_near = left <= truth * factor + slack && left >= truth / factor - slack;
            assert!(is_near, "second {second}: {left} s, in truth {truth} s");
        }
    }

    /// Checks that a short time left is not shown for much longer than it promises.
    #[track_caller]
    fn assert_honest(history: &[u64], total: u64) {
        let outlooks = replay(history, total);
        for (second, outlook) in outlooks.iter().enumerate() {
            let Outlook::Left(left) = outlook else {
                continue;
            };
            // Counts the seconds for which "5s or less" is shown before the job has ended.
            if left.as_secs() <= 5 && history[second] < total {
                let shown = outlooks[second..].iter().zip(&history[second..]);
                let stood = shown.take_while(|(outlook, count)| {
                    matches!(outlook, Outlook::Left(left) if left.as_secs() <= 5) && **count < total
                });
                assert!(stood.count() <= 15, "from second {second}");
            }
        }
    }

    #[test]
    fn nothing_is_said_before_anything_is_known() {
        let outlooks = replay(&[0, 0, 0, 0, 10, 20], 1000);
        assert!(outlooks.iter().all(|said| *said == Outlook::Unknown));
        assert_eq!(Pace::default().rate(seconds(9)), None);
    }

    #[test]
    fn an_even_pace_is_measured_without_the_start() {
        // Half a minute to load the model, then 10 per second.
        let history: Vec<u64> = (0..130).map(|s: u64| s.saturating_sub(30) * 10).collect();
        assert_near(&history, 36, 1.1, 1.0);
        let mut pace = Pace::default();
        for (count, second) in history.iter().zip(0..) {
            pace.observe(seconds(second), *count);
        }
        assert!((pace.rate(seconds(129)).unwrap() - 10.0).abs() < 0.2);
    }

    #[test]
    fn reports_every_five_seconds_are_an_even_pace() {
        let history: Vec<u64> = (0..=300).map(|s: u64| s / 5 * 50).collect();
        assert_near(&history, 20, 1.2, 6.0);
        assert_honest(&history, 3000);
    }

    #[test]
    fn uneven_rows_are_near_enough() {
        // Each jump is 1 to 9 seconds of work, in a fixed, irregular order.
        let mut history = vec![0];
        for jump in 0..60_u64 {
            let length = 1 + jump * jump * 7 % 9;
            let before = *history.last().unwrap();
            history.extend(vec![before; length as usize - 1]);
            history.push(before + length * 20);
        }
        assert_near(&history, 30, 1.6, 10.0);
        assert_honest(&history, *history.last().unwrap());
    }

    #[test]
    fn shards_of_another_length_are_noticed() {
        // The estimated work is uniform, but from second 100 on it takes three times as long.
        let history: Vec<u64> = (0..=400_u64)
            .map(|s| {
                if s < 100 {
                    s * 30
                } else {
                    3000 + (s - 100) * 10
                }
            })
            .collect();
        assert_near(&history, 170, 1.2, 2.0);
    }

    #[test]
    fn workers_that_join_late_shorten_the_rest() {
        let history: Vec<u64> = (0..=240_u64)
            .map(|s| {
                if s < 120 {
                    s * 10
                } else {
                    1200 + (s - 120) * 40
                }
            })
            .collect();
        assert_near(&history, 180, 1.2, 2.0);
    }

    #[test]
    fn the_last_row_may_take_as_long_as_it_likes() {
        // 99% in a minute and a half, followed by a row that takes a minute.
        let mut history: Vec<u64> = (0..90).map(|s: u64| s * 11).collect();
        history.extend(vec![990; 60]);
        history.push(1000);
        assert_honest(&history, 1000);
        let outlooks = replay(&history, 1000);
        assert_eq!(outlooks[120], Outlook::Stalled(seconds(30)));
    }

    #[test]
    fn a_stall_ends_with_a_new_estimate() {
        let mut history: Vec<u64> = (0..60).map(|s: u64| s * 10).collect();
        history.extend(vec![590; 120]);
        history.extend((0..=41).map(|s: u64| 590 + s * 10));
        let outlooks = replay(&history, 1000);
        assert!(matches!(outlooks[120], Outlook::Stalled(_)));
        let Outlook::Left(left) = outlooks[215] else {
            panic!("{:?}", outlooks[215]);
        };
        assert!(left < seconds(20), "{left:?}");
    }

    #[test]
    fn lost_work_takes_nothing_back() {
        let mut pace = Pace::default();
        for (second, count) in [(0, 0), (5, 100), (10, 40), (15, 90), (20, 130)] {
            pace.observe(seconds(second), count);
            assert!(pace.count() >= 100 || second == 0);
        }
        assert_eq!(pace.count(), 130);
    }
}
