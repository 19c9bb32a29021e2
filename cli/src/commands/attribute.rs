//! `whence attribute`: runs the engine directly on single texts, without a store or coordinator.
//!
//! The computation has its own thread. The code here shows and writes results as they arrive, so
//! stopping the command does not have to wait for the computation and leaves no half-written file.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::task;
use whence_engine::{Attribution, Example, GivenTexts};
use whence_schemas::{AttributionSpec, RowId};

use super::artifacts::{Targets, effective_aggregators, origin_of};
use super::attribute_on_cluster;
use super::stop::unless_stopped;
use super::tally::{Tally, show};
use crate::args::Attribute;
use crate::inseq_file::{ModelClasses, Origin};
use crate::job::LocatedModel;
use crate::{Failure, job, output};

/// One sequence of an example.
struct Sequence {
    id: RowId,
    input_text: String,
    result: Result<Attributed, Failure>,
}

/// An attribution as it is shown and as it is saved.
struct Attributed {
    shown: Attribution,
    /// With raw scores, if these are saved.
    raw: Option<Attribution>,
}

pub(super) async fn run(arguments: Attribute) -> Result<(), Failure> {
    let spec = job::attribution(&arguments.attribution, &arguments.model)?;
    let examples = examples(&arguments)?;
    let targets = Targets::create(&arguments.display)?;
    if let Some(url) = &arguments.place.cluster {
        return attribute_on_cluster::run(url, &arguments, spec, targets).await;
    }
    let work = attribute(arguments, spec, examples, targets);
    unless_stopped(
        work,
        "not every text is attributed, and no file was written",
    )
    .await
}

async fn attribute(
    arguments: Attribute,
    mut spec: AttributionSpec,
    examples: Vec<Example>,
    targets: Targets,
) -> Result<(), Failure> {
    let model = job::locate(&arguments.model).await?;
    job::locate_sampler(&mut spec).await?;
    let classes = ModelClasses::of_model(&model.path);
    let arguments = Arc::new(arguments);
    let (loaded, names) = oneshot::channel();
    // At most one finished batch waits to be shown, so that results do not pile up in memory.
    let (attributed, mut batches) = mpsc::channel(1);
    let computing = task::spawn_blocking({
        let (arguments, spec) = (Arc::clone(&arguments), spec.clone());
        move || compute((&arguments, &model), &spec, &examples, (loaded, attributed))
    });
    let Ok(names) = names.await else {
        // The model could not be loaded; the thread's result says why.
        return joined(computing.await);
    };
    let origin = Origin {
        aggregators: (!saves_raw(&arguments)).then(|| effective_aggregators(&spec)),
        ..origin_of(&arguments.display, &arguments.model.model, classes)
    };
    let mut files = targets.begin(&spec, &names, origin)?;
    let mut tally = Tally::default();
    while let Some(batch) = batches.recv().await {
        for sequence in batch {
            match sequence.result {
                Ok(attributed) => {
                    check_drawable(&attributed.shown, &arguments)?;
                    show(&attributed.shown, &names, &arguments.display)?;
                    let Attributed { shown, raw } = &attributed;
                    let saved = raw.as_ref().unwrap_or(shown);
                    files.add_both(sequence.id, &sequence.input_text, (shown, saved))?;
                    tally.attributed += 1;
                }
                Err(failure) => tally.failures.push((sequence.id, failure)),
            }
        }
    }
    joined(computing.await)?;
    tally.conclude(files)
}

/// Attributes `examples` batch by batch.
///
/// Sends the names of the step scores once the model is loaded, then the results of each batch.
/// Ends early if the receiver is gone, which means that the command was stopped.
fn compute(
    (arguments, model): (&Attribute, &LocatedModel),
    spec: &AttributionSpec,
    examples: &[Example],
    (loaded, attributed): (oneshot::Sender<Vec<String>>, mpsc::Sender<Vec<Sequence>>),
) -> Result<(), Failure> {
    let given = GivenTexts {
        generated: !arguments.texts.generated_texts.is_empty(),
        ..GivenTexts::default()
    };
    whence_engine::check_request(spec, given)?;
    let (on, memory) = (&arguments.batch.on, arguments.batch.memory);
    let (engine, memory) = job::engine(on, memory, model)?;
    for notice in engine.notices() {
        output::warn(notice);
    }
    let mut attributor = engine.prepare(spec)?.with_seed(arguments.seed);
    if let Some(bytes) = memory {
        attributor = attributor.with_memory(bytes);
    }
    let mut batch_size = arguments.batch.batch_size.max(1);
    if saves_raw(arguments) {
        attributor = attributor.with_raw_scores();
        // The raw scores of a long text take gigabytes, so there are those of one text at a time.
        batch_size = 1;
    }
    // The receiver may be gone already. That is noticed when the first batch is sent.
    let _ = loaded.send(attributor.step_score_names());
    for batch in examples.chunks(batch_size) {
        let results = attributor.attribute_samples(batch);
        let finished = |example: &Example, result: Result<Attribution, _>| {
            let attribution = result?;
            if !saves_raw(arguments) {
                return Ok(Attributed {
                    shown: attribution,
                    raw: None,
                });
            }
            let shown = attributor.aggregated(&attribution, example)?;
            Ok(Attributed {
                shown,
                raw: Some(attribution),
            })
        };
        let sequences = numbered(batch, results).map(|(example, id, result)| Sequence {
            id,
            input_text: example.input_text.clone(),
            result: finished(example, result),
        });
        if attributed.blocking_send(sequences.collect()).is_err() {
            break;
        }
    }
    Ok(())
}

/// Returns whether raw scores are saved: those of `--save-path`, unless aggregators are named.
fn saves_raw(arguments: &Attribute) -> bool {
    arguments.display.save_path.is_some() && arguments.attribution.attribution_aggregators.is_none()
}

/// Returns the result of the computing thread, and turns a panic into a failure.
pub(super) fn joined<T>(ended: Result<Result<T, Failure>, task::JoinError>) -> Result<T, Failure> {
    ended.unwrap_or_else(|error| Err(Failure::of_thread("computation", error)))
}

/// Pairs every result with its example and its row id, which counts the example's sequences from 0.
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

/// Fails if raw scores would have to be drawn: they have more than one number per token.
fn check_drawable(attribution: &Attribution, arguments: &Attribute) -> Result<(), Failure> {
    let is_drawn = !arguments.display.hide_attributions || arguments.display.viz_path.is_some();
    if attribution.has_raw_scores() && is_drawn {
        return Err(Failure::request(
            "these scores are not one per token, so they have no heatmap; name more aggregators, \
             or save them: --hide-attributions --save-path FILE",
        ));
    }
    Ok(())
}
