//! Options given as JSON (`--…-kwargs`). Each is passed to the function that has it, accepted and
//! ignored because it changes nothing, or refused by name.

use serde_json::{Map, Value};
use whence_engine::Entry;
use whence_engine::methods::METHODS;
use whence_engine::step_functions::STEP_FUNCTIONS;
use whence_schemas::harmless::{self, Harmless};
use whence_schemas::{AttributionSpec, FunctionSpec, GenerationSpec, options};

use crate::Failure;
use crate::args::{AttributionOptions, ModelOptions};

/// Arguments shared by all contrastive step functions; every other argument belongs to the
/// functions that declare it.
const CONTRAST: &[&str] = &[
    "contrast_sources",
    "contrast_targets",
    "contrast_targets_alignments",
    "contrast_force_inputs",
];

/// The names under which transformers accepts the precision.
const DTYPES: &[&str] = &["dtype", "torch_dtype"];

/// Checks the flags and model options that are accepted only because they change nothing.
///
/// Fails if one of them has a value that would change the result.
pub(super) fn check_harmless(
    options: &AttributionOptions,
    model: &ModelOptions,
) -> Result<(), Failure> {
    if options.output_step_attributions {
        return Err(Failure::request(
            "--output-step-attributions must be false: Inseq cannot load the files it writes with \
             it; every step is in the table",
        ));
    }
    for (name, value) in &options.model_kwargs {
        if DTYPES.contains(&name.as_str()) {
            check_dtype(name, value, model)?;
        } else {
            let tables = [harmless::MODEL, harmless::LOADING, harmless::COMPUTING];
            take("--model-kwargs", &tables, name, value, DTYPES)?;
        }
    }
    Ok(())
}

/// Fails if the precision given in `--model-kwargs` differs from `--dtype`.
fn check_dtype(name: &str, value: &Value, model: &ModelOptions) -> Result<(), Failure> {
    let dtype = model.dtype.as_str();
    let asked = value.as_str().unwrap_or_default();
    let asked = asked.strip_prefix("torch.").unwrap_or(asked);
    if value.is_null() || asked == dtype {
        return Ok(());
    }
    Err(Failure::request(format!(
        "--model-kwargs: {name} must be \"{dtype}\", not {value}: use --dtype to set the \
         precision, float32 or float64"
    )))
}

/// Accepts and ignores an option of `flag` that changes nothing.
///
/// Fails if none of `tables` lists it, or if its value would change the result. `known` holds
/// further names to suggest for a misspelled option.
fn take(
    flag: &str,
    tables: &[&[Harmless]],
    name: &str,
    value: &Value,
    known: &[&str],
) -> Result<(), Failure> {
    let refused = |reason| Failure::request(format!("{flag}: {reason}"));
    for table in tables {
        if harmless::takes(table, name, value).map_err(refused)? {
            return Ok(());
        }
    }
    let names = tables.iter().copied().flatten().map(|option| option.name);
    let names = names.chain(known.iter().copied());
    Err(refused(harmless::unknown(name, names)))
}

/// The languages given in `--tokenizer-kwargs`.
pub(super) struct Languages {
    pub(super) source: Option<String>,
    pub(super) target: Option<String>,
}

impl Languages {
    /// Reads the languages from the tokenizer's arguments.
    ///
    /// Fails if a language is not a string, or if any other argument would change the result.
    pub(super) fn read(given: &Map<String, Value>) -> Result<Self, Failure> {
        const NAMES: [&str; 2] = ["src_lang", "tgt_lang"];
        const FLAG: &str = "--tokenizer-kwargs";
        for (name, value) in given {
            if !NAMES.contains(&name.as_str()) {
                let tables = [harmless::TOKENIZER, harmless::LOADING];
                let taken = take(FLAG, &tables, name, value, &NAMES);
                taken.map_err(|failure| {
                    failure.hint(
                        "--tokenizer-kwargs takes `src_lang` and `tgt_lang`; the model's files \
                         decide everything else",
                    )
                })?;
            }
        }
        let [source, target] = NAMES.map(|name| match given.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(language)) => Ok(Some(language.clone())),
            Some(other) => Err(Failure::request(format!(
                "{FLAG}: {name} must be the code of a language, not {other}"
            ))),
        });
        Ok(Self {
            source: source?,
            target: target?,
        })
    }
}

/// Reads the generation options from `--generation-kwargs`.
///
/// Fails if an option is unknown, has an invalid value, or is one we do not support and would
/// change the result.
pub(super) fn generation(given: &Map<String, Value>) -> Result<GenerationSpec, Failure> {
    const FLAG: &str = "--generation-kwargs";
    let mut own = Map::new();
    for (name, value) in given {
        if GenerationSpec::FIELDS.contains(&name.as_str()) {
            own.insert(name.clone(), value.clone());
        } else {
            let tables = [
                harmless::GENERATION,
                harmless::COMPUTING,
                harmless::NOT_FOLLOWED,
            ];
            take(FLAG, &tables, name, value, GenerationSpec::FIELDS)?;
        }
    }
    options::read(own).map_err(|error| Failure::request(format!("{FLAG}: {error}")))
}

/// Adds each argument in `given` to the parameters of the method and step functions of `spec` that
/// declare it. Returns the contrast arguments, which are shared by all contrastive functions.
///
/// Fails if none of them declares an argument, unless that argument changes nothing.
pub(super) fn distribute(
    given: &Map<String, Value>,
    spec: &mut AttributionSpec,
) -> Result<Map<String, Value>, Failure> {
    let mut contrast = Map::new();
    for (key, value) in given {
        if CONTRAST.contains(&key.as_str()) {
            contrast.insert(key.clone(), value.clone());
            continue;
        }
        let owners = owners(spec, key);
        if owners.is_empty() {
            refuse_unless_harmless(spec, key, value)?;
            continue;
        }
        for function in owners {
            function.params.insert(key.clone(), value.clone());
        }
    }
    Ok(contrast)
}

/// Returns the functions of `spec` that declare the parameter `key`: the method or step functions.
fn owners<'s>(spec: &'s mut AttributionSpec, key: &str) -> Vec<&'s mut FunctionSpec> {
    let functions = std::iter::once(&mut spec.attributed_fn).chain(&mut spec.step_scores);
    let functions = functions.filter(|function| has(STEP_FUNCTIONS, &function.name, key));
    let method = Some(&mut spec.method).filter(|method| has(METHODS, &method.name, key));
    functions.chain(method).collect()
}

fn has<T: ?Sized>(table: &[Entry<T>], name: &str, key: &str) -> bool {
    parameters(table, name).iter().any(|known| known == key)
}

/// Returns the parameter names of the table entry `name`; empty if there is no such entry.
fn parameters<T: ?Sized>(table: &[Entry<T>], name: &str) -> Vec<String> {
    let entry = table
        .iter()
        .find(|entry| entry.name == name || entry.aliases.contains(&name));
    let parameters = entry.map(|entry| (entry.parameters)()).unwrap_or_default();
    parameters.keys().cloned().collect()
}

/// Fails if the option `key` is unknown, or if its `value` would change the result. The hint lists
/// the parameters that the method does have.
fn refuse_unless_harmless(spec: &AttributionSpec, key: &str, value: &Value) -> Result<(), Failure> {
    let mut known = parameters(METHODS, &spec.method.name);
    for function in std::iter::once(&spec.attributed_fn).chain(&spec.step_scores) {
        known.extend(parameters(STEP_FUNCTIONS, &function.name));
    }
    let names: Vec<_> = known
        .iter()
        .map(String::as_str)
        .chain(CONTRAST.iter().copied())
        .collect();
    let tables = [harmless::ATTRIBUTION];
    take("--attribution-kwargs", &tables, key, value, &names).map_err(|failure| {
        let method = &spec.method.name;
        match parameters(METHODS, method).as_slice() {
            [] => failure.hint(format!("`{method}` has no parameters")),
            own => failure.hint(format!("`{method}` has `{}`", own.join("`, `"))),
        }
    })
}
