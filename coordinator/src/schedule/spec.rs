//! What a schedule is.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use whence_schemas::JobSpec;

use super::name::ScheduleName;
use super::when::When;

/// A schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// When it fires.
    pub when: When,
    /// What happens if the jobs of the fire before have not ended.
    pub overlap: Overlap,
    /// What happens to times at which no coordinator was there.
    pub catch_up: CatchUp,
    /// Fires are late by up to this many seconds, so that schedules of the same time do not all begin at
    /// once. How late, follows from the schedule and the time.
    pub jitter_seconds: u64,
    /// The jobs. Each fire submits them under a run id of its own.
    pub jobs: Vec<JobSpec>,
}

/// What happens at a time when the jobs of the fire before have not ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// Nothing is submitted.
    #[default]
    Skip,
    /// It fires once they have ended.
    Queue,
    /// They are canceled, and it fires.
    Replace,
}

/// What happens to times that have passed while no coordinator was there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// They are missed.
    None,
    /// The last of them fires.
    #[default]
    Last,
    /// The last ones fire, up to this many.
    UpTo(u32),
}

impl Schedule {
    /// Returns the jobs of the fire at `time_ms`: those of the schedule under a run id of their own.
    pub fn runs(&self, name: &ScheduleName, time_ms: u64) -> Vec<JobSpec> {
        let time = i64::try_from(time_ms).ok();
        let time = time.and_then(DateTime::<Utc>::from_timestamp_millis);
        let time = time.unwrap_or_default();
        let run = format!(
            "{name}@{}",
            time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
        );
        let of_run = |spec: &JobSpec| JobSpec {
            run_id: Some(match &spec.run_id {
                None => run.clone(),
                Some(own) => format!("{own}/{run}"),
            }),
            ..spec.clone()
        };
        self.jobs.iter().map(of_run).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::spec;

    #[test]
    fn each_fire_has_jobs_of_its_own_that_say_when_it_was() {
        let schedule = Schedule {
            when: When::Every { seconds: 60 },
            overlap: Overlap::Skip,
            catch_up: CatchUp::Last,
            jitter_seconds: 0,
            jobs: vec![
                spec("m"),
                JobSpec {
                    run_id: Some("again".to_owned()),
                    ..spec("m")
                },
            ],
        };
        let name = "nightly".parse().unwrap();
        let runs = schedule.runs(&name, 1_700_000_040_000);
        let ids = runs.iter().map(|spec| spec.run_id.as_deref().unwrap());
        let ids: Vec<_> = ids.collect();
        assert_eq!(
            ids,
            [
                "nightly@2023-11-14T22:14:00Z",
                "again/nightly@2023-11-14T22:14:00Z"
            ]
        );
        assert_eq!(runs, schedule.runs(&name, 1_700_000_040_000));
        assert_ne!(
            runs[0].id(),
            schedule.runs(&name, 1_700_000_100_000)[0].id()
        );
    }
}
