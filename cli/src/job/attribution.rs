//! Turns the attribution flags into an [`AttributionSpec`]: what to compute for each text.

use serde_json::Value;
use whence_schemas::{AttributionSpec, ChatSpec, ContrastSpec, FunctionSpec, options};

use super::functions::{self, function, functions};
use super::kwargs;
use crate::Failure;
use crate::args::{AttributionOptions, ModelOptions};

/// The aggregator that only rescales, for methods that already give one score per token.
const RESCALE: &str = "rescale";

/// Returns what to compute.
///
/// Fails if a name or parameter is unknown, or if the options cannot be combined.
pub(crate) fn attribution(
    options: &AttributionOptions,
    model: &ModelOptions,
) -> Result<AttributionSpec, Failure> {
    let spec = described(options, model)?;
    whence_engine::check(&spec)?;
    Ok(spec)
}

/// Returns what the options say, before it is checked as a whole.
pub(super) fn described(
    options: &AttributionOptions,
    model: &ModelOptions,
) -> Result<AttributionSpec, Failure> {
    kwargs::check_harmless(options, model)?;
    let languages = kwargs::Languages::read(&options.tokenizer_kwargs)?;
    let mut spec = AttributionSpec {
        attributed_fn: function(&options.attributed_fn)?,
        step_scores: functions(&options.step_scores)?,
        attribute_target: options.attribute_target,
        include_eos_baseline: options.include_eos_baseline,
        aggregators: aggregators(options)?,
        src_lang: languages.source,
        tgt_lang: languages.target,
        chat: chat(options)?,
        normalize: options.normalize_attributions,
        attr_pos_start: options.start_pos,
        attr_pos_end: options.end_pos,
        skip_special_tokens: options.skip_special_tokens,
        compat: options.compat.into(),
        generation: kwargs::generation(&options.generation_kwargs)?,
        ..AttributionSpec::of_method(&options.attribution_method)
    };
    spec.generation.generate_from_target_prefix |= options.generate_from_target_prefix;
    let contrast = kwargs::distribute(&options.attribution_kwargs, &mut spec)?;
    spec.contrast = options::read::<ContrastSpec>(contrast)
        .map_err(|error| Failure::request(error.to_string()))?;
    if options.rescale_attributions && spec.aggregators.is_none() {
        spec.aggregators = Some(rescaled_defaults(&spec.method)?);
    }
    Ok(spec)
}

fn chat(options: &AttributionOptions) -> Result<Option<ChatSpec>, Failure> {
    let chat = options.chat.as_ref().map(ChatSpec::read).transpose();
    chat.map_err(|error| Failure::request(format!("--chat: {error}")))
}

/// Returns the aggregators with their selectors; `None` means the method's default aggregators.
fn aggregators(options: &AttributionOptions) -> Result<Option<Vec<FunctionSpec>>, Failure> {
    let Some(names) = &options.attribution_aggregators else {
        return Ok(None);
    };
    if names == &["none"] {
        return Ok(Some(Vec::new()));
    }
    let mut aggregators = functions::aggregators(names)?;
    let selectors = &options.attribution_selectors;
    if !selectors.is_empty() && selectors.len() != aggregators.len() {
        return Err(Failure::request(format!(
            "there are {} aggregators and {} selectors; give one for each, or none",
            aggregators.len(),
            selectors.len()
        )));
    }
    for (index, aggregator) in aggregators.iter_mut().enumerate() {
        if let Some(selector) = selectors.get(index) {
            set(aggregator, "select_idx", (*selector).into());
        }
        if options.rescale_attributions {
            rescale(aggregator);
        }
    }
    Ok(Some(aggregators))
}

/// Returns the default aggregators of `method`, set to rescale instead of normalize.
fn rescaled_defaults(method: &FunctionSpec) -> Result<Vec<FunctionSpec>, Failure> {
    let own = whence_engine::default_aggregators(method)?;
    if own.is_empty() {
        return Ok(vec![FunctionSpec::named(RESCALE)]);
    }
    let mut own: Vec<_> = own.iter().copied().map(FunctionSpec::named).collect();
    own.iter_mut().for_each(rescale);
    Ok(own)
}

fn rescale(aggregator: &mut FunctionSpec) {
    set(aggregator, "rescale", true.into());
    set(aggregator, "normalize", false.into());
}

fn set(aggregator: &mut FunctionSpec, key: &str, value: Value) {
    aggregator.params.insert(key.to_owned(), value);
}
