//! Shows the result of `attribute-context` and writes its files.

use whence_engine::context::ContextAttribution;
use whence_schemas::Selection;

use super::artifacts::finished;
use super::drawing::draw_context;
use crate::args::{AttributeContext, ContextOutput};
use crate::job::ContextInfo;
use crate::output_pair::{OutputPair, Shown};
use crate::viz::context::{ContextView, Description};
use crate::{Failure, context_file, viz};

/// Creates the files that were asked for.
pub(super) fn targets(display: &ContextOutput) -> Result<OutputPair, Failure> {
    let shown = Shown {
        what: "does what is shown",
        hint: "add --no-show-viz, and leave out --show-intermediate-outputs",
    };
    let shown = (display.shows() || display.show_intermediate_outputs).then_some(shown);
    let (saved, page) = (display.save_path.as_deref(), display.viz_path.as_deref());
    OutputPair::create(saved, page, shown)
}

/// Shows the result and writes the files. `selections` are those of context-sensitive tokens and of
/// their cues.
pub(super) fn present(
    targets: OutputPair,
    arguments: &AttributeContext,
    attribution: &ContextAttribution,
    selections: [Selection; 2],
) -> Result<(), Failure> {
    let view = ContextView::new(attribution, description(arguments, selections));
    if arguments.output.shows() {
        draw_context(&view)?;
    }
    write(targets, arguments, attribution, &view)
}

fn description(arguments: &AttributeContext, [sensitivity, cues]: [Selection; 2]) -> Description {
    Description {
        model: arguments.model.model.clone(),
        metric: arguments.method.context_sensitivity_metric.clone(),
        method: arguments.method.attribution_method.clone(),
        function: arguments.method.function().to_owned(),
        input_current: arguments.texts.input_current_text.clone(),
        sensitivity,
        cues,
    }
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
