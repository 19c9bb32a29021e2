//! The coordinator of one storage root: the shared state and the interfaces to it.
//!
//! All decisions are made in [`Job`](crate::job::Job). The interfaces read the store, tell the jobs
//! what they saw, and act on the outcome: [`Jobs`] serves people, [`Dispatch`] serves workers, and
//! [`Reconciler`] runs in the background. The state itself is never saved, because a coordinator
//! rebuilds it from the store when it starts.

use std::sync::Arc;

use tokio::sync::{Semaphore, watch};
use whence_schemas::store;

use crate::admission;
use crate::archive::Archive;
use crate::clock::Clock;
use crate::config::Scope;
use crate::core::{Core, SENT_AT_ONCE};
use crate::dispatch::Dispatch;
use crate::durable::{epoch, recover, root};
use crate::job::{Event, Job, Phase};
use crate::jobs::Jobs;
use crate::reconcile::Reconciler;
use crate::shared::SharedState;
use crate::standby;
use crate::state::State;
use crate::traces::Traces;
use crate::{Config, Error};

/// The coordinator of a process, once it serves; none while it starts or is in reserve.
pub type Serving = watch::Receiver<Option<Arc<Coordinator>>>;

/// A coordinator that serves one storage root.
#[derive(Debug)]
pub struct Coordinator {
    pub(crate) core: Arc<Core>,
}

impl Coordinator {
    /// Opens the storage root of `config` and checks that the store can be used.
    ///
    /// With [`Scope::Root`] it then claims a new epoch and recovers the jobs below the root that have not
    /// ended. With [`Scope::Submitted`] it does neither, so it can run beside the root's own coordinator.
    ///
    /// Fails if the settings contradict each other, or if the store does not answer, does not
    /// guarantee create-once writes, or has another layout version.
    pub async fn start(config: Config) -> Result<Arc<Self>, Error> {
        config.check()?;
        let store = store::open(&config.store_url)?;
        root::check(store.as_ref()).await?;
        let address = config.address.map(|address| address.to_string());
        let claim = epoch::Claim {
            at_ms: Clock::calendar_ms(),
            process: std::process::id(),
            code_version: env!("CARGO_PKG_VERSION").to_owned(),
            address,
            is_encrypted: config.is_encrypted,
        };
        let clock = Clock::start();
        let (epoch, (open, ended)) = match config.scope {
            Scope::Root => {
                let epoch = epoch::claim(store.as_ref(), &claim).await?;
                (epoch, recover::list(store.as_ref()).await?)
            }
            Scope::Submitted => (epoch::newest(store.as_ref()).await?, Default::default()),
        };
        let mut jobs = recover::jobs(store.as_ref(), open, config.rules(), clock.now()).await?;
        for job in &mut jobs {
            leave_to_others(job, &clock);
        }
        tracing::info!(%epoch, jobs = jobs.len(), root = store.url(), "serving");
        let core = Core {
            served_as: claim.name(),
            store,
            config,
            epoch,
            clock,
            state: SharedState::new(State::of_jobs(jobs)),
            archive: Archive::new(ended),
            traces: Traces::default(),
            sending: Arc::new(Semaphore::new(SENT_AT_ONCE)),
        };
        Ok(Arc::new(Self {
            core: Arc::new(core),
        }))
    }

    /// Waits as long as another coordinator of the root answers at the address it has recorded, unless
    /// `config` says otherwise.
    ///
    /// Fails if the settings contradict each other, or if the store cannot be used.
    pub async fn stand_by(config: &Config) -> Result<(), Error> {
        config.check()?;
        let address = config.address.map(|address| address.to_string());
        let (Some(address), Scope::Root, false) = (address, config.scope, config.takes_over) else {
            return Ok(());
        };
        let store = store::open(&config.store_url)?;
        root::check(store.as_ref()).await?;
        standby::wait(store.as_ref(), &address).await
    }

    /// Returns the URL of the storage root.
    pub fn store_url(&self) -> &str {
        self.core.store.url()
    }

    /// Returns the interface for people: submit, watch, list and cancel jobs.
    pub fn jobs(&self) -> Jobs<'_> {
        Jobs::new(&self.core)
    }

    /// Returns the interface for workers: register, acquire slots and report on them.
    pub fn dispatch(&self) -> Dispatch<'_> {
        Dispatch::new(&self.core)
    }

    /// Returns the background work: expire leases, write due objects and poll the store.
    pub fn reconciler(&self) -> Reconciler<'_> {
        Reconciler::new(&self.core)
    }

    /// Stops handing out slots, and wakes waiting workers so that they learn of the shutdown.
    pub fn drain(&self) {
        self.core.state.change(|state| state.is_draining = true);
    }
}

/// Ends a job here whose rows this release would compute otherwise than those that are there: a table has
/// the numbers of one release. Nothing is written down, so a coordinator of that release goes on with it.
fn leave_to_others(job: &mut Job, clock: &Clock) {
    if *job.phase() != Phase::Running {
        return;
    }
    if let Err(error) = admission::check_numerics(job.spec()) {
        let message = error.to_string();
        tracing::error!(job = %job.id(), message, "the job cannot go on here");
        job.apply(Event::FoundFailed(message), clock.now());
    }
}
