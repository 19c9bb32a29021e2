//! `--dry-run`: prints what a job would cost, without submitting it.
//!
//! The dataset is planned as for a submission. Some rows, spread over the whole job, are then computed
//! and their cost is extended to all rows by their estimated work.

use std::sync::Arc;
use std::time::Duration;

use indicatif::HumanBytes;
use serde_json::{Value, json};
use whence_coordinator::sample::{Sample, sample};
use whence_schemas::JobSpec;
use whence_worker::calibration::{Cost, measure};

use crate::args::{BatchOptions, DryRun, PlaceOptions};
use crate::job::Request;
use crate::output::{self, counted, grouped};
use crate::progress::DataArrivals;
use crate::{Failure, job};

/// Rows that are computed, if the time allows it.
const SAMPLED_ROWS: usize = 64;
/// Rows that are computed together. Small groups, so that a slow job is measured by more than one.
const GROUP: usize = 8;
/// After this time no further group is begun.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Prints the cost of the job that `request` describes.
pub(super) async fn run(
    request: Request<'_>,
    place: &PlaceOptions,
    batch: &BatchOptions,
    format: DryRun,
) -> Result<(), Failure> {
    let arrivals = DataArrivals::show(place.progress.mode());
    let (spec, model) = job::specification(request).await?;
    let config = job::worker_config(batch, place.workers)?;
    job::check_memory(config.memory, &model, place.workers)?;
    drop(arrivals);
    let (spec, memory) = (Arc::new(spec), config.memory);
    let estimate = estimate(&spec, &config, TIME_LIMIT).await?;
    let model = whence_engine::check_model(&model.path, model.dtype)?;
    let weights = model.memory.widened;
    if format == DryRun::Json {
        let numbers = numbers(&spec, weights, memory, &estimate);
        return output::line(&numbers.to_string());
    }
    for (name, value) in facts(&spec, weights, memory, &estimate) {
        output::line(&format!("{name:8} {value}"))?;
    }
    Ok(())
}

/// Plans a job and computes some of its rows, for `limit` or a little longer.
pub(super) async fn estimate(
    spec: &Arc<JobSpec>,
    config: &whence_worker::Config,
    limit: Duration,
) -> Result<Estimate, Failure> {
    let sample = sample(spec, SAMPLED_ROWS).await?;
    let config = whence_worker::Config {
        batch_size: config.batch_size.min(GROUP),
        ..config.clone()
    };
    let batches: Vec<_> = spread(&sample)
        .map(|row| sample.rows[row].batch.clone())
        .collect();
    let cost = measure(spec, &config, &batches, limit).await;
    let cost = cost.map_err(|failure| Failure::run(whence_schemas::chain(&failure)))?;
    Ok(Estimate::new(&sample, &cost))
}

/// Returns what is printed, for programs: sizes in bytes and times in seconds.
fn numbers(spec: &JobSpec, weights: u64, memory: Option<u64>, estimate: &Estimate) -> Value {
    json!({
        "job": spec.id().as_str(),
        "rows": estimate.rows,
        "shards": estimate.shards,
        "tokens": estimate.tokens,
        "rows_forward": estimate.forward,
        "rows_backward": estimate.backward,
        "weights_bytes": weights,
        "memory_bytes": memory,
        "table_bytes": estimate.bytes,
        "start_seconds": estimate.start.as_secs_f64(),
        "seconds": estimate.computing.as_secs_f64(),
        "measured_rows": estimate.computed,
        "failed_rows": estimate.failed,
    })
}

/// Returns the indices of the sampled rows in the order in which they are computed. Every group has
/// rows of the whole job, so that those that the time allows are a fair sample too.
fn spread(sample: &Sample) -> impl Iterator<Item = usize> + '_ {
    let count = sample.rows.len();
    let stride = count.div_ceil(GROUP).max(1);
    (0..stride).flat_map(move |first| (first..count).step_by(stride))
}

/// What the whole job costs, as far as the sample tells.
pub(super) struct Estimate {
    pub(super) rows: u64,
    pub(super) shards: u64,
    pub(super) tokens: u64,
    pub(super) computed: usize,
    pub(super) failed: usize,
    pub(super) forward: u64,
    pub(super) backward: u64,
    pub(super) bytes: u64,
    pub(super) start: Duration,
    pub(super) computing: Duration,
}

impl Estimate {
    fn new(sample: &Sample, cost: &Cost) -> Self {
        let shards = &sample.plan.shards;
        let tokens: u64 = shards.iter().map(|shard| shard.estimated_tokens).sum();
        let computed = spread(sample).take(cost.rows);
        let measured: u64 = computed.map(|row| sample.rows[row].estimated_tokens).sum();
        let factor = tokens as f64 / measured.max(1) as f64;
        let extended = |count: u64| (count as f64 * factor).round() as u64;
        let num_shards = shards.len() as u64;
        Self {
            rows: sample.plan.num_rows(),
            shards: num_shards,
            tokens,
            computed: cost.rows,
            failed: cost.failed,
            forward: extended(cost.passes.forward),
            backward: extended(cost.passes.backward),
            bytes: extended(cost.added_bytes as u64) + num_shards * cost.empty_bytes as u64,
            start: cost.start,
            computing: cost.computing.mul_f64(factor),
        }
    }
}

/// Returns the lines to print.
fn facts(
    spec: &JobSpec,
    weights: u64,
    memory: Option<u64>,
    estimate: &Estimate,
) -> Vec<(&'static str, String)> {
    let working = match memory {
        Some(bytes) => format!("at most {}", HumanBytes(bytes)),
        None => "an unknown amount".to_owned(),
    };
    let mut facts = vec![
        ("job", spec.id().to_string()),
        (
            "rows",
            format!(
                "{} in {}, about {} tokens of text",
                grouped(estimate.rows),
                counted(estimate.shards, "shard"),
                grouped(estimate.tokens)
            ),
        ),
        (
            "passes",
            format!(
                "{} rows forward and {} backward through the model",
                grouped(estimate.forward),
                grouped(estimate.backward)
            ),
        ),
        (
            "memory",
            format!(
                "{} of weights, and {working} to compute",
                HumanBytes(weights)
            ),
        ),
        ("table", format!("about {}", HumanBytes(estimate.bytes))),
        (
            "time",
            format!(
                "about {} on this machine, after {:.1} s to start; {:.1} rows/s",
                duration(estimate.computing),
                estimate.start.as_secs_f64(),
                estimate.rows as f64 / estimate.computing.as_secs_f64().max(f64::MIN_POSITIVE)
            ),
        ),
        (
            "measured",
            format!("on {} of the job", counted(estimate.computed as u64, "row")),
        ),
    ];
    if estimate.failed > 0 {
        let failed = counted(estimate.failed as u64, "row");
        facts.push(("failed", format!("{failed} of those measured")));
    }
    facts
}

/// Words a duration as finely as it can be known: seconds of minutes, minutes of hours.
pub(super) fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 60.0 {
        return format!("{seconds:.1} s");
    }
    let unit: u32 = if seconds < 3600.0 { 1 } else { 60 };
    let rounded = Duration::from_secs((seconds / f64::from(unit)).round() as u64 * u64::from(unit));
    humantime::format_duration(rounded).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_as_fine_as_it_matters() {
        assert_eq!(duration(Duration::from_millis(3260)), "3.3 s");
        assert_eq!(duration(Duration::from_millis(61_400)), "1m 1s");
        assert_eq!(duration(Duration::from_secs(7295)), "2h 2m");
    }
}
