//! The goldens: what Inseq was asked, and what it saves.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};
use whence_engine::context::{ContextExample, ContextSpec, GivenContexts};
use whence_schemas::{
    AttributionSpec, Compat, ContextOptions, ContextTemplates, FunctionSpec, OutputContextStrategy,
    Selection,
};

#[derive(Debug, Deserialize)]
pub(crate) struct Golden {
    pub(crate) model: String,
    pub(crate) with_bos: bool,
    pub(crate) compat: Compat,
    pub(crate) misplaced: bool,
    pub(crate) arguments: Map<String, Value>,
    pub(crate) output: Saved,
    pub(crate) rightly_read: Vec<ContextScores>,
}

/// The scores of the contexts for one token.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct ContextScores {
    pub(crate) input: Option<Vec<f32>>,
    pub(crate) output: Option<Vec<f32>>,
}

/// What Inseq saves.
#[derive(Debug, Deserialize)]
pub(crate) struct Saved {
    pub(crate) input_context_tokens: Option<Vec<String>>,
    pub(crate) output_context: Option<String>,
    pub(crate) output_context_tokens: Option<Vec<String>>,
    pub(crate) output_current: String,
    pub(crate) output_current_tokens: Vec<String>,
    pub(crate) cti_scores: Vec<f32>,
    pub(crate) cci_scores: Vec<Cue>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Cue {
    pub(crate) cti_idx: usize,
    pub(crate) contextual_output: String,
    pub(crate) contrast_token: Option<String>,
    pub(crate) contextless_output: Option<String>,
    pub(crate) input_context_scores: Option<Vec<f32>>,
    pub(crate) output_context_scores: Option<Vec<f32>>,
}

pub(crate) fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests")
}

pub(crate) fn golden(name: &str) -> Golden {
    let path = tests().join("context/goldens").join(format!("{name}.json"));
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

impl Golden {
    fn text(&self, name: &str) -> Option<String> {
        let text = self.arguments.get(name)?.as_str();
        text.map(str::to_owned)
    }

    pub(crate) fn spec(&self, compat: Compat) -> ContextSpec {
        let function = |name: &str, usual: &str| {
            FunctionSpec::named(&self.text(name).unwrap_or(usual.to_owned()))
        };
        let templates = ContextTemplates {
            input: self.text("input_template"),
            output: self.text("output_template"),
            contextless_input: self.text("contextless_input_current_text"),
            contextless_output: None,
        };
        let has = |name: &str| self.arguments.contains_key(name);
        let weight = self.arguments.get("context_sensitivity_std_threshold");
        let attribution = AttributionSpec {
            method: function("attribution_method", "saliency"),
            attributed_fn: function("attributed_fn", "probability"),
            normalize: self.arguments.get("normalize_attributions") == Some(&true.into()),
            compat,
            ..AttributionSpec::of_method("saliency")
        };
        let options = ContextOptions {
            metric: function("context_sensitivity_metric", "kl_divergence"),
            templates,
            separator: self
                .text("decoder_input_output_separator")
                .unwrap_or(" ".to_owned()),
            strategy: match self.text("handle_output_context_strategy").as_deref() {
                Some("auto") => OutputContextStrategy::Auto,
                _ => OutputContextStrategy::Manual,
            },
            special_tokens_to_keep: Vec::new(),
            sensitivity: Selection {
                std_weight: weight.map_or(Some(1.0), Value::as_f64),
                top_k: self
                    .arguments
                    .get("context_sensitivity_topk")
                    .map(|count| count.as_u64().unwrap() as usize),
            },
            cues: Selection {
                std_weight: Some(1.0),
                top_k: None,
            },
        };
        let contexts = GivenContexts {
            input: has("input_context_text"),
            output: has("output_context_text"),
        };
        ContextSpec::new(attribution, options, contexts).unwrap()
    }

    pub(crate) fn example(&self) -> ContextExample {
        let words = self.arguments.get("contextless_output_next_tokens");
        let words = words.and_then(Value::as_array).into_iter().flatten();
        ContextExample {
            id: 0,
            input_current: self.text("input_current_text").unwrap(),
            input_context: self.text("input_context_text"),
            output_current: self.text("output_current_text"),
            output_context: self.text("output_context_text"),
            next_tokens: words
                .map(|word| word.as_str().unwrap().to_owned())
                .collect(),
        }
    }

    /// Returns Inseq's scores: those it reads, or those of the right rows.
    pub(crate) fn scores(&self, compat: Compat) -> Vec<ContextScores> {
        if compat == Compat::None && !self.rightly_read.is_empty() {
            return self.rightly_read.clone();
        }
        let cues = self.output.cci_scores.iter();
        cues.map(|cue| ContextScores {
            input: cue.input_context_scores.clone(),
            output: cue.output_context_scores.clone(),
        })
        .collect()
    }
}

/// Returns the names of all goldens.
pub(crate) fn names() -> Vec<String> {
    let entries = fs::read_dir(tests().join("context/goldens")).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| {
            let path = entry.unwrap().path();
            path.file_stem().unwrap().to_string_lossy().into_owned()
        })
        .collect();
    names.sort();
    names
}
