//! The arguments that a configuration gives to its builder, such as `sep: ";"`.

use serde_json::{Map, Value, json};
use whence_schemas::dataset::{FormatName, FormatSpec};
use whence_schemas::location::DatasetLocation;

use super::card::Config;
use super::notice::Notice;
use crate::Error;

/// Arguments that change how `datasets` reads, but never which rows it reads.
const WITHOUT_EFFECT: &[&str] = &[
    "batch_size",
    "block_size",
    "chunksize",
    "description",
    "engine",
    "error_bad_lines",
    "float_precision",
    "fragment_scan_options",
    "low_memory",
    "mangle_dupe_cols",
    "memory_map",
    "use_threads",
    "verbose",
    "version",
    "warn_bad_lines",
];

/// Arguments of each builder that whence can honor.
fn honored(format: FormatName) -> &'static [&'static str] {
    match format {
        FormatName::Csv => &[
            "encoding",
            "keep_default_na",
            "names",
            "quotechar",
            "sep",
            "skiprows",
        ],
        FormatName::Json => &["encoding", "field"],
        FormatName::Text => &["encoding", "keep_linebreaks", "sample_by"],
        FormatName::Parquet | FormatName::Arrow => &[],
    }
}

/// Arguments of each builder that whence cannot honor, with the value that changes nothing.
fn not_honored(format: FormatName) -> Vec<(&'static str, Value)> {
    match format {
        FormatName::Csv => vec![
            ("header", json!("infer")),
            ("index_col", Value::Null),
            ("usecols", Value::Null),
            ("prefix", Value::Null),
            ("converters", Value::Null),
            ("true_values", Value::Null),
            ("false_values", Value::Null),
            ("skipinitialspace", json!(false)),
            ("nrows", Value::Null),
            ("na_values", Value::Null),
            ("na_filter", json!(true)),
            ("skip_blank_lines", json!(true)),
            ("thousands", Value::Null),
            ("decimal", json!(".")),
            ("lineterminator", Value::Null),
            ("quoting", json!(0)),
            ("escapechar", Value::Null),
            ("comment", Value::Null),
            ("dialect", Value::Null),
            ("skipfooter", json!(0)),
            ("doublequote", json!(true)),
            ("encoding_errors", json!("strict")),
            ("on_bad_lines", json!("error")),
            ("date_format", Value::Null),
        ],
        FormatName::Json => vec![
            ("encoding_errors", Value::Null),
            ("newlines_in_values", Value::Null),
            ("on_mixed_types", json!("use_json")),
            ("parse_agent_traces", json!(true)),
        ],
        FormatName::Text => vec![("encoding_errors", Value::Null)],
        FormatName::Parquet => vec![
            ("columns", Value::Null),
            ("filters", Value::Null),
            ("on_bad_files", json!("error")),
        ],
        FormatName::Arrow => Vec::new(),
    }
}

/// Sets the options that a configuration asks for. Fails if one of them cannot be honored.
pub(super) fn of_config(config: &Config, format: &mut FormatSpec) -> Result<Vec<Notice>, Error> {
    let given_by = format!("the configuration `{}`", config.name);
    let sorted = sort(&given_by, &config.arguments, format.name)?;
    set(&given_by, format, sorted.honored)?;
    let config = || config.name.clone();
    let mut notices = Vec::new();
    if sorted.has_types {
        notices.push(Notice::TypesNotApplied { config: config() });
    }
    if !sorted.unknown.is_empty() {
        notices.push(Notice::UnknownArguments {
            config: config(),
            names: sorted.unknown,
        });
    }
    Ok(notices)
}

/// Sets the options that the location gives. Fails if one of them cannot be honored or is unknown.
pub(super) fn given(location: &DatasetLocation, format: &mut FormatSpec) -> Result<(), Error> {
    let given_by = "`--dataset-kwargs`";
    let sorted = sort(given_by, &location.arguments, format.name)?;
    let types = sorted.has_types.then(|| "features".to_owned());
    if let Some(unknown) = sorted.unknown.into_iter().chain(types).next() {
        let value = &location.arguments[&unknown];
        return Err(refuse(given_by, format.name, &unknown, value));
    }
    set(given_by, format, sorted.honored)
}

struct Sorted {
    honored: Map<String, Value>,
    has_types: bool,
    /// Names of arguments that no builder of this format has.
    unknown: Vec<String>,
}

fn sort(
    given_by: &str,
    arguments: &Map<String, Value>,
    format: FormatName,
) -> Result<Sorted, Error> {
    let mut sorted = Sorted {
        honored: Map::new(),
        has_types: false,
        unknown: Vec::new(),
    };
    let not_honored = not_honored(format);
    for (key, value) in arguments {
        let name = canonical(format, key);
        if honored(format).contains(&name) {
            // `delimiter` and `column_names` win over the names they stand for.
            if name != key || !sorted.honored.contains_key(name) {
                sorted.honored.insert(name.to_owned(), value.clone());
            }
        } else if let Some((_, default)) = not_honored.iter().find(|(known, _)| known == key) {
            if value != default {
                return Err(refuse(given_by, format, key, value));
            }
        } else if key == "features" {
            sorted.has_types = !value.is_null();
        } else if !WITHOUT_EFFECT.contains(&key.as_str()) {
            sorted.unknown.push(key.clone());
        }
    }
    sorted.honored.retain(|_, value| !value.is_null());
    Ok(sorted)
}

fn canonical(format: FormatName, key: &str) -> &str {
    match (format, key) {
        (FormatName::Csv, "delimiter") => "sep",
        (FormatName::Csv, "column_names") => "names",
        (_, key) => key,
    }
}

fn set(given_by: &str, format: &mut FormatSpec, options: Map<String, Value>) -> Result<(), Error> {
    // What the extension says, such as the tab of `.tsv`, stays unless it is set.
    let mut all = match serde_json::to_value(&format.options) {
        Ok(Value::Object(all)) => all,
        _ => Map::new(),
    };
    for (key, value) in options {
        all.insert(key.clone(), value.clone());
        format.options = serde_json::from_value(Value::Object(all.clone()))
            .map_err(|_| refuse(given_by, format.name, &key, &value))?;
    }
    Ok(())
}

fn refuse(given_by: &str, format: FormatName, key: &str, value: &Value) -> Error {
    Error::Argument {
        given_by: given_by.to_owned(),
        argument: format!("{key}: {value}"),
        format: format.as_str(),
    }
}
