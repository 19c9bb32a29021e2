//! The JSON schema of sweep files, with which editors complete and check them.
//!
//! The options in it are those of the parser, with the same words.

use clap::{Arg, ArgAction};
use serde_json::{Map, Value, json};

use super::options::{KnownOptions, names};

/// Returns the schema.
pub(crate) fn schema() -> Value {
    let known = KnownOptions::new();
    let mut options = Map::new();
    for argument in known.all() {
        for name in names(argument) {
            options.insert(name.replace('-', "_"), option(argument));
        }
    }
    let label = json!({"type": "string", "description": "What the value is called."});
    let mut labelled = options.clone();
    labelled.insert("label".to_owned(), label);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A sweep of whence",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "defaults": {
                "description": "Options of every cell: those of `whence attribute-dataset`.",
                "$ref": "#/$defs/options",
            },
            "axes": axes(),
            "exclude": {
                "description": "Combinations that are left out: for each axis a label or a list of labels.",
                "type": "array",
                "items": {"type": "object", "minProperties": 1},
            },
            "include": {
                "description": "Cells in addition to the combinations.",
                "type": "array",
                "items": {"$ref": "#/$defs/options"},
            },
            "seeds": {
                "description": "Seeds with which every combination is repeated.",
                "type": "array",
                "items": {"type": "integer", "minimum": 0},
            },
            "budget": budget(),
        },
        "$defs": {
            "options": {
                "type": "object", "additionalProperties": false, "properties": options,
            },
            "value": {
                "type": "object", "additionalProperties": false, "properties": labelled,
            },
        },
    })
}

fn axes() -> Value {
    json!({
        "description": "What varies. An axis is named after an option and lists its values. A value may also \
                        be a map of several options, and must be one if the axis is not named after an \
                        option.",
        "type": "object",
        "additionalProperties": {
            "type": "array",
            "minItems": 1,
            // The second one refuses nothing; the first lets editors complete.
            "items": {"anyOf": [{"$ref": "#/$defs/value"}, true]},
        },
    })
}

fn budget() -> Value {
    let number = |about: &str| json!({"type": "number", "minimum": 0, "description": about});
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "rows": {
                "type": "integer", "minimum": 0,
                "description": "Rows that may be left to compute when the sweep begins.",
            },
            "device_hours": number("Hours for which workers may compute, all of them together."),
            "device_hour_price": number("Price of one of these hours, in whatever currency."),
        },
    })
}

/// Describes one option.
fn option(argument: &Arg) -> Value {
    let about = argument.get_help().map(ToString::to_string);
    let about = about.unwrap_or_default();
    let values = argument.get_value_parser().possible_values();
    // Names of methods and functions are suggestions: those of another release may be others.
    let choices: Vec<_> = values
        .into_iter()
        .flatten()
        .map(|value| value.get_name().to_owned())
        .collect();
    let is_switch = choices.iter().any(|choice| choice == "true");
    let is_suggested = argument.is_hide_possible_values_set();
    let mut described = match argument.get_action() {
        ArgAction::Append => json!({"type": "array"}),
        _ if is_switch => json!({"type": "boolean"}),
        _ if choices.is_empty() || is_suggested => json!({}),
        _ => json!({"enum": choices}),
    };
    described["description"] = about.into();
    if is_suggested && !is_switch {
        described["examples"] = choices.into();
    }
    described
}
