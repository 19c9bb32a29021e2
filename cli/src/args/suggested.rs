//! Names that shells complete but that are checked elsewhere.
//!
//! A function may also be written as JSON, and the engine's registries answer an unknown name better
//! than clap does. So any text is accepted here, and the names are only suggested.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, Command, Error};
use whence_engine::aggregate::AGGREGATORS;
use whence_engine::methods::METHODS;
use whence_engine::step_functions::{self, STEP_FUNCTIONS};

/// Accepts any text, and suggests names with their descriptions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Suggested(fn() -> Vec<(&'static str, &'static str)>);

/// Suggests attribution methods.
pub(super) const METHOD: Suggested = Suggested(|| {
    METHODS
        .iter()
        .map(|entry| (entry.name, entry.summary))
        .collect()
});
/// Suggests step functions.
pub(super) const STEP_FUNCTION: Suggested = Suggested(|| {
    let functions = STEP_FUNCTIONS.iter();
    functions.map(|entry| (entry.name, entry.summary)).collect()
});
/// Suggests step functions that compare with another text.
pub(super) const CONTRASTIVE_FUNCTION: Suggested = Suggested(|| {
    let functions = STEP_FUNCTIONS.iter();
    let contrastive = functions.filter(|entry| step_functions::is_contrastive(entry.name));
    contrastive
        .map(|entry| (entry.name, entry.summary))
        .collect()
});
/// Suggests aggregators.
pub(super) const AGGREGATOR: Suggested = Suggested(|| {
    AGGREGATORS
        .iter()
        .map(|entry| (entry.name, entry.summary))
        .collect()
});

impl TypedValueParser for Suggested {
    type Value = String;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<String, Error> {
        StringValueParser::new().parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let names = (self.0)().into_iter();
        Some(Box::new(names.map(|(name, summary)| {
            PossibleValue::new(name).help(summary)
        })))
    }
}
