//! How fast a counter grows, and when it will be full: no clock, no terminal.
//!
//! Counts arrive in jumps: workers report every few seconds, and rows are as long as they are. So a
//! rate is measured between jumps, over a window that forgets workers that left and notices those
//! that joined, and no time is told before there is something to tell it by. What the counter says
//! of the time since its last jump counts too: a job that stands still is not "2s" from its end.

use std::collections::VecDeque;
use std::time::Duration;

/// Rates change with the rows and the workers: the window is this share of the time so far…
const WINDOW_SHARE: u32 = 4;
/// …within these bounds, so that a rate is neither noise nor history.
const MIN_WINDOW: Duration = Duration::from_secs(30);
const MAX_WINDOW: Duration = Duration::from_mins(10);
/// Jumps kept however old they are: of a slow job the window holds too few to measure by.
const MIN_JUMPS: usize = 5;
/// A rate of fewer jumps than this, or of less time, is a guess.
const MEASURED_JUMPS: usize = 3;
const MEASURED_TIME: Duration = Duration::from_secs(3);
/// A pause of so many usual ones, and of at least so long, is worth telling.
const STALLED_PAUSES: u32 = 3;
const STALLED_TIME: Duration = Duration::from_secs(15);

/// What was seen of a counter.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Time of each jump since the watch began, and the count after it. The first is what was
    /// there at the beginning, and no jump: nobody knows when that was reached.
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
    /// Too little was seen to say.
    Unknown,
    /// In about this time.
    Left(Duration),
    /// Nothing has moved for so long that the rate says nothing.
    Stalled(Duration),
}

impl Pace {
    /// Takes in what the counter says at `now`, the time since the watch began. A count below an
    /// earlier one is passed over: work that was lost is done again, and then counts no more.
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

    /// Returns the highest count seen.
    pub(super) fn count(&self) -> u64 {
        let last = self.jumps.back().or(self.start.as_ref());
        last.map_or(0, |last| last.count)
    }

    /// Returns how much the counter grows per second; none before it can be measured.
    pub(super) fn rate(&self, now: Duration) -> Option<f64> {
        let (first, last) = (self.jumps.front()?, self.jumps.back()?);
        if self.jumps.len() < MEASURED_JUMPS {
            return None;
        }
        // The usual pause after a jump belongs to the next one. What is beyond it slows the rate.
        let end = last.at.max(now.saturating_sub(self.usual_pause()));
        let time = end.saturating_sub(first.at);
        (time >= MEASURED_TIME).then(|| (last.count - first.count) as f64 / time.as_secs_f64())
    }

    /// Returns when the counter will be at `total`.
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
        // What is late already will hardly come at once: as long again is the better guess.
        let overdue = waited.saturating_sub(pause);
        Outlook::Left(left.saturating_sub(waited.min(pause)).max(overdue))
    }

    /// Returns the longest time between two jumps of the window.
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

    /// Replays a history, the count after each second, and returns what was said in each.
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

    /// Checks that from second `from` on every outlook is within `factor` of the truth, or within
    /// `slack` seconds where little is left.
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

    /// Checks that a time is not shown for much longer than it says, however history goes.
    #[track_caller]
    fn assert_honest(history: &[u64], total: u64) {
        let outlooks = replay(history, total);
        for (second, outlook) in outlooks.iter().enumerate() {
            let Outlook::Left(left) = outlook else {
                continue;
            };
            // How long "5s or less" stands when the end is not there yet.
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
        // Half a minute to load the model, then 10 a second.
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
        // Jumps of 1 to 9 seconds' work, in an order that is fixed and has no period.
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
        // Work is estimated alike, but the second half of the rows takes three times as long.
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
        // 99 % in a minute and a half, and then a row that takes a minute.
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
