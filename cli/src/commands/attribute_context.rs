//! `whence attribute-context`: which output tokens depend on a context, and on which of its tokens.
//!
//! The computation has its own thread, as in `attribute`, so that stopping the command does not wait
//! for it.

use tokio::task;
use whence_engine::context::{
    ContextAnalysis, ContextAttributor, ContextExample, ContextSpec, NobodyToAsk, Questions,
};
use whence_engine::{Attribution, Engine};

use super::attribute::joined;
use super::attribute_context_on_cluster;
use super::context_result::{present, targets};
use super::drawing::draw;
use super::stop::unless_stopped;
use crate::args::{AttributeContext, PictureOptions, StrategyName};
use crate::output_pair::OutputPair;
use crate::{Failure, job, output, questions, viz};

pub(super) async fn run(arguments: AttributeContext) -> Result<(), Failure> {
    let (spec, example) = job::context(&arguments)?;
    if let Some(url) = &arguments.place.cluster {
        let targets = targets(&arguments.output)?;
        return attribute_context_on_cluster::run(url, &arguments, &spec, targets).await;
    }
    check_questions(&arguments, &spec, questions::can_ask())?;
    let targets = targets(&arguments.output)?;
    let work = attribute(arguments, spec, example, targets);
    unless_stopped(work, "the text is not analyzed, and no file was written").await
}

async fn attribute(
    arguments: AttributeContext,
    spec: ContextSpec,
    example: ContextExample,
    targets: OutputPair,
) -> Result<(), Failure> {
    let model = job::locate(&arguments.model).await?;
    let (on, memory, seed) = (arguments.on.clone(), arguments.memory, arguments.seed);
    let selections = [spec.options.sensitivity, spec.options.cues];
    let computing = task::spawn_blocking(move || {
        let engine = job::engine(&on, memory, &model)?;
        compute(engine, (&spec, &example), seed)
    });
    let analysis = joined(computing.await)?;
    let attribution = &analysis.result;
    for notice in &attribution.notices {
        output::warn(notice);
    }
    if arguments.output.show_intermediate_outputs {
        show_intermediate(&arguments, &analysis)?;
    }
    present(targets, &arguments, attribution, selections)
}

fn compute(
    (engine, memory): (Engine, Option<u64>),
    (spec, example): (&ContextSpec, &ContextExample),
    seed: u64,
) -> Result<ContextAnalysis, Failure> {
    for notice in engine.notices() {
        output::warn(notice);
    }
    let mut attributor = ContextAttributor::new(&engine, spec)?.with_seed(seed);
    if let Some(bytes) = memory {
        attributor = attributor.with_memory(bytes);
    }
    let terminal = questions::at_terminal();
    let questions: &dyn Questions = if questions::can_ask() {
        &terminal
    } else {
        &NobodyToAsk
    };
    Ok(attributor.attribute(example, questions)?)
}

/// Fails if the user would have to be asked, and there is no terminal to ask on.
fn check_questions(
    arguments: &AttributeContext,
    spec: &ContextSpec,
    can_ask: bool,
) -> Result<(), Failure> {
    if can_ask {
        return Ok(());
    }
    let (texts, templates) = (&arguments.texts, &arguments.templates);
    let splits = spec.templates.has_output_context() && texts.output_context_text.is_none();
    if splits && templates.handle_output_context_strategy == StrategyName::Manual {
        return Err(Failure::request(
            "the output template has a `{context}`, and there is no terminal to ask which part of \
             the generated output it is",
        )
        .hint("give --output-context-text, or --handle-output-context-strategy auto"));
    }
    if texts.prompt_user_for_contextless_output_next_tokens {
        return Err(Failure::request(
            "--prompt-user-for-contextless-output-next-tokens: there is no terminal to ask on",
        )
        .hint("give the words as --contextless-output-next-tokens"));
    }
    Ok(())
}

/// Draws the heatmaps of both steps.
fn show_intermediate(
    arguments: &AttributeContext,
    analysis: &ContextAnalysis,
) -> Result<(), Failure> {
    let metric = [arguments.method.context_sensitivity_metric.clone()];
    show(&analysis.comparison, &metric)?;
    let mut attributions = analysis.attributions.iter();
    attributions.try_for_each(|attribution| show(attribution, &[]))
}

fn show(attribution: &Attribution, step_scores: &[String]) -> Result<(), Failure> {
    let heatmaps = viz::heatmaps(attribution, step_scores);
    draw(&heatmaps, PictureOptions::default())
}
