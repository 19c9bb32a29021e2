//! The pages: each reads what it shows, and renders it with a template of its own.

mod chart;
mod job_line;
mod paging;
mod rows;
mod slot_cell;

pub(super) mod errors;
pub(super) mod example;
pub(super) mod job;
pub(super) mod overview;
pub(super) mod schedules;
pub(super) mod slot;
pub(super) mod workers;
