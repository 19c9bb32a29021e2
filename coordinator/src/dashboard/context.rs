//! What a page is made of: the coordinator at this moment, and whom the page is for.

use std::sync::Arc;

use whence_schemas::JobId;

use super::gate::Visitor;
use super::site::Site;
use crate::core::Core;
use crate::job::{Job, Timestamp};
use crate::state::State;
use crate::{Coordinator, Error};

/// What a page is made of.
#[derive(Debug, Clone)]
pub(super) struct Context {
    pub(super) site: Arc<Site>,
    pub(super) coordinator: Arc<Coordinator>,
    pub(super) visitor: Visitor,
}

impl Context {
    /// Returns the parts of the coordinator.
    pub(super) fn core(&self) -> &Core {
        &self.coordinator.core
    }

    /// Returns the time of the coordinator's clock.
    pub(super) fn now(&self) -> Timestamp {
        self.core().clock.now()
    }

    /// Reads the state.
    pub(super) fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        self.core().state.read(read)
    }

    /// Reads a job of the state. Fails if the visitor may not see it, or if there is none.
    pub(super) fn read_job<T>(
        &self,
        id: &JobId,
        read: impl FnOnce(&State, &Job) -> T,
    ) -> Result<T, Error> {
        self.read(|state| {
            state.check_visible(id, &self.visitor.caller)?;
            Ok(read(state, state.job(id)?))
        })
    }

    /// Returns whether the visitor may make a call on jobs that changes something.
    pub(super) fn may(&self, call: &str) -> bool {
        self.visitor
            .may_act(&format!("/attribution.v1.JobService/{call}"))
    }

    /// Makes a job known that ended before the coordinator started. Fails if the visitor may not see it.
    pub(super) async fn look_up(&self, id: &JobId) -> Result<(), Error> {
        let jobs = self.coordinator.jobs();
        jobs.check_visible(id, &self.visitor.caller).await
    }
}
