//! `whence attribute`: single texts on the engine itself; no store, no coordinator.

use whence_engine::{Attribution, Engine, Example};
use whence_schemas::RowId;

use super::artifacts::Files;
use crate::args::Attribute;
use crate::{Failure, job, output, viz};

pub(super) fn run(arguments: &Attribute) -> Result<(), Failure> {
    let spec = job::attribution(&arguments.attribution)?;
    let examples = examples(arguments)?;
    let folder = job::folder(&arguments.model)?;
    let engine = Engine::load(&folder, arguments.model.dtype.into())?;
    for notice in engine.notices() {
        output::warn(notice);
    }
    let mut attributor = engine.prepare(&spec)?.with_seed(arguments.seed);
    if let Some(bytes) = arguments.batch.memory_of_each(1) {
        attributor = attributor.with_memory(bytes);
    }
    let names = attributor.step_score_names();
    let mut files = Files::create(&arguments.display, &spec, &names, &arguments.model.model)?;
    let (mut attributed, mut failures) = (0, Vec::new());
    for batch in examples.chunks(arguments.batch.batch_size.max(1)) {
        let results = attributor.attribute_samples(batch);
        for (example, id, result) in numbered(batch, results) {
            match result {
                Ok(attribution) => {
                    check_drawable(&attribution, arguments)?;
                    show(&attribution, &names, arguments)?;
                    files.add(id, &example.input_text, &attribution)?;
                    attributed += 1;
                }
                Err(error) => failures.push((id, Failure::from(error))),
            }
        }
    }
    files.finish()?;
    if let ([(_, failure)], 0) = (&failures[..], attributed) {
        return Err(failure.clone());
    }
    for (id, failure) in &failures {
        eprintln!("{id}: {}", failure.message());
    }
    if attributed == 0 {
        return Err(Failure::run("none of the texts could be attributed"));
    }
    Ok(())
}

/// Returns every result with the example and the sequence of it that it belongs to.
fn numbered<T>(
    examples: &[Example],
    results: Vec<Vec<T>>,
) -> impl Iterator<Item = (&Example, RowId, T)> {
    examples.iter().zip(results).flat_map(|(example, samples)| {
        let id = |sample| RowId {
            example: example.id,
            sample,
        };
        let samples = (0..).zip(samples);
        samples.map(move |(sample, result)| (example, id(sample), result))
    })
}

fn examples(arguments: &Attribute) -> Result<Vec<Example>, Failure> {
    let (inputs, targets) = (
        &arguments.texts.input_texts,
        &arguments.texts.generated_texts,
    );
    if !targets.is_empty() && targets.len() != inputs.len() {
        return Err(Failure::request(format!(
            "there are {} input texts and {} generated texts; give one for each, or none",
            inputs.len(),
            targets.len()
        )));
    }
    let example = |(index, input): (usize, &String)| Example {
        generated_text: targets.get(index).cloned(),
        ..Example::new(index as i64, input)
    };
    Ok(inputs.iter().enumerate().map(example).collect())
}

/// Fails if raw scores are to be drawn, which have no one number a token.
fn check_drawable(attribution: &Attribution, arguments: &Attribute) -> Result<(), Failure> {
    let scores = attribution
        .steps
        .iter()
        .flat_map(|step| [step.source.as_ref(), step.target.as_ref()]);
    let is_raw = scores.flatten().any(|rows| !rows.row_shape.is_empty());
    let is_drawn = !arguments.display.hide_attributions || arguments.display.viz_path.is_some();
    if is_raw && is_drawn {
        return Err(Failure::request(
            "these scores are not one a token, so they have no heatmap; name more aggregators, \
             or save them: --hide-attributions --save-path FILE",
        ));
    }
    Ok(())
}

fn show(
    attribution: &Attribution,
    step_scores: &[String],
    arguments: &Attribute,
) -> Result<(), Failure> {
    if arguments.display.hide_attributions {
        return Ok(());
    }
    for heatmap in viz::heatmaps(attribution, step_scores) {
        let drawn = viz::render(&heatmap, output::width(), viz::Colors::of_stdout());
        output::line(&drawn)?;
    }
    Ok(())
}
