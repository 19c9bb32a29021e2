//! What is left of a sweep, and what that would cost.

use std::sync::Arc;
use std::time::Duration;

use indicatif::HumanBytes;
use serde_json::json;
use whence_coordinator::sample::sample;
use whence_worker::Config;

use super::super::dry_run::{Estimate, duration, estimate};
use super::planning::PlannedJob;
use super::states::States;
use crate::Failure;
use crate::args::DryRun;
use crate::output::{self, counted, grouped};
use crate::sweep::Budget;

/// How long all jobs together are measured, each for its part of it.
const MEASURED_FOR: Duration = Duration::from_mins(1);
/// The shortest measurement of a job that means something, and the longest one that is needed.
const SHORTEST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(10);

/// Returns how many rows of these jobs are not computed yet.
pub(super) async fn rows(jobs: &[&PlannedJob], states: &States) -> Result<u64, Failure> {
    let mut rows = 0;
    for job in jobs {
        rows += match states.get(&job.spec.id()) {
            Some(status) => status.rows_total.saturating_sub(status.rows_done),
            None => sample(&job.spec, 0).await?.plan.num_rows(),
        };
    }
    Ok(rows)
}

/// Prints what it would cost to compute these jobs, each as if nothing of it were there.
pub(super) async fn run(
    jobs: &[&PlannedJob],
    config: &Config,
    budget: &Budget,
    format: DryRun,
) -> Result<(), Failure> {
    let mut all = Vec::new();
    let count = u32::try_from(jobs.len().max(1)).unwrap_or(u32::MAX);
    let limit = (MEASURED_FOR / count).clamp(SHORTEST, LONGEST);
    for job in jobs {
        let spec = Arc::new(job.spec.clone());
        all.push(estimate(&spec, config, limit).await?);
    }
    let sum = |of: fn(&Estimate) -> u64| all.iter().map(of).sum::<u64>();
    let time: Duration = all.iter().map(|job| job.start + job.computing).sum();
    if format == DryRun::Json {
        let cost = json!({
            "jobs": all.len(),
            "rows": sum(|job| job.rows),
            "shards": sum(|job| job.shards),
            "tokens": sum(|job| job.tokens),
            "rows_forward": sum(|job| job.forward),
            "rows_backward": sum(|job| job.backward),
            "table_bytes": sum(|job| job.bytes),
            "seconds": time.as_secs_f64(),
            "price": budget.price(time),
        });
        return output::line(&cost.to_string());
    }
    for (job, cost) in jobs.iter().zip(&all) {
        output::line(&format!(
            "{}  {}, about {}",
            job.spec.id(),
            counted(cost.rows, "row"),
            duration(cost.start + cost.computing)
        ))?;
    }
    let mut lines = vec![
        format!(
            "all      {} in {} and {}",
            counted(sum(|job| job.rows), "row"),
            counted(all.len() as u64, "job"),
            counted(sum(|job| job.shards), "shard")
        ),
        format!(
            "passes   {} rows forward and {} backward through the models",
            grouped(sum(|job| job.forward)),
            grouped(sum(|job| job.backward))
        ),
        format!("tables   about {}", HumanBytes(sum(|job| job.bytes))),
        format!(
            "time     about {} on one machine like this one",
            duration(time)
        ),
    ];
    if let Some(price) = budget.price(time) {
        lines.push(format!("price    about {price:.2}"));
    }
    lines.iter().try_for_each(|line| output::line(line))
}
