//! Times the attribution of forced targets, without loading and the first batch, and prints one
//! line of JSON for the peer comparison.
//!
//! `cargo run --release -p whence-engine --example time_attribution -- MODEL ROWS.jsonl SPEC.json
//! BATCH` where each row is `{"input": "…", "target": "…"}` and `SPEC.json` has the attribution
//! specification of a job. If `OUT` is set, one line of scores per example is written there. The
//! model computes on the device that `WHENCE_DEVICE` names: `cpu`, if it is not set, or `cuda:0`.

use std::fs;
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};
use whence_engine::{Attribution, Engine, Example, Place, ScoreRows};
use whence_schemas::AttributionSpec;
use whence_schemas::job::Dtype;

/// Linux reports processor time in hundredths of a second.
const TICK: f64 = 0.01;

#[expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a stopwatch that prints"
)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [model, rows, spec, batch] = arguments.as_slice() else {
        return Err("usage: time_attribution MODEL ROWS.jsonl SPEC.json BATCH".into());
    };
    let examples = read_examples(&fs::read_to_string(rows)?)?;
    let spec: AttributionSpec = serde_json::from_str(&fs::read_to_string(spec)?)?;
    let batch: usize = batch.parse()?;
    let device = std::env::var("WHENCE_DEVICE").unwrap_or_else(|_| "cpu".to_owned());
    let place = Place::open(device.parse()?)?;
    let engine = Engine::load_at(Path::new(model), Dtype::Float32, None, place)?;
    let attributor = engine.prepare(&spec)?;

    let attribute_all = || {
        let batches = examples.chunks(batch);
        batches.flat_map(|examples| attributor.attribute(examples))
    };

    // Warm up: the first batch packs the weights for the backward pass and touches its memory for
    // the first time. The peer is warm as well, because its first run does not count either.
    attribute_all().take(1).for_each(drop);
    let (start, cpu_before) = (Instant::now(), processor_seconds()?);
    let results: Vec<_> = attribute_all().collect();
    let (seconds, cpu_after) = (start.elapsed().as_secs_f64(), processor_seconds()?);

    let attributions: Vec<_> = results.into_iter().collect::<Result<_, _>>()?;
    let steps: usize = attributions.iter().map(|a| a.steps.len()).sum();
    let cpu_seconds = cpu_after - cpu_before;
    println!(
        "{}",
        json!({"seconds": seconds, "cpu_seconds": cpu_seconds, "steps": steps})
    );
    if let Ok(path) = std::env::var("OUT") {
        let lines: Vec<_> = attributions.iter().map(scores).collect();
        fs::write(path, lines.join("\n"))?;
    }
    Ok(())
}

fn read_examples(rows: &str) -> Result<Vec<Example>, Box<dyn std::error::Error>> {
    let mut examples = Vec::new();
    for (id, line) in rows.lines().enumerate() {
        let row: Value = serde_json::from_str(line)?;
        let text = |field: &str| {
            row[field]
                .as_str()
                .ok_or(format!("a row without `{field}`"))
        };
        examples.push(Example::new(id as i64, text("input")?).with_generated_text(text("target")?));
    }
    Ok(examples)
}

/// Returns the processor time used so far by all threads, in seconds.
fn processor_seconds() -> Result<f64, Box<dyn std::error::Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The second field, the program's name, is in parentheses and may hold spaces.
    let (_, fields) = stat.rsplit_once(')').ok_or("an unknown /proc/self/stat")?;
    let ticks: f64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse::<f64>().unwrap_or_default())
        .sum();
    Ok(ticks * TICK)
}

/// Returns the scores of an example as JSON: those of the source and of the prefix for each step.
fn scores(attribution: &Attribution) -> String {
    let side = |rows: &Option<ScoreRows>| rows.as_ref().map(|rows| rows.values.clone());
    let steps: Vec<_> = attribution
        .steps
        .iter()
        .map(|step| json!([side(&step.source), side(&step.target)]))
        .collect();
    json!(steps).to_string()
}
