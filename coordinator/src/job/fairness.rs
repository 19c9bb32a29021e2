//! Divides the workers among tenants.
//!
//! Workers are divided by the slots that each tenant has leased, in proportion to the tenants' weights,
//! among those that have open jobs. A tenant that has nothing to do leaves its part to the others.

use std::collections::{BTreeMap, BTreeSet};

use super::{Job, Tenant, Tenants};

/// What each tenant has leased, and with whom it shares the workers.
pub(super) struct Leased<'j> {
    tenants: &'j Tenants,
    slots: BTreeMap<Option<&'j Tenant>, u64>,
    total: u64,
    total_weight: u64,
}

impl<'j> Leased<'j> {
    /// Counts the leased slots of these jobs. The tenants of those that are not complete share the workers.
    pub(super) fn count(jobs: &[&'j Job], tenants: &'j Tenants) -> Self {
        let mut slots = BTreeMap::new();
        let mut sharing = BTreeSet::new();
        for job in jobs {
            *slots.entry(job.tenant()).or_default() += job.leased.len() as u64;
            if !job.pending.is_empty() || !job.leased.is_empty() {
                sharing.insert(job.tenant());
            }
        }
        let weights = sharing.iter().map(|tenant| tenants.share(*tenant).weight);
        Self {
            tenants,
            total: slots.values().sum(),
            total_weight: weights.sum(),
            slots,
        }
    }

    /// Counts one more slot of a tenant.
    pub(super) fn add(&mut self, tenant: Option<&'j Tenant>) {
        *self.slots.entry(tenant).or_default() += 1;
        self.total += 1;
    }

    fn slots_of(&self, tenant: Option<&Tenant>) -> u64 {
        self.slots.get(&tenant).copied().unwrap_or_default()
    }

    /// Returns a tenant's leased slots in proportion to its weight. The tenant with the lowest comes first.
    pub(super) fn load(&self, tenant: Option<&Tenant>) -> u64 {
        // Finer than whole slots, because weights differ.
        self.slots_of(tenant) * 1_000_000 / self.tenants.share(tenant).weight
    }

    /// Returns whether a tenant has less than its part of what is leased.
    pub(super) fn is_short(&self, tenant: Option<&Tenant>) -> bool {
        let part = self.tenants.share(tenant).weight * self.total;
        self.slots_of(tenant) * self.total_weight < part
    }

    /// Returns whether a tenant may have another slot.
    pub(super) fn has_room(&self, tenant: Option<&Tenant>) -> bool {
        let most = self.tenants.share(tenant).most_slots;
        most.is_none_or(|most| self.slots_of(tenant) < most)
    }
}

#[cfg(test)]
mod tests {
    use whence_schemas::WorkerClass;

    use super::*;
    use crate::job::Timestamp;
    use crate::job::scheduler::{self, Request};
    use crate::job::tenants::TenantShare;
    use crate::job::tests::{job_of, lease};
    use crate::testing::{at, worker};

    fn tenant(name: &str) -> Tenant {
        name.parse().unwrap()
    }

    fn shares(of: &[(&str, u64, Option<u64>)]) -> Tenants {
        let share = |(name, weight, most_slots): &(&str, u64, Option<u64>)| {
            let share = TenantShare {
                weight: *weight,
                most_slots: *most_slots,
            };
            (tenant(name), share)
        };
        Tenants(of.iter().map(share).collect())
    }

    /// A worker asks for each number, and never finishes. Returns how many slots each job then has.
    fn leased(jobs: &mut [Job], tenants: &Tenants, workers: u128, now: Timestamp) -> Vec<usize> {
        for number in 0..workers {
            let request = Request {
                worker: worker(&format!("w{number}")),
                credits: 1,
                loaded: vec!["m".to_owned()],
                class: WorkerClass::default(),
            };
            let chosen = scheduler::assign(jobs.iter(), tenants, &request, now);
            for chosen in chosen {
                let job = jobs.iter_mut().find(|job| *job.id() == chosen.job).unwrap();
                lease(job, &chosen.slot, number, &format!("w{number}"), now);
            }
        }
        jobs.iter().map(|job| job.leased.len()).collect()
    }

    fn jobs() -> [Job; 2] {
        let mut second = job_of("m", &[1; 30]);
        second.set_submitted_ms(1);
        // The same rows by another team: another run, so another job.
        let spec = whence_schemas::JobSpec {
            run_id: Some("b".to_owned()),
            ..second.spec().as_ref().clone()
        };
        let rules = crate::job::tests::RULES;
        let plan = std::sync::Arc::clone(second.plan());
        let second = Job::new(std::sync::Arc::new(spec), plan, 1, rules, at(0));
        [
            job_of("m", &[1; 30]).of_tenant(Some(tenant("a"))),
            second.of_tenant(Some(tenant("b"))),
        ]
    }

    #[test]
    fn teams_get_workers_by_their_weights_whoever_came_first() {
        let even = Tenants::default();
        assert_eq!(leased(&mut jobs(), &even, 8, at(0)), [4, 4]);
        let uneven = shares(&[("b", 3, None)]);
        assert_eq!(leased(&mut jobs(), &uneven, 8, at(0)), [2, 6]);
    }

    #[test]
    fn a_team_leaves_what_it_does_not_need_and_takes_no_more_than_it_may() {
        let mut jobs = jobs();
        jobs[1].is_paused = true;
        assert_eq!(leased(&mut jobs, &Tenants::default(), 6, at(0)), [6, 0]);
        let bounded = shares(&[("a", 1, Some(2)), ("b", 1, Some(3))]);
        assert_eq!(leased(&mut self::jobs(), &bounded, 9, at(0)), [2, 3]);
    }

    #[test]
    fn jobs_of_one_team_are_served_in_their_order() {
        let mut jobs = jobs().map(|job| job.of_tenant(None));
        assert_eq!(leased(&mut jobs, &Tenants::default(), 5, at(0)), [5, 0]);
    }
}
