//! `whence attribute-context`: which output tokens depend on a context, and on which of its tokens.
//!
//! The computation has its own thread, as in `attribute`, so that stopping the command does not wait
//! for it.

use tokio::task;
use whence_engine::context::{
    ContextAttribution, ContextAttributor, ContextExample, ContextSpec, NobodyToAsk, Questions,
};
use whence_engine::{Attribution, Engine};

use super::artifacts::finished;
use super::attribute::joined;
use super::drawing::draw;
use super::stop::unless_stopped;
use crate::args::{AttributeContext, BatchOptions, ContextOutput, PictureOptions, StrategyName};
use crate::job::{ContextInfo, LocatedModel};
use crate::output_pair::{OutputPair, Shown};
use crate::viz::context::{ContextView, Description};
use crate::{Failure, context_file, job, output, questions, viz};

pub(super) async fn run(arguments: AttributeContext) -> Result<(), Failure> {
    let (spec, example) = job::context(&arguments)?;
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
    let memory = BatchOptions {
        batch_size: 1,
        memory: arguments.method.memory,
    };
    let memory = job::memory_of_each(&memory, &model, 1)?;
    let seed = arguments.method.seed;
    let computing = task::spawn_blocking(move || compute(&model, (&spec, &example), memory, seed));
    let attribution = joined(computing.await)?;
    for notice in &attribution.notices {
        output::warn(notice);
    }
    if arguments.output.show_intermediate_outputs {
        show_intermediate(&arguments, &attribution)?;
    }
    let view = ContextView::new(&attribution, description(&arguments));
    if arguments.output.shows() {
        let drawn = viz::context::render(&view, viz::Colors::of_stdout());
        output::line(drawn.trim_end())?;
    }
    write(targets, &arguments, &attribution, &view)
}

fn compute(
    model: &LocatedModel,
    (spec, example): (&ContextSpec, &ContextExample),
    memory: Option<u64>,
    seed: u64,
) -> Result<ContextAttribution, Failure> {
    let engine = Engine::load(&model.path, model.dtype)?;
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
    let texts = &arguments.texts;
    let splits = spec.templates.has_output_context() && texts.output_context_text.is_none();
    if splits && texts.handle_output_context_strategy == StrategyName::Manual {
        return Err(Failure::request(
            "the output template has a `{context}`, and there is no terminal to ask which part of \
             the generated output it is",
        )
        .hint("give --output-context-text, or --handle-output-context-strategy auto"));
    }
    if arguments
        .method
        .prompt_user_for_contextless_output_next_tokens
    {
        return Err(Failure::request(
            "--prompt-user-for-contextless-output-next-tokens: there is no terminal to ask on",
        )
        .hint("give the words as --contextless-output-next-tokens"));
    }
    Ok(())
}

fn description(arguments: &AttributeContext) -> Description {
    let selection = &arguments.selection;
    Description {
        model: arguments.model.model.clone(),
        metric: arguments.method.context_sensitivity_metric.clone(),
        method: arguments.method.attribution_method.clone(),
        function: arguments.method.function().to_owned(),
        input_current: arguments.texts.input_current_text.clone(),
        sensitivity: job::chosen(
            selection.context_sensitivity_std_threshold,
            selection.context_sensitivity_topk,
        ),
        cues: job::chosen(
            selection.attribution_std_threshold,
            selection.attribution_topk,
        ),
    }
}

/// Draws the heatmaps of both steps.
fn show_intermediate(
    arguments: &AttributeContext,
    attribution: &ContextAttribution,
) -> Result<(), Failure> {
    let metric = [arguments.method.context_sensitivity_metric.clone()];
    show(&attribution.comparison, &metric)?;
    let mut cues = attribution.cues.iter();
    cues.try_for_each(|cues| show(&cues.attribution, &[]))
}

fn show(attribution: &Attribution, step_scores: &[String]) -> Result<(), Failure> {
    let heatmaps = viz::heatmaps(attribution, step_scores);
    draw(&heatmaps, PictureOptions::default())
}

/// Creates the files that were asked for.
fn targets(display: &ContextOutput) -> Result<OutputPair, Failure> {
    let shown = Shown {
        what: "does what is shown",
        hint: "add --no-show-viz, and leave out --show-intermediate-outputs",
    };
    let shown = (display.shows() || display.show_intermediate_outputs).then_some(shown);
    let (saved, page) = (display.save_path.as_deref(), display.viz_path.as_deref());
    OutputPair::create(saved, page, shown)
}

/// Writes the files and prints their paths.
fn write(
    targets: OutputPair,
    arguments: &AttributeContext,
    attribution: &ContextAttribution,
    view: &ContextView,
) -> Result<(), Failure> {
    let display = &arguments.output;
    if let (Some(mut file), Some(path)) = (targets.saved, &display.save_path) {
        let info = display
            .saves_info()
            .then(|| ContextInfo::new(arguments, attribution));
        context_file::write(&mut file, attribution, info)?;
        finished(file, path)?;
    }
    if let (Some(mut file), Some(path)) = (targets.page, &display.viz_path) {
        viz::context::write_page(&mut file, view)?;
        finished(file, path)?;
    }
    Ok(())
}
