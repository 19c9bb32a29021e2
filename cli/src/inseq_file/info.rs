//! What a file says about its run: Inseq's `info`, as it is read.
//!
//! A specification is made of it, as far as whence has the same options. A method or function of
//! another program keeps its name, so that its scores can be shown and aggregated.

use serde_json::{Map, Value};
use whence_engine::Entry;
use whence_engine::methods::METHODS;
use whence_engine::step_functions::STEP_FUNCTIONS;
use whence_schemas::{AttributionSpec, FunctionSpec, GenerationSpec, options};

use super::model_classes::ModelClasses;

/// What Python's functions are called more than their public names.
pub(super) const FUNCTION_SUFFIX: &str = "_fn";
/// The name of a model or method that a file does not tell.
const UNKNOWN: &str = "unknown";

/// The `info` of a file that was read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Info {
    entries: Map<String, Value>,
    input_texts: Option<Vec<String>>,
    generated_texts: Option<Vec<String>>,
}

/// The texts of one example; `None` if the file does not have them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Texts<'i> {
    pub(super) input: Option<&'i str>,
    pub(super) generated: Option<&'i str>,
}

impl Info {
    /// Reads `info`. Fails with the reason if it is not an object, or has texts for another number of
    /// `sequences`.
    pub(super) fn read(info: Value, sequences: usize) -> Result<Self, String> {
        let entries = match info {
            Value::Object(entries) => entries,
            Value::Null => Map::new(),
            other => return Err(format!("it is `{other}`, not an object")),
        };
        let texts = |name: &str| -> Result<Option<Vec<String>>, String> {
            let Some(value) = entries.get(name).filter(|value| !value.is_null()) else {
                return Ok(None);
            };
            let texts: Vec<String> = serde_json::from_value(value.clone())
                .map_err(|_| format!("`{name}` is not a list of texts"))?;
            if texts.len() != sequences {
                return Err(format!(
                    "`{name}` has {} texts, and there are {sequences} sequences",
                    texts.len()
                ));
            }
            Ok(Some(texts))
        };
        let (input_texts, generated_texts) = (texts("input_texts")?, texts("generated_texts")?);
        Ok(Self {
            entries,
            input_texts,
            generated_texts,
        })
    }

    /// Returns the texts of the example `index`.
    pub(super) fn texts(&self, index: usize) -> Texts<'_> {
        fn of(texts: Option<&Vec<String>>, index: usize) -> Option<&str> {
            texts?.get(index).map(String::as_str)
        }
        Texts {
            input: of(self.input_texts.as_ref(), index),
            generated: of(self.generated_texts.as_ref(), index),
        }
    }

    /// Returns whether the targets were given rather than generated.
    pub(super) fn is_forced(&self) -> bool {
        self.flag("constrained_decoding")
    }

    fn flag(&self, name: &str) -> bool {
        self.entries.get(name).and_then(Value::as_bool) == Some(true)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.entries.get(name).and_then(Value::as_str)
    }

    fn object(&self, name: &str) -> Map<String, Value> {
        let value = self.entries.get(name).and_then(Value::as_object);
        value.cloned().unwrap_or_default()
    }
}

/// What a file holds, without its scores.
#[derive(Debug, Clone, PartialEq)]
pub struct Outline {
    info: Info,
    /// Number of examples.
    pub sequences: usize,
    /// Names of the step scores, in the order in which attributions list them.
    pub step_scores: Vec<String>,
    /// The aggregators that Inseq runs by default; none if there is one score per token.
    pub default_aggregators: Vec<&'static str>,
    /// BLAKE3 digest of the file.
    pub digest: String,
    /// Length of the file.
    pub bytes: u64,
    spec: AttributionSpec,
}

impl Outline {
    /// Describes a file with `sequences` examples that have the scores `step_scores`.
    pub(super) fn new(info: Info, sequences: usize, step_scores: Vec<String>) -> Self {
        let spec = specification(&info, step_scores);
        Self {
            step_scores: spec.step_score_labels(),
            spec,
            info,
            sequences,
            default_aggregators: Vec::new(),
            digest: String::new(),
            bytes: 0,
        }
    }

    pub(super) fn info(&self) -> &Info {
        &self.info
    }

    /// Returns the specification of the run, as far as the file tells it.
    pub fn specification(&self) -> &AttributionSpec {
        &self.spec
    }

    /// Returns the name of the model.
    pub fn model(&self) -> &str {
        self.info.text("model_name").unwrap_or(UNKNOWN)
    }

    /// Returns the classes of the model and its tokenizer.
    pub fn classes(&self) -> ModelClasses {
        let text = |name| self.info.text(name).map(str::to_owned);
        ModelClasses {
            model: text("model_class"),
            tokenizer: text("tokenizer_class"),
        }
    }
}

fn specification(info: &Info, mut names: Vec<String>) -> AttributionSpec {
    let method = info.text("attribution_method").unwrap_or(UNKNOWN);
    let function = info.text("attributed_fn").unwrap_or("probability");
    let function = function.strip_suffix(FUNCTION_SUFFIX).unwrap_or(function);
    let of_function = info.object("attributed_fn_args");
    let of_scores = info.object("step_scores_args");
    // The scores in the order in which they were asked for; then those that the method adds.
    let asked = info.entries.get("step_scores").and_then(Value::as_array);
    let asked: Vec<&str> = asked
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    names.sort_by_key(|name| {
        asked
            .iter()
            .position(|asked| asked == name)
            .unwrap_or(asked.len())
    });
    let is_function = |name: &String| STEP_FUNCTIONS.iter().any(|known| known.name == name);
    let (functions, others): (Vec<_>, Vec<_>) = names.into_iter().partition(is_function);
    let score = |name: &String| FunctionSpec {
        params: declared(STEP_FUNCTIONS, name, &of_scores),
        ..FunctionSpec::named(name)
    };
    let mut spec = AttributionSpec {
        attributed_fn: FunctionSpec {
            params: declared(STEP_FUNCTIONS, function, &of_function),
            ..FunctionSpec::named(function)
        },
        step_scores: functions.iter().map(score).collect(),
        method_scores: others,
        attribute_target: info.flag("attribute_target"),
        include_eos_baseline: info.flag("include_eos_baseline"),
        generation: generation(info),
        ..AttributionSpec::of_method(method)
    };
    spec.method.params = declared(METHODS, method, &info.object("attribution_args"));
    let contrast = |name: &str| {
        let value = of_function.get(name).or_else(|| of_scores.get(name));
        value.and_then(Value::as_str).map(str::to_owned)
    };
    spec.contrast.contrast_targets = contrast("contrast_targets");
    spec.contrast.contrast_sources = contrast("contrast_sources");
    spec
}

/// Returns those of `given` that the entry `name` of `table` has, with values of the right kind.
fn declared<T: ?Sized>(
    table: &[Entry<T>],
    name: &str,
    given: &Map<String, Value>,
) -> Map<String, Value> {
    let entry = table.iter().find(|entry| entry.name == name);
    let defaults = entry.map(|entry| (entry.parameters)()).unwrap_or_default();
    let is_same_kind =
        |a: &Value, b: &Value| std::mem::discriminant(a) == std::mem::discriminant(b);
    let fitting = given.iter().filter(|(key, value)| {
        let default = defaults.get(*key);
        default.is_some_and(|default| default.is_null() || is_same_kind(default, value))
    });
    fitting
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn generation(info: &Info) -> GenerationSpec {
    let mut given = info.object("generation_args");
    given.retain(|key, _| GenerationSpec::FIELDS.contains(&key.as_str()));
    let mut spec: GenerationSpec = options::read(given).unwrap_or_default();
    spec.generate_from_target_prefix = info.flag("generate_from_target_prefix");
    spec
}
