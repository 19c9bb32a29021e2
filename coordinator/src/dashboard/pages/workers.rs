//! The workers that were heard from, and what each of them does.

use std::collections::BTreeMap;

use askama::Template;
use whence_schemas::{JobId, SlotId, WorkerId};

use super::job_line;
use crate::Error;
use crate::dashboard::context::Context;
use crate::dashboard::figures;
use crate::dashboard::markup::Markup;
use crate::dashboard::region::{Part, Region};
use crate::dashboard::view::{Tab, View};
use crate::state::State;

/// A slot that a worker computes.
#[derive(Debug)]
struct HeldSlot {
    job: JobId,
    slot: SlotId,
    rows: u64,
    rows_done: u64,
    tokens_per_second: f64,
    /// What is special about the attempt, in a word.
    note: &'static str,
}

/// A worker, copied from the state.
#[derive(Debug)]
struct WorkerLine {
    name: WorkerId,
    device: String,
    numerics: String,
    memory: String,
    state: &'static str,
    heard: String,
    slots: Vec<HeldSlot>,
}

#[derive(Template)]
#[template(path = "dashboard/worker_row.html")]
struct Row<'a> {
    id: &'a str,
    worker: &'a WorkerLine,
    speed: String,
}

#[derive(Template)]
#[template(path = "dashboard/workers.html")]
struct Workers<'a> {
    workers: &'a Region,
    is_team: bool,
}

/// Makes the page. A team sees the workers that compute its jobs.
pub(in crate::dashboard) fn view(context: &Context) -> Result<View, Error> {
    let is_team = context.visitor.caller.tenant.is_some();
    let lines = context.read(|state| lines(state, context));
    let lines = lines
        .iter()
        .filter(|line| !is_team || !line.slots.is_empty());
    let workers = Region {
        id: "workers",
        parts: lines.map(part).collect::<Result<_, _>>()?,
    };
    let page = Workers {
        workers: &workers,
        is_team,
    };
    Ok(View {
        title: "Workers".to_owned(),
        tab: Tab::Workers,
        body: Markup::of(&page)?,
        regions: vec![workers],
    })
}

fn part(line: &WorkerLine) -> Result<Part, Error> {
    // An id must not have spaces, which a name may have.
    let digest = blake3::hash(line.name.as_str().as_bytes()).to_hex();
    let id = format!("worker-{}", &digest[..16]);
    let speed = line.slots.iter().map(|held| held.tokens_per_second).sum();
    let row = Row {
        id: &id,
        worker: line,
        speed: figures::speed(speed),
    };
    let html = Markup::of(&row)?;
    Ok(Part { id, html })
}

/// Copies the workers, with those of their slots whose jobs the visitor may see.
fn lines(state: &State, context: &Context) -> Vec<WorkerLine> {
    let now = context.now();
    let ttl = context.core().config.lease_ttl;
    let mut held = held_slots(state, context);
    let lines = state.workers.present().map(|it| {
        let slots = held.remove(it.worker).unwrap_or_default();
        let silent = now.since(it.heard);
        let class = it.class;
        WorkerLine {
            name: it.worker.clone(),
            device: class.map_or_else(String::new, |class| class.device.clone()),
            numerics: class.map_or_else(String::new, |class| class.numerics.clone()),
            memory: class.map_or_else(String::new, |class| {
                let bound = class.memory.map(figures::memory);
                bound.unwrap_or_else(|| "no bound".to_owned())
            }),
            state: match (silent >= ttl, slots.is_empty()) {
                (true, _) => "silent",
                (false, true) => "idle",
                (false, false) => "working",
            },
            heard: figures::ago(silent),
            slots,
        }
    });
    lines.collect()
}

fn held_slots(state: &State, context: &Context) -> BTreeMap<WorkerId, Vec<HeldSlot>> {
    let now = context.now();
    let mut held: BTreeMap<WorkerId, Vec<HeldSlot>> = BTreeMap::new();
    let jobs = state.jobs.values();
    for job in jobs.filter(|job| context.visitor.caller.may_see(job.tenant())) {
        for (slot, lease) in job.leased() {
            let seconds = lease.age(now).as_secs_f64().max(1.0);
            let rows = job.plan().rows(slot);
            held.entry(lease.worker.clone())
                .or_default()
                .push(HeldSlot {
                    job: job.id().clone(),
                    slot: slot.clone(),
                    rows: rows.map_or(0, |rows| rows.end - rows.start),
                    rows_done: lease.rows_done,
                    tokens_per_second: lease.tokens_done as f64 / seconds,
                    note: match (lease.is_uploading, lease.is_backup) {
                        (true, _) => "uploading",
                        (false, true) => "backup",
                        (false, false) => "",
                    },
                });
        }
    }
    held
}

impl HeldSlot {
    fn short_job(&self) -> &str {
        job_line::short(&self.job)
    }
}
