//! Retries: the one policy that every caller follows when a server or a store does not answer.
//!
//! Pauses grow exponentially up to a cap, with full jitter, so that the workers of a cluster do not
//! all come back at the same moment. Only transient errors are retried ([`ErrorKind::may_pass`]),
//! and only until the time budget is used up.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::ErrorKind;

/// How long to pause between tries, and when to give up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Longest pause before the second try. It doubles before each later try.
    pub first_pause: Duration,
    /// Upper bound of every pause, whatever the doubling gives.
    pub longest_pause: Duration,
    /// No try begins later than this, counted from the first error.
    pub give_up_after: Duration,
}

impl RetryPolicy {
    /// Returns the policy, but giving up after `limit` if that is earlier.
    #[must_use]
    pub fn at_most(self, limit: Duration) -> Self {
        Self {
            give_up_after: self.give_up_after.min(limit),
            ..self
        }
    }

    /// Returns the pause after `failures` failures in a row. `jitter` is a random number in `0..1`
    /// that scales the longest pause allowed at this point.
    pub fn pause(&self, failures: u32, jitter: f64) -> Duration {
        // At most 31 doublings, because a `u32` shifted any further would overflow.
        let doublings = failures.saturating_sub(1).min(31);
        let longest = self.first_pause.saturating_mul(1 << doublings);
        longest
            .min(self.longest_pause)
            .mul_f64(jitter.clamp(0.0, 1.0))
    }
}

/// What is left of a [`RetryPolicy`]: how many failures there were so far, and when the first one
/// was.
#[derive(Debug, Clone, Copy)]
pub struct RetryBudget {
    policy: RetryPolicy,
    failures: u32,
    since: Option<Instant>,
}

/// What to do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Try again.
    Retry {
        /// After this pause.
        pause: Duration,
        /// How much longer the caller will keep trying, this pause included.
        time_left: Duration,
    },
    /// Give up: trying again cannot help.
    WillNotPass,
    /// Give up: the calls have failed for longer than the policy allows.
    OutOfTime,
}

impl RetryBudget {
    /// Returns a budget of which nothing is spent.
    pub fn new(policy: RetryPolicy) -> Self {
        Self {
            policy,
            failures: 0,
            since: None,
        }
    }

    /// Records a failure of this kind, seen at `now`, and decides what to do about it. The clock
    /// starts at the first failure, not when the budget was made.
    pub fn spend(&mut self, kind: ErrorKind, now: Instant, jitter: f64) -> Verdict {
        if !kind.may_pass() {
            return Verdict::WillNotPass;
        }
        let since = *self.since.get_or_insert(now);
        let time_left = self
            .policy
            .give_up_after
            .saturating_sub(now.duration_since(since));
        if time_left.is_zero() {
            return Verdict::OutOfTime;
        }
        self.failures += 1;
        // The last try is made when the time is up, not a whole pause later.
        let pause = self.policy.pause(self.failures, jitter).min(time_left);
        Verdict::Retry { pause, time_left }
    }
}

/// Why [`retry`] gave up, with the last error it saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GaveUp<E> {
    /// The error was not transient, so trying again could not help.
    WillNotPass(E),
    /// The calls failed for longer than the policy allows.
    OutOfTime(E),
}

impl<E> GaveUp<E> {
    /// Returns the last error.
    pub fn into_error(self) -> E {
        match self {
            Self::WillNotPass(error) | Self::OutOfTime(error) => error,
        }
    }
}

/// Calls `call` until it succeeds, fails for good, or `policy` gives up.
///
/// `kind` classifies an error. `on_wait` is called for each error that is waited out, with the time
/// for which the caller will keep trying.
pub async fn retry<T, E, F: Future<Output = Result<T, E>>>(
    policy: RetryPolicy,
    kind: impl Fn(&E) -> ErrorKind,
    mut on_wait: impl FnMut(&E, Duration),
    mut call: impl FnMut() -> F,
) -> Result<T, GaveUp<E>> {
    let mut budget = RetryBudget::new(policy);
    loop {
        let error = match call().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        match budget.spend(kind(&error), Instant::now(), jitter()) {
            Verdict::Retry { pause, time_left } => {
                on_wait(&error, time_left);
                sleep(pause).await;
            }
            Verdict::WillNotPass => return Err(GaveUp::WillNotPass(error)),
            Verdict::OutOfTime => return Err(GaveUp::OutOfTime(error)),
        }
    }
}

thread_local! {
    /// The state of the generator that a simulation on this thread uses.
    static SIMULATED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Makes [`jitter`] follow from `seed` on this thread, so that a simulation can be repeated.
pub fn simulate_jitter(seed: u64) {
    SIMULATED.set(Some(seed));
}

/// Returns a random number in `0..1` that spreads the retries of several callers. No result depends
/// on it, so it is not seeded outside simulations.
pub fn jitter() -> f64 {
    const STEPS: u128 = 1 << 20;
    if let Some(state) = SIMULATED.get() {
        // Knuth's MMIX generator; its high bits are the random ones.
        let next = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        SIMULATED.set(Some(next));
        return (u128::from(next >> 33) % STEPS) as f64 / STEPS as f64;
    }
    // The random part of a ULID is good enough to spread retries, and needs no other generator.
    (ulid::Ulid::new().random() % STEPS) as f64 / STEPS as f64
}

/// Formats a duration the way a person would say it: `14 min`, `40 s`.
pub fn in_words(time: Duration) -> String {
    match time.as_secs_f64() {
        minutes if minutes >= 90.0 => format!("{:.0} min", minutes / 60.0),
        seconds if seconds >= 1.0 => format!("{seconds:.0} s"),
        seconds => format!("{:.0} ms", seconds * 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const POLICY: RetryPolicy = RetryPolicy {
        first_pause: Duration::from_millis(200),
        longest_pause: Duration::from_secs(5),
        give_up_after: Duration::from_mins(1),
    };

    #[test]
    fn pauses_double_up_to_the_cap_and_jitter_only_shortens_them() {
        let longest = |failures| POLICY.pause(failures, 1.0).as_millis();
        let pauses: Vec<_> = (1..=7).map(longest).collect();
        assert_eq!(pauses, [200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(longest(u32::MAX), 5000);
        assert_eq!(POLICY.pause(3, 0.5), Duration::from_millis(400));
        assert_eq!(POLICY.pause(3, 0.0), Duration::ZERO);
    }

    #[test]
    fn what_will_not_pass_is_given_up_at_once() {
        let mut budget = RetryBudget::new(POLICY);
        for kind in [
            ErrorKind::Invalid,
            ErrorKind::NotFound,
            ErrorKind::Data,
            ErrorKind::Internal,
        ] {
            let verdict = budget.spend(kind, Instant::now(), 1.0);
            assert_eq!(verdict, Verdict::WillNotPass, "{kind:?}");
        }
    }

    #[test]
    fn the_last_try_comes_when_the_time_is_up() {
        let mut budget = RetryBudget::new(POLICY);
        let start = Instant::now();
        let mut spend = |seconds| {
            let now = start + Duration::from_secs(seconds);
            budget.spend(ErrorKind::Unavailable, now, 1.0)
        };
        let verdict = |pause_ms, left| Verdict::Retry {
            pause: Duration::from_millis(pause_ms),
            time_left: Duration::from_secs(left),
        };
        assert_eq!(spend(0), verdict(200, 60));
        assert_eq!(spend(57), verdict(400, 3));
        assert_eq!(spend(59), verdict(800, 1));
        assert_eq!(spend(60), Verdict::OutOfTime);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_repeated_until_it_succeeds() {
        let calls = Cell::new(0);
        let heard = Cell::new(0);
        let answer = retry(
            POLICY,
            |&kind| kind,
            |_, _| heard.set(heard.get() + 1),
            || async {
                calls.set(calls.get() + 1);
                if calls.get() < 4 {
                    Err(ErrorKind::Unavailable)
                } else {
                    Ok("here")
                }
            },
        );
        assert_eq!(answer.await, Ok("here"));
        assert_eq!((calls.get(), heard.get()), (4, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_asked_longer_than_the_policy_allows() {
        let start = Instant::now();
        let call = || async { Err::<(), _>(ErrorKind::Unavailable) };
        let ended = retry(POLICY, |&kind| kind, |_, _| {}, call).await;
        assert_eq!(ended, Err(GaveUp::OutOfTime(ErrorKind::Unavailable)));
        let lasted = start.elapsed();
        assert!(
            lasted >= Duration::from_mins(1) && lasted < Duration::from_secs(61),
            "{lasted:?}"
        );
    }

    #[test]
    fn times_are_said_in_one_unit() {
        assert_eq!(in_words(Duration::from_mins(14)), "14 min");
        assert_eq!(in_words(Duration::from_secs(40)), "40 s");
        assert_eq!(in_words(Duration::from_millis(300)), "300 ms");
    }
}
