//! Schedules: jobs that are submitted again and again, at times that a cron expression or an interval
//! names.
//!
//! [`When`] says which times these are, and [`due`] decides what happens at those that have come. Both
//! are pure: they know neither the clock nor the store. Each time is an object that is created once, so
//! it is decided once, whatever clocks show and however many coordinators look at them
//! (`crate::durable::schedules`).

mod due;
mod name;
mod spec;
mod when;

pub use due::{Decision, Seen, due};
pub use name::ScheduleName;
pub use spec::{CatchUp, Overlap, Schedule};
pub use when::{When, WhenError};
