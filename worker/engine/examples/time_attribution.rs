//! Times the attribution of forced targets, loading excluded: one line of JSON for the peer comparison.
//!
//! `cargo run --release -p whence-engine --example time_attribution -- MODEL ROWS.jsonl METHOD [BATCH]`
//! where each row is `{"input": "…", "target": "…"}`. With `OUT` set, aggregated scores go there.

use std::fs;
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};
use whence_engine::{Engine, Example, ScoreRows};
use whence_schemas::job::Dtype;
use whence_schemas::{AttributionSpec, Compat};

#[expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a stopwatch that prints"
)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [model, rows, method, rest @ ..] = arguments.as_slice() else {
        return Err("usage: time_attribution MODEL ROWS.jsonl METHOD [BATCH]".into());
    };
    let batch: usize = rest.first().map_or(Ok(64), |batch| batch.parse())?;
    let mut examples = Vec::new();
    for (id, line) in fs::read_to_string(rows)?.lines().enumerate() {
        let row: Value = serde_json::from_str(line)?;
        let text = |field: &str| row[field].as_str().map(str::to_owned);
        let input_text = text("input").ok_or("a row without `input`")?;
        examples.push(Example {
            generated_text: text("target"),
            ..Example::new(id as i64, &input_text)
        });
    }
    let engine = Engine::load(Path::new(model), Dtype::Float32)?;
    let mut spec = AttributionSpec::of_method(method);
    // Inseq's own numbers, so that the two can be compared.
    spec.compat = Compat::Inseq071;
    let attributor = engine.prepare(&spec)?;
    let start = Instant::now();
    let results: Vec<_> = examples
        .chunks(batch)
        .flat_map(|examples| attributor.attribute(examples))
        .collect();
    let seconds = start.elapsed().as_secs_f64();
    let failed = results.iter().filter(|result| result.is_err()).count();
    let steps: usize = results
        .iter()
        .flatten()
        .map(|attribution| attribution.steps.len())
        .sum();
    println!(
        "{}",
        json!({"seconds": seconds, "examples": results.len(), "failed": failed, "steps": steps})
    );
    if let Ok(path) = std::env::var("OUT") {
        let scores = |rows: &Option<ScoreRows>| rows.as_ref().map(|rows| rows.values.clone());
        let lines = results.iter().flatten().map(|attribution| {
            let steps: Vec<_> = attribution
                .steps
                .iter()
                .map(|step| json!([scores(&step.source), scores(&step.target)]))
                .collect();
            json!(steps).to_string()
        });
        fs::write(path, lines.collect::<Vec<_>>().join("\n"))?;
    }
    Ok(())
}
