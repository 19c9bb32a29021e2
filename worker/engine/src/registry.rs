//! Tables of named things: methods, step functions, aggregators.
//!
//! A table is a `const` slice, so that all entries can be read in one place, in the order they are
//! listed. The struct of an entry holds its parameters; their defaults, names and validation live
//! there.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use whence_schemas::options::{self, OptionError};
use whence_schemas::suggest::nearest;

use crate::Error;

/// What an entry says about itself before it is built.
pub(crate) trait Describe: Default + Serialize + DeserializeOwned {
    /// Public name.
    const NAME: &'static str;
    /// Other accepted names.
    const ALIASES: &'static [&'static str] = &[];
    /// One line for `whence list`.
    const SUMMARY: &'static str;
}

/// One row of a table of `T`s.
pub struct Entry<T: ?Sized> {
    /// Public name.
    pub name: &'static str,
    /// Other accepted names.
    pub aliases: &'static [&'static str],
    /// One line for `whence list`.
    pub summary: &'static str,
    /// Returns every parameter with its default.
    pub parameters: fn() -> Map<String, Value>,
    /// Builds the entry from the parameters that differ from the defaults.
    pub(crate) build: fn(&Value) -> Result<Box<T>, OptionError>,
}

/// Returns the parameters of an entry with their defaults.
pub(crate) fn parameters<D: Describe>() -> Map<String, Value> {
    match serde_json::to_value(D::default()) {
        Ok(Value::Object(parameters)) => parameters,
        // A struct without fields serializes to null.
        _ => Map::new(),
    }
}

/// Reads an entry's parameters. For an entry without parameters they are an empty object.
pub(crate) fn read<D: Describe>(parameters: &Value) -> Result<D, OptionError> {
    options::read_value(parameters)
}

/// Finds the entry called `name`. `what` names the kind of entry and `list` is the argument of
/// `whence list` that shows the table; both appear in the error.
pub(crate) fn find<'t, T: ?Sized>(
    table: &'t [Entry<T>],
    name: &str,
    what: &'static str,
    list: &'static str,
) -> Result<&'t Entry<T>, Error> {
    let found = table
        .iter()
        .find(|entry| entry.name == name || entry.aliases.contains(&name));
    found.ok_or_else(|| Error::UnknownName {
        what,
        name: name.to_owned(),
        suggestion: nearest(name, table.iter().map(|entry| entry.name)).map(str::to_owned),
        list,
    })
}

/// Finds and builds the entry called `name`.
pub(crate) fn build<T: ?Sized>(
    table: &[Entry<T>],
    name: &str,
    parameters: &Map<String, Value>,
    what: &'static str,
    list: &'static str,
) -> Result<Box<T>, Error> {
    let entry = find(table, name, what, list)?;
    let known = (entry.parameters)();
    if let Some(unknown) = parameters.keys().find(|key| !known.contains_key(*key)) {
        let known: Vec<_> = known.keys().map(String::as_str).collect();
        let reason = match (nearest(unknown, known.iter().copied()), known.is_empty()) {
            (_, true) => format!("it has no parameters, `{unknown}` was given"),
            (Some(near), _) => format!("unknown parameter `{unknown}`, did you mean `{near}`?"),
            (None, _) => format!(
                "unknown parameter `{unknown}`, it has `{}`",
                known.join("`, `")
            ),
        };
        return Err(Error::Parameters {
            what,
            name: name.to_owned(),
            reason,
        });
    }
    (entry.build)(&Value::Object(parameters.clone())).map_err(|error| Error::Parameters {
        what,
        name: name.to_owned(),
        reason: error.to_string(),
    })
}
