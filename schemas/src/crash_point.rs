//! Points at which a process ends abruptly if it is told to, so that tests can crash it exactly there.
//!
//! A kill from outside hits the narrow gaps of the protocol, such as the one between a write and its
//! report, only by luck. A process whose environment has `WHENCE_CRASH_AT=worker/after-put` hits that
//! gap every time: it aborts there, without running any destructor.
//!
//! Only builds with debug assertions look at the variable. In a release, [`CrashPoint::pass`] is empty
//! and compiled away, and the name of the variable is not in the program. A cargo feature could do the
//! same, but tests would then compile every crate a second time.

/// The variable that names a point.
pub const VARIABLE: &str = "WHENCE_CRASH_AT";

/// A point in the protocol. [`CrashPoint::ALL`] lists every one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashPoint {
    /// An object is complete in the staging folder of a directory, and has no name yet.
    StoreStaged,
    /// An object has its name, and the folder is not synced yet.
    StoreLinked,
    /// A worker has a lease and has not fetched its rows.
    WorkerLeased,
    /// A worker has a result and has not written it.
    WorkerBeforePut,
    /// A worker has written a result, and has done nothing after that.
    WorkerAfterPut,
    /// A worker is about to split its slot, because the result is too large for one object.
    WorkerBeforeTombstone,
    /// A worker has split its slot, and the halves are empty.
    WorkerAfterTombstone,
    /// A worker has filled the first half of its split slot, and the second is empty.
    WorkerBetweenHalves,
    /// A worker has published its results and has not reported that.
    WorkerBeforeReport,
    /// A worker was told to end, and has published nothing of what it has finished.
    WorkerDraining,
    /// A coordinator has claimed an epoch and has not recovered its jobs.
    CoordinatorClaimed,
    /// A coordinator has written a job's plan, and nothing else of the job.
    CoordinatorPlanned,
    /// A coordinator has written everything of a job but its specification.
    CoordinatorBeforeSpec,
    /// A coordinator has written a job's specification and has not answered.
    CoordinatorAfterSpec,
    /// A coordinator has granted leases and has not sent them.
    CoordinatorLeased,
    /// A coordinator has received the report that a slot is filled, and has not looked at the slot.
    CoordinatorReported,
    /// A coordinator is about to fill a slot that no worker could fill.
    CoordinatorBeforeFill,
    /// A coordinator has filled such a slot, and has not noted that.
    CoordinatorAfterFill,
    /// A coordinator has seen that all slots are filled, and has not written the manifest.
    CoordinatorBeforeSeal,
    /// A coordinator has written the manifest, and has told nobody.
    CoordinatorAfterSeal,
}

impl CrashPoint {
    /// Every point.
    pub const ALL: [Self; 20] = [
        Self::StoreStaged,
        Self::StoreLinked,
        Self::WorkerLeased,
        Self::WorkerBeforePut,
        Self::WorkerAfterPut,
        Self::WorkerBeforeTombstone,
        Self::WorkerAfterTombstone,
        Self::WorkerBetweenHalves,
        Self::WorkerBeforeReport,
        Self::WorkerDraining,
        Self::CoordinatorClaimed,
        Self::CoordinatorPlanned,
        Self::CoordinatorBeforeSpec,
        Self::CoordinatorAfterSpec,
        Self::CoordinatorLeased,
        Self::CoordinatorReported,
        Self::CoordinatorBeforeFill,
        Self::CoordinatorAfterFill,
        Self::CoordinatorBeforeSeal,
        Self::CoordinatorAfterSeal,
    ];

    /// Returns the name by which [`VARIABLE`] chooses the point.
    pub fn name(self) -> &'static str {
        match self {
            Self::StoreStaged => "store/staged",
            Self::StoreLinked => "store/linked",
            Self::WorkerLeased => "worker/leased",
            Self::WorkerBeforePut => "worker/before-put",
            Self::WorkerAfterPut => "worker/after-put",
            Self::WorkerBeforeTombstone => "worker/before-tombstone",
            Self::WorkerAfterTombstone => "worker/after-tombstone",
            Self::WorkerBetweenHalves => "worker/between-halves",
            Self::WorkerBeforeReport => "worker/before-report",
            Self::WorkerDraining => "worker/draining",
            Self::CoordinatorClaimed => "coordinator/claimed",
            Self::CoordinatorPlanned => "coordinator/planned",
            Self::CoordinatorBeforeSpec => "coordinator/before-spec",
            Self::CoordinatorAfterSpec => "coordinator/after-spec",
            Self::CoordinatorLeased => "coordinator/leased",
            Self::CoordinatorReported => "coordinator/reported",
            Self::CoordinatorBeforeFill => "coordinator/before-fill",
            Self::CoordinatorAfterFill => "coordinator/after-fill",
            Self::CoordinatorBeforeSeal => "coordinator/before-seal",
            Self::CoordinatorAfterSeal => "coordinator/after-seal",
        }
    }

    /// Passes the point. Aborts the process if [`VARIABLE`] names the point and the program was built
    /// with debug assertions.
    #[inline]
    pub fn pass(self) {
        if cfg!(debug_assertions) && std::env::var(VARIABLE).is_ok_and(|at| at == self.name()) {
            std::process::abort();
        }
    }
}
