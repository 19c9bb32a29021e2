//! A coordinator of one storage root: the state that everything shares, and the doors to it.
//!
//! Decisions are the [`Job`](crate::job::Job)'s. The doors read the store, tell the jobs what they
//! saw, and answer: [`Jobs`] to people, [`Dispatch`] to workers, [`Reconciler`] to nobody. Nothing
//! in the state is worth saving: a coordinator that starts anew finds everything in the store.

use std::sync::Arc;

use whence_schemas::store;

use crate::clock::Clock;
use crate::config::Scope;
use crate::core::Core;
use crate::dispatch::Dispatch;
use crate::durable::{epoch, recover, root};
use crate::jobs::Jobs;
use crate::reconcile::Reconciler;
use crate::shared::SharedState;
use crate::state::State;
use crate::{Config, Error};

/// A coordinator that serves one storage root.
#[derive(Debug)]
pub struct Coordinator {
    pub(crate) core: Arc<Core>,
}

impl Coordinator {
    /// Serves the storage root of `config`: checks the store, claims an epoch and finds the jobs if
    /// the root is its own.
    ///
    /// Fails if the settings contradict each other, or the store does not answer, cannot be trusted
    /// with slots, or has another layout.
    pub async fn start(config: Config) -> Result<Arc<Self>, Error> {
        config.check()?;
        let store = store::open(&config.store_url)?;
        root::check(store.as_ref()).await?;
        let claim = epoch::Claim {
            at_ms: Clock::calendar_ms(),
            process: std::process::id(),
            code_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let clock = Clock::start();
        let (epoch, jobs) = match config.scope {
            Scope::Root => {
                let epoch = epoch::claim(store.as_ref(), &claim).await?;
                let rules = config.lease_rules();
                let jobs = recover::jobs(store.as_ref(), rules, clock.now()).await?;
                (epoch, jobs)
            }
            Scope::Submitted => (epoch::newest(store.as_ref()).await?, Vec::new()),
        };
        tracing::info!(%epoch, jobs = jobs.len(), root = store.url(), "serving");
        let core = Core {
            store,
            config,
            epoch,
            clock,
            state: SharedState::new(State::of_jobs(jobs)),
        };
        Ok(Arc::new(Self {
            core: Arc::new(core),
        }))
    }

    /// Returns the URL of the storage root.
    pub fn store_url(&self) -> &str {
        self.core.store.url()
    }

    /// Returns what people ask.
    pub fn jobs(&self) -> Jobs<'_> {
        Jobs::new(&self.core)
    }

    /// Returns what workers ask.
    pub fn dispatch(&self) -> Dispatch<'_> {
        Dispatch::new(&self.core)
    }

    /// Returns what works unasked.
    pub fn reconciler(&self) -> Reconciler<'_> {
        Reconciler::new(&self.core)
    }

    /// Hands out nothing any more and wakes whoever waits.
    pub fn drain(&self) {
        self.core.state.change(|state| state.is_draining = true);
    }
}
