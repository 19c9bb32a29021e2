//! `whence list`: lists the available methods, step functions, aggregators and models, read from
//! the engine's own tables.

use serde_json::{Map, Value};
use whence_engine::aggregate::AGGREGATORS;
use whence_engine::methods::METHODS;
use whence_engine::model::ARCHITECTURES;
use whence_engine::step_functions::{self, STEP_FUNCTIONS};
use whence_schemas::suggest::nearest;

use crate::args::{List, Listing};
use crate::{Failure, output};

/// Explains the arguments shared by all contrastive functions, which the single entries do not
/// list.
const CONTRAST: &str = r#"
Contrastive functions compare each text with another, which --attribution-kwargs names:
    contrast_targets = null               the text to compare with; decoder-only: prompt and continuation
    contrast_sources = null               another input for the encoder
    contrast_targets_alignments = []      [[target, contrast], …] pairs of positions, or "auto"
    contrast_force_inputs = false         compare with what the model predicts after the contrast itself
In a dataset --contrast-target-field and --contrast-source-field name the fields that hold the texts.
For example: whence attribute -m MODEL -i "Open it." -g "Ouvrez-le." -fn contrast_prob_diff                  --attribution-kwargs '{"contrast_targets": "Fermez-le."}'"#;

/// An entry of the list.
struct ListedEntry {
    name: &'static str,
    aliases: &'static [&'static str],
    summary: &'static str,
    parameters: Map<String, Value>,
}

pub(super) fn run(arguments: &List) -> Result<(), Failure> {
    let mut choices = choices(arguments.what);
    if let Some(wanted) = &arguments.name {
        let names: Vec<_> = choices.iter().map(|choice| choice.name).collect();
        let suggestion = nearest(wanted, names.into_iter())
            .map_or_else(String::new, |name| format!(", did you mean `{name}`?"));
        choices.retain(|choice| choice.name == wanted || choice.aliases.contains(&wanted.as_str()));
        if choices.is_empty() {
            return Err(Failure::request(format!(
                "there is no `{wanted}`{suggestion}"
            )));
        }
    }
    let width = choices.iter().map(|choice| choice.name.len()).max();
    for choice in &choices {
        tell(choice, width.unwrap_or_default())?;
    }
    let is_contrastive = |choice: &ListedEntry| step_functions::is_contrastive(choice.name);
    if arguments.what == Listing::StepFunctions && choices.iter().any(is_contrastive) {
        output::line(CONTRAST)?;
    }
    Ok(())
}

fn tell(choice: &ListedEntry, width: usize) -> Result<(), Failure> {
    let mut text = format!("{:width$}  {}", choice.name, choice.summary);
    if !choice.aliases.is_empty() {
        text = format!("{text} (also {})", choice.aliases.join(", "));
    }
    output::line(&text)?;
    for (name, default) in &choice.parameters {
        output::line(&format!("{:width$}    {name} = {default}", ""))?;
    }
    Ok(())
}

fn choices(what: Listing) -> Vec<ListedEntry> {
    fn entries_of_table<T: ?Sized>(table: &[whence_engine::Entry<T>]) -> Vec<ListedEntry> {
        let choice = |entry: &whence_engine::Entry<T>| ListedEntry {
            name: entry.name,
            aliases: entry.aliases,
            summary: entry.summary,
            parameters: (entry.parameters)(),
        };
        table.iter().map(choice).collect()
    }
    match what {
        Listing::Methods => entries_of_table(METHODS),
        Listing::StepFunctions => entries_of_table(STEP_FUNCTIONS),
        Listing::Aggregators => entries_of_table(AGGREGATORS),
        Listing::Models => ARCHITECTURES
            .iter()
            .map(|architecture| ListedEntry {
                name: architecture.name,
                aliases: &[],
                summary: architecture.summary,
                parameters: Map::new(),
            })
            .collect(),
    }
}
