//! Flags of `whence schedule`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use whence_coordinator::schedule::{Overlap, ScheduleName};

use super::dataset::StorageOptions;

/// `whence schedule`.
#[derive(Debug, Subcommand)]
pub enum Schedule {
    /// Make a schedule of the jobs of a sweep, or replace the one of this name.
    ///
    /// The models are read now, and those on the Hub are pinned to their commits. Files of datasets are
    /// read again at each fire.
    Create(Box<ScheduleCreate>),
    /// Print all schedules, with the times at which they fire next.
    List(ScheduleList),
    /// Print what a schedule is, and its next times.
    Show(OneSchedule),
    /// Let a schedule fire no more until it is resumed. What it has submitted goes on.
    Pause(OneSchedule),
    /// Let a paused schedule go on. The times in between are over.
    Resume(OneSchedule),
    /// Submit the jobs of a schedule now, whether or not it is paused.
    Trigger(OneSchedule),
    /// Delete a schedule. Its jobs and its history stay.
    Delete(OneSchedule),
    /// Print what happened at each time of a schedule.
    History(ScheduleHistory),
}

/// `whence schedule create`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("when").required(true).args(["cron", "every"]))]
pub struct ScheduleCreate {
    /// Name of the schedule: a-z, 0-9, `-` and `_`.
    pub name: ScheduleName,
    /// The file of the sweep.
    pub file: PathBuf,
    /// Fire at these times: minute, hour, day, month and weekday, such as `0 3 * * *`.
    #[arg(long, value_name = "EXPRESSION")]
    pub cron: Option<String>,
    /// Time zone of --cron. At hours that a change of the clocks leaves out or repeats, it fires once.
    #[arg(
        long,
        value_name = "ZONE",
        default_value = "UTC",
        conflicts_with = "every"
    )]
    pub zone: String,
    /// Fire again after this time, such as `6h`.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub every: Option<Duration>,
    /// What happens if the jobs of the fire before have not ended.
    #[arg(long, value_enum, default_value_t = OverlapName::Skip, value_name = "POLICY")]
    pub overlap: OverlapName,
    /// What happens to times at which no coordinator was there: `none`, `last`, or with `--overlap queue`
    /// how many of the last ones fire.
    ///
    /// A time that is less than a minute late is on time.
    #[arg(long, default_value = "last", value_name = "POLICY")]
    pub catch_up: String,
    /// Fire later by up to this time, so that schedules of the same time do not all begin at once.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = humantime::parse_duration)]
    pub jitter: Duration,
    /// The storage root of the coordinator.
    #[command(flatten)]
    pub storage: StorageOptions,
}

/// What happens if the jobs of the fire before have not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OverlapName {
    /// Nothing is submitted.
    Skip,
    /// It fires once they have ended.
    Queue,
    /// They are cancelled, and it fires.
    Replace,
}

impl From<OverlapName> for Overlap {
    fn from(name: OverlapName) -> Self {
        match name {
            OverlapName::Skip => Self::Skip,
            OverlapName::Queue => Self::Queue,
            OverlapName::Replace => Self::Replace,
        }
    }
}

/// `whence schedule list`.
#[derive(Debug, Args)]
pub struct ScheduleList {
    /// The storage root of the coordinator.
    #[command(flatten)]
    pub storage: StorageOptions,
    /// Print JSON, one object per schedule.
    #[arg(long)]
    pub json: bool,
}

/// `whence schedule show`, `pause`, `resume`, `trigger` and `delete`.
#[derive(Debug, Args)]
pub struct OneSchedule {
    /// Name of the schedule.
    pub name: ScheduleName,
    /// The storage root of the coordinator.
    #[command(flatten)]
    pub storage: StorageOptions,
}

/// `whence schedule history`.
#[derive(Debug, Args)]
pub struct ScheduleHistory {
    /// Name of the schedule.
    pub name: ScheduleName,
    /// The storage root of the coordinator.
    #[command(flatten)]
    pub storage: StorageOptions,
    /// Print JSON, one object per time.
    #[arg(long)]
    pub json: bool,
}
