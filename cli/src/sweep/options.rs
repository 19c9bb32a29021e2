//! The options that a cell may have: those of `attribute-dataset` that say what is computed, under the
//! same names.
//!
//! Their values go through the same parser as a command line, so a file can say what can be typed, and
//! what is refused there is refused here.

use std::any::TypeId;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Command, CommandFactory, Parser};
use whence_schemas::ordered::OrderedJson;

use super::file::{Settings, word};
use crate::Failure;
use crate::args::CellOptions;

/// The options of a cell, by their names.
#[derive(Debug)]
pub(super) struct KnownOptions(Command);

impl KnownOptions {
    pub(super) fn new() -> Self {
        Self(CellOptions::command())
    }

    /// Returns the name under which an option is declared, which may also be written with `_`, and by an
    /// alias. Fails if there is none of this name.
    pub(super) fn name(&self, written: &str) -> Result<&str, Failure> {
        if let Some(name) = self.find(written).and_then(Arg::get_long) {
            return Ok(name);
        }
        let similarity = |name: &str| strsim::jaro_winkler(name, &written.replace('_', "-"));
        let names = self.all().flat_map(names);
        let near = names.max_by(|a, b| similarity(a).total_cmp(&similarity(b)));
        let near = near.unwrap_or_default().replace('-', "_");
        Err(
            Failure::request(format!("there is no option `{written}`")).hint(format!(
                "did you mean `{near}`? The options are those of `attribute-dataset`"
            )),
        )
    }

    /// Returns whether an option has this name.
    pub(super) fn knows(&self, written: &str) -> bool {
        self.find(written).is_some()
    }

    /// Returns whether the value of this option is a map.
    pub(super) fn takes_map(&self, written: &str) -> bool {
        let names = self.find(written).and_then(Arg::get_value_names);
        names.is_some_and(|names| names.iter().any(|name| name == "JSON"))
    }

    /// Returns the declared options, for a schema.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arg> {
        let named = |argument: &&Arg| argument.get_long().is_some_and(|name| name != "help");
        self.0.get_arguments().filter(named)
    }

    fn find(&self, written: &str) -> Option<&Arg> {
        let name = written.replace('_', "-");
        self.all()
            .find(|argument| names(argument).contains(&name.as_str()))
    }

    /// Reads the options of a cell. Fails if one has a value that it cannot have, or is missing.
    pub(super) fn read(&self, settings: &Settings) -> Result<CellOptions, Failure> {
        let mut words = Vec::new();
        for (name, value) in settings {
            let argument = self.find(self.name(name)?).expect("it was just found");
            add_words(argument, value, &mut words)?;
        }
        CellOptions::try_parse_from(words).map_err(|error| refusal(&error))
    }
}

/// Returns every name of an option, the one under which it is declared first.
pub(super) fn names(argument: &Arg) -> Vec<&str> {
    let aliases = argument.get_all_aliases().unwrap_or_default();
    argument.get_long().into_iter().chain(aliases).collect()
}

/// Adds the words that set an option on a command line.
fn add_words(argument: &Arg, value: &OrderedJson, words: &mut Vec<String>) -> Result<(), Failure> {
    let name = argument.get_long().unwrap_or_default();
    match value {
        // `null` takes a default back.
        OrderedJson::Null => {}
        OrderedJson::Bool(given) if matches!(argument.get_action(), ArgAction::SetTrue) => {
            if *given {
                words.push(format!("--{name}"));
            }
        }
        OrderedJson::List(items) if matches!(argument.get_action(), ArgAction::Append) => {
            for item in items {
                check_type(argument, item)?;
                words.push(format!("--{name}={}", word(item)));
            }
        }
        value => {
            check_type(argument, value)?;
            words.push(format!("--{name}={}", word(value)));
        }
    }
    Ok(())
}

/// Fails if there are several values where one is meant, or if a text is written so that YAML reads
/// something else. A commit such as `12e4567` would be a
/// number, and silently another one.
fn check_type(argument: &Arg, value: &OrderedJson) -> Result<(), Failure> {
    let name = argument.get_long().unwrap_or_default().replace('-', "_");
    if let OrderedJson::List(_) = value {
        let refused = format!("`{name}` has one value, not the list `{}`", word(value));
        return Err(Failure::request(refused).hint("values that vary belong below `axes`"));
    }
    let is_text = argument.get_value_parser().type_id() == TypeId::of::<String>();
    if is_text && matches!(value, OrderedJson::Number(_) | OrderedJson::Bool(_)) {
        return Err(Failure::request(format!(
            "`{name}` is a text, and YAML reads `{}` as something else; write it in quotes",
            word(value)
        )));
    }
    Ok(())
}

/// Words an error of the parser without the parts that speak of a command line.
fn refusal(error: &clap::Error) -> Failure {
    let text = error.to_string();
    let said = text.split("\n\n").next().unwrap_or_default();
    let said: Vec<_> = said.split_whitespace().collect();
    let said = said.join(" ");
    let said = said.strip_prefix("error: ").unwrap_or(&said);
    let failure = Failure::request(said);
    match error.kind() {
        ErrorKind::MissingRequiredArgument => {
            failure.hint("options of every cell can be written below `defaults`")
        }
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    fn read(yaml: &str) -> Result<CellOptions, Failure> {
        let file = file::parse(&format!("defaults: {yaml}")).unwrap();
        KnownOptions::new().read(&file.defaults)
    }

    const LEAST: &str = "model: m, dataset: d, input: text";

    #[test]
    fn options_are_those_of_the_command_line() {
        let options = read(&format!(
            "{{{LEAST}, method: lime, attribution_kwargs: {{n_samples: 9}}, step_scores: [entropy, \
             probability], attribute_target: true, seed: 7, columns: [a]}}"
        ));
        let options = options.unwrap();
        assert_eq!(options.model.model, "m");
        assert_eq!(options.attribution.attribution_method, "lime");
        assert_eq!(options.attribution.step_scores, ["entropy", "probability"]);
        assert!(options.attribution.attribute_target);
        assert_eq!(options.job.seed, 7);
        // A default that is taken back.
        let options = read(&format!("{{{LEAST}, method: null}}")).unwrap();
        assert_eq!(options.attribution.attribution_method, "saliency");
    }

    #[test]
    fn what_cannot_be_typed_is_refused_by_its_name() {
        for (yaml, named) in [
            (format!("{{{LEAST}, methd: lime}}"), "methd"),
            (format!("{{{LEAST}, root: /tmp}}"), "root"),
            (format!("{{{LEAST}, dtype: int3}}"), "int3"),
            (format!("{{{LEAST}, seed: many}}"), "many"),
            (format!("{{{LEAST}, revision: 12e4}}"), "revision"),
            (format!("{{{LEAST}, method: [lime, saliency]}}"), "lime"),
            ("{model: m}".to_owned(), "--input-text-field"),
        ] {
            let refused = read(&yaml).unwrap_err();
            assert!(
                refused.message().contains(named),
                "{yaml}: {}",
                refused.message()
            );
        }
    }
}
