//! What happened to a job, and the one check of what it left behind.
//!
//! Whatever a test does to a cluster, its job must end as one that nobody disturbed: [`Undisturbed`] is
//! that job, [`violations`] lists every difference, and [`History`] counts what the cluster survived.
//! Every cluster suite ends with [`History::ends_as`], which prints the figures with the test's seed.

mod objects;
mod rows;
mod violation;

pub use objects::strays;
pub use violation::{Row, Violation, violations};

use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::path::Path;
use std::time::Duration;

use arrow::array::RecordBatch;
use tokio::time::Instant;
use whence_proto::v1::JobState;
use whence_schemas::{Attempt, JobSpec, SlotId};

use crate::buckets::Bucket;
use crate::cluster::Cluster;
use crate::machines::Machines;
use crate::table;

/// The result of a job that nobody disturbed.
#[derive(Debug)]
pub struct Undisturbed {
    spec: JobSpec,
    /// All rows, sorted.
    rows: RecordBatch,
    /// Rows of the dataset, and how many of them have an error row.
    counts: (u64, u64),
}

impl Undisturbed {
    /// Runs a job on a cluster in this process.
    ///
    /// # Panics
    ///
    /// If it does not complete.
    pub async fn run(spec: &JobSpec) -> Self {
        let root = tempfile::tempdir().expect("a temporary folder");
        let cluster = Cluster::with_worker(root.path().display()).await;
        let status = cluster.run(spec).await;
        assert_eq!(status.state(), JobState::Sealed, "{status:?}");
        cluster.stop().await;
        Self::read(root.path(), spec)
    }

    /// Reads a job that was completed at `root` without any disturbance.
    pub fn read(root: &Path, spec: &JobSpec) -> Self {
        let manifest = table::sealed(root, spec);
        Self {
            spec: spec.clone(),
            rows: table::read(root, spec),
            counts: (manifest.rows, manifest.errors),
        }
    }

    /// Returns the rows, sorted by example and sample.
    pub fn rows(&self) -> &RecordBatch {
        &self.rows
    }
}

/// What a test did to a job, and what that cost.
#[derive(Debug)]
pub struct History {
    test: &'static str,
    seed: Option<u64>,
    start: Instant,
    kills: usize,
    faults: usize,
    /// Attempts that were started; none if nobody listened to the workers.
    attempts: Option<BTreeSet<(SlotId, Attempt)>>,
    /// How many of them may leave nothing in the table.
    most_recomputed: usize,
    /// How long each coordinator took until it answered.
    restarts: Vec<Duration>,
    notes: Vec<String>,
}

/// What a disturbed job cost. There are no duplicates and no losses: the check fails before.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// The test.
    pub test: &'static str,
    /// The seed of what it did, if that was random.
    pub seed: Option<u64>,
    /// Processes that were killed, stopped or crashed.
    pub kills: usize,
    /// Requests that went wrong.
    pub faults: usize,
    /// Attempts that left nothing in the table, so that their slots were computed again. None if nobody
    /// listened to the workers.
    pub recomputed: Option<usize>,
    /// Files of the table.
    pub slots: usize,
    /// The longest time until a coordinator answered again.
    pub served_again: Option<Duration>,
    /// From the beginning to the end of the history.
    pub lasted: Duration,
    /// What else the test has to say.
    pub notes: Vec<String>,
}

impl History {
    /// Begins the history of a test that does nothing at random.
    pub fn begin(test: &'static str) -> Self {
        Self {
            test,
            seed: None,
            start: Instant::now(),
            kills: 0,
            faults: 0,
            attempts: None,
            most_recomputed: usize::MAX,
            restarts: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Begins the history of a test whose disturbances follow from `seed`.
    pub fn of_seed(test: &'static str, seed: u64) -> Self {
        Self {
            seed: Some(seed),
            ..Self::begin(test)
        }
    }

    /// Counts a process that was killed, stopped or crashed.
    pub fn killed(&mut self) {
        self.kills += 1;
    }

    /// Returns how many processes were killed, stopped or crashed.
    pub fn kills(&self) -> usize {
        self.kills
    }

    /// Counts requests that went wrong.
    pub fn went_wrong(&mut self, faults: usize) {
        self.faults += faults;
    }

    /// Notes how long a coordinator took until it answered again.
    pub fn served_again_after(&mut self, away: Duration) {
        self.restarts.push(away);
    }

    /// Notes which attempts the workers of a cluster have started.
    pub fn saw(&mut self, machines: &Machines) {
        let seen = self.attempts.get_or_insert_default();
        seen.extend(machines.attempts());
    }

    /// Says how many attempts may have to be computed again, because of what was killed.
    pub fn costs_at_most(&mut self, attempts: usize) {
        self.most_recomputed = attempts;
    }

    /// Adds something to what is printed.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Checks that the job at `root` ended like the undisturbed one. Prints and returns the figures.
    ///
    /// # Panics
    ///
    /// With every difference, if there is one, and if more was computed again than the kills explain.
    pub fn ends_as(self, undisturbed: &Undisturbed, root: &Path) -> Figures {
        let found = violations(root, undisturbed);
        let most_recomputed = self.most_recomputed;
        let figures = self.figures(undisturbed, root);
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert!(found.is_empty(), "{figures}\n  {}", found.join("\n  "));
        let is_cheap = figures
            .recomputed
            .is_none_or(|lost| lost <= most_recomputed);
        assert!(is_cheap, "{figures}; more than {most_recomputed} attempts");
        tell(&figures);
        figures
    }

    /// Checks a job in the folder `root` of a bucket, as [`History::ends_as`].
    pub fn ends_in_bucket_as(self, undisturbed: &Undisturbed, bucket: &Bucket) -> Figures {
        let copy = tempfile::tempdir().expect("a temporary folder");
        bucket.download("root", copy.path());
        self.ends_as(undisturbed, copy.path())
    }

    fn figures(self, undisturbed: &Undisturbed, root: &Path) -> Figures {
        let written = objects::attempts(root, &undisturbed.spec);
        let is_lost = |(_, attempt): &&(SlotId, Attempt)| !written.contains(attempt);
        let lost = self
            .attempts
            .map(|seen| seen.iter().filter(is_lost).count());
        Figures {
            test: self.test,
            seed: self.seed,
            kills: self.kills,
            faults: self.faults,
            recomputed: lost,
            slots: table::files(root, &undisturbed.spec).len(),
            served_again: self.restarts.into_iter().max(),
            lasted: self.start.elapsed(),
            notes: self.notes,
        }
    }
}

impl Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            test,
            kills,
            faults,
            recomputed,
            slots,
            ..
        } = self;
        write!(f, "{test}: ")?;
        if let Some(seed) = self.seed {
            write!(f, "seed {seed}, ")?;
        }
        write!(f, "{kills} kills and {faults} faults survived, ")?;
        if let Some(recomputed) = recomputed {
            write!(f, "{recomputed} attempts computed again, ")?;
        }
        write!(f, "{slots} files, 0 duplicates, 0 losses")?;
        if let Some(away) = self.served_again {
            write!(f, ", served again after {:.1} s", away.as_secs_f64())?;
        }
        write!(f, ", {:.1} s in all", self.lasted.as_secs_f64())?;
        self.notes.iter().try_for_each(|note| write!(f, ", {note}"))
    }
}

#[expect(
    clippy::print_stderr,
    reason = "figures belong into the output of the test"
)]
fn tell(figures: &Figures) {
    eprintln!("{figures}");
}
