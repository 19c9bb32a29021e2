//! What a file says about its run: Inseq's `info`, as it is written.

use serde_json::{Map, Value, json};
use whence_engine::step_functions::{self, STEP_FUNCTIONS};
use whence_schemas::{Alignments, AttributionSpec, FunctionSpec};

use super::info::FUNCTION_SUFFIX;
use super::model_classes::ModelClasses;

/// What an `info` says besides the specification.
#[derive(Debug)]
pub(super) struct Written<'w> {
    pub(super) spec: &'w AttributionSpec,
    pub(super) step_scores: &'w [String],
    pub(super) model: &'w str,
    pub(super) classes: &'w ModelClasses,
    pub(super) positions: (usize, usize),
    pub(super) input_texts: &'w [String],
    pub(super) generated_texts: &'w [String],
    pub(super) is_forced: bool,
    /// The aggregators that made one score per token; `None` if the scores are raw.
    pub(super) aggregators: Option<&'w [FunctionSpec]>,
}

impl Written<'_> {
    /// Returns `info` with the keys that Inseq writes, except the duration of the run: the same run
    /// makes the same file.
    pub(super) fn to_json(&self) -> Value {
        let spec = self.spec;
        let (start, end) = self.positions;
        let mut generation = serde_json::to_value(&spec.generation).unwrap_or_default();
        if let Some(generation) = generation.as_object_mut() {
            generation.remove("generate_from_target_prefix");
        }
        let mut info = json!({
            "attribution_method": spec.method.name,
            "attribution_args": spec.method.params,
            "attr_pos_start": start,
            "attr_pos_end": end,
            "output_step_attributions": false,
            "attribute_target": spec.attribute_target,
            "step_scores": self.step_scores,
            "step_scores_args": self.arguments(&spec.step_scores),
            "model_name": self.model,
            "model_class": self.classes.model,
            // Inseq writes the name of a tokenizer only if it was given one.
            "tokenizer_name": null,
            "tokenizer_class": self.classes.tokenizer,
            "include_eos_baseline": spec.include_eos_baseline,
            "attributed_fn": python_name(&spec.attributed_fn.name),
            "attributed_fn_args": self.arguments(std::slice::from_ref(&spec.attributed_fn)),
            "input_texts": self.input_texts,
            "generated_texts": self.generated_texts,
            "generation_args": generation,
            "constrained_decoding": self.is_forced,
            "generate_from_target_prefix": spec.generation.generate_from_target_prefix,
        });
        if let (Some(aggregators), Some(info)) = (self.aggregators, info.as_object_mut()) {
            info.insert("attribution_aggregators".to_owned(), json!(aggregators));
        }
        info
    }

    /// Returns the arguments of `functions`: their own, and the contrast if one of them has one.
    fn arguments(&self, functions: &[FunctionSpec]) -> Map<String, Value> {
        let own = functions.iter().flat_map(|function| &function.params);
        let mut arguments: Map<String, Value> = own
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        if !functions
            .iter()
            .any(|function| step_functions::is_contrastive(&function.name))
        {
            return arguments;
        }
        let contrast = &self.spec.contrast;
        let texts = [
            ("contrast_targets", &contrast.contrast_targets),
            ("contrast_sources", &contrast.contrast_sources),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                arguments.insert(name.to_owned(), json!(text));
            }
        }
        match &contrast.contrast_targets_alignments {
            Alignments::Pairs(pairs) if pairs.is_empty() => {}
            // Inseq has one list of pairs per example.
            Alignments::Pairs(pairs) => {
                arguments.insert("contrast_targets_alignments".to_owned(), json!([pairs]));
            }
            Alignments::Rule(rule) => {
                arguments.insert("contrast_targets_alignments".to_owned(), json!(rule));
            }
        }
        if contrast.contrast_force_inputs {
            arguments.insert("contrast_force_inputs".to_owned(), json!(true));
        }
        arguments
    }
}

/// Returns the name of the Python function of a step function.
fn python_name(name: &str) -> String {
    let known = STEP_FUNCTIONS
        .iter()
        .find(|known| known.name == name || known.aliases.contains(&name));
    known.map_or_else(
        || name.to_owned(),
        |known| format!("{}{FUNCTION_SUFFIX}", known.name),
    )
}
