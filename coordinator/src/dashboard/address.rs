//! The pages, each with its path.

use whence_schemas::{JobId, SlotId};

use super::context::Context;
use super::pages::{errors, example, job, overview, schedules, slot, workers};
use super::view::View;
use crate::Error;

/// A page.
#[derive(Debug, Clone)]
pub(super) enum Address {
    /// The jobs, and what the cluster does.
    Overview(overview::JobFilter),
    /// The workers.
    Workers,
    /// The schedules.
    Schedules,
    /// A job.
    Job(JobId, job::SlotPage),
    /// What went wrong in a job.
    Errors(JobId),
    /// A slot of a job, with its rows.
    Slot(JobId, SlotId, slot::RowFilter),
    /// A row of a job.
    Example(JobId, example::Choice),
}

impl Address {
    /// Makes the page. Fails if the visitor may not see it, or if there is no such page.
    pub(super) async fn view(&self, context: &Context) -> Result<View, Error> {
        match self {
            Self::Overview(filter) => overview::view(context, filter),
            Self::Workers => workers::view(context),
            Self::Schedules => schedules::view(context).await,
            Self::Job(id, page) => job::view(context, id, *page).await,
            Self::Errors(id) => errors::view(context, id).await,
            Self::Slot(id, slot, filter) => slot::view(context, (id, slot), filter).await,
            Self::Example(id, choice) => example::view(context, id, choice).await,
        }
    }
}
