//! What each role may do: one row per call.

use std::fmt;
use std::str::FromStr;

/// What the holder of a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Take slots and report on them.
    Worker,
    /// See jobs, submit, retry, pause and cancel them.
    Submitter,
    /// See jobs.
    Viewer,
    /// Everything.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Worker, Self::Submitter, Self::Viewer, Self::Admin];

    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Submitter => "submitter",
            Self::Viewer => "viewer",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|role| role.name() == text);
        let names = Self::ALL.map(Self::name).join("`, `");
        found.ok_or_else(|| format!("`{text}` is not a role; there are `{names}`"))
    }
}

/// The calls, and besides admins the roles that may make them.
const CALLS: &[(&str, &[Role])] = &[
    ("/attribution.v1.JobService/SubmitJob", &[Role::Submitter]),
    ("/attribution.v1.JobService/RetryJob", &[Role::Submitter]),
    ("/attribution.v1.JobService/CancelJob", &[Role::Submitter]),
    ("/attribution.v1.JobService/PauseJob", &[Role::Submitter]),
    ("/attribution.v1.JobService/ResumeJob", &[Role::Submitter]),
    (
        "/attribution.v1.JobService/GetJob",
        &[Role::Submitter, Role::Viewer],
    ),
    (
        "/attribution.v1.JobService/ListJobs",
        &[Role::Submitter, Role::Viewer],
    ),
    (
        "/attribution.v1.JobService/WatchJob",
        &[Role::Submitter, Role::Viewer],
    ),
    ("/attribution.v1.WorkerService/Register", &[Role::Worker]),
    (
        "/attribution.v1.WorkerService/AcquireShards",
        &[Role::Worker],
    ),
    ("/attribution.v1.WorkerService/FetchShard", &[Role::Worker]),
    ("/attribution.v1.WorkerService/Heartbeat", &[Role::Worker]),
    (
        "/attribution.v1.WorkerService/CompleteShard",
        &[Role::Worker],
    ),
    ("/attribution.v1.WorkerService/FailShard", &[Role::Worker]),
    (
        "/attribution.v1.WorkerService/ReleaseShards",
        &[Role::Worker],
    ),
];

/// Calls that anybody may make: whether the coordinator serves is what a load balancer asks.
const OPEN: &str = "/grpc.health.v1.Health/";

/// Returns whether a call needs no token.
pub(super) fn is_open(call: &str) -> bool {
    call.starts_with(OPEN)
}

/// Returns whether the holders of a role may make a call. Calls that are not listed are for admins.
pub(crate) fn may(role: Role, call: &str) -> bool {
    let listed = CALLS.iter().find(|(name, _)| *name == call);
    role == Role::Admin || listed.is_some_and(|(_, roles)| roles.contains(&role))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_listed() {
        let jobs = include_str!("../../../proto/attribution/v1/job_service.proto");
        let workers = include_str!("../../../proto/attribution/v1/worker_service.proto");
        let mut calls = Vec::new();
        for (service, text) in [("JobService", jobs), ("WorkerService", workers)] {
            let names = text.lines().filter_map(|line| {
                let (name, _) = line.trim().strip_prefix("rpc ")?.split_once('(')?;
                Some(format!("/attribution.v1.{service}/{name}"))
            });
            calls.extend(names);
        }
        let mut listed: Vec<_> = CALLS.iter().map(|(name, _)| (*name).to_owned()).collect();
        calls.sort();
        listed.sort();
        assert_eq!(listed, calls);
    }

    #[test]
    fn a_role_may_do_its_work_and_no_more() {
        let may = |role, name: &str| may(role, &format!("/attribution.v1.{name}"));
        for (role, allowed, refused) in [
            (
                Role::Worker,
                "WorkerService/FailShard",
                "JobService/CancelJob",
            ),
            (
                Role::Submitter,
                "JobService/CancelJob",
                "WorkerService/FetchShard",
            ),
            (Role::Viewer, "JobService/WatchJob", "JobService/SubmitJob"),
        ] {
            assert!(may(role, allowed), "{role}");
            assert!(!may(role, refused), "{role}");
            assert!(!may(role, "JobService/AnotherCall"), "{role}");
        }
        assert!(may(Role::Admin, "JobService/AnotherCall"));
        assert!(is_open("/grpc.health.v1.Health/Check"));
        assert_eq!("viewer".parse(), Ok(Role::Viewer));
        assert!("root".parse::<Role>().unwrap_err().contains("`submitter`"));
    }
}
