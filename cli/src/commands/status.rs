//! `whence status`: prints the state and progress of one job or of all jobs.

use serde_json::{Value, json};
use whence_proto::v1::JobStatus;

use crate::Failure;
use crate::args::Status;
use crate::output::{self, counted, grouped, state_name};
use crate::remote::Jobs;

pub(super) async fn run(arguments: Status) -> Result<(), Failure> {
    let mut jobs = Jobs::connect((&arguments.coordinator).into()).await?;
    let Some(job) = &arguments.job else {
        let all = jobs.list().await?;
        if all.is_empty() {
            eprintln!("no job was submitted yet");
        }
        for status in &all {
            tell(status, None, arguments.json)?;
        }
        return Ok(());
    };
    let id = jobs.find(job).await?;
    let (status, spec) = jobs.get(&id).await?;
    tell(&status, Some(&spec), arguments.json)
}

fn tell(status: &JobStatus, spec: Option<&str>, as_json: bool) -> Result<(), Failure> {
    if as_json {
        return output::line(&to_json(status, spec).to_string());
    }
    output::line(&describe(status))?;
    if spec.is_some() {
        output::line(&format!("  table   {}", status.table))?;
        output::line(&format!(
            "  slots   {} of {} filled, {} being worked on by {}",
            grouped(status.slots_done),
            grouped(status.slots_total),
            grouped(status.slots_leased),
            counted(status.workers, "worker")
        ))?;
    }
    Ok(())
}

/// Describes a job's state and progress in one line.
pub(super) fn describe(status: &JobStatus) -> String {
    let state = state_name(status);
    let mut text = format!(
        "{}  {state:9}  {} of {}",
        status.job_id,
        grouped(status.rows_done),
        counted(status.rows_total, "row")
    );
    if status.rows_failed > 0 {
        text = format!("{text}, {} failed", grouped(status.rows_failed));
    }
    if !status.message.is_empty() {
        text = format!("{text}: {}", status.message);
    }
    if !status.waiting_for.is_empty() {
        text = format!("{text}; waiting for a worker with {}", status.waiting_for);
    }
    text
}

fn to_json(status: &JobStatus, spec: Option<&str>) -> Value {
    let mut json = json!({
        "job": status.job_id,
        "state": state_name(status),
        "rows_total": status.rows_total,
        "rows_done": status.rows_done,
        "rows_failed": status.rows_failed,
        "rows_in_flight": status.rows_in_flight,
        "slots_total": status.slots_total,
        "slots_done": status.slots_done,
        "slots_leased": status.slots_leased,
        "tokens_done": status.tokens_done,
        "workers": status.workers,
        "table": status.table,
        "message": status.message,
        "tenant": status.tenant,
        "waiting_for": status.waiting_for,
    });
    if let Some(spec) = spec.and_then(|spec| serde_json::from_str::<Value>(spec).ok()) {
        json["spec"] = spec;
    }
    json
}
