//! Flags that say how context-sensitive tokens and their cues are found.

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args};

use crate::args::attribution::{AttributionOptions, CompatName, JsonObject, json_object};
use crate::args::suggested;

/// What to compute.
#[derive(Debug, Args)]
#[command(next_help_heading = "Attribution")]
pub struct ContextMethod {
    /// Contrastive step function that finds context-sensitive tokens.
    #[arg(long, value_name = "NAME", default_value = "kl_divergence", value_parser = suggested::CONTRASTIVE_FUNCTION, hide_possible_values = true)]
    pub context_sensitivity_metric: String,
    /// Attribution method that finds their cues; `whence list methods` shows all.
    #[arg(
        short = 'a',
        long,
        visible_alias = "method",
        value_name = "NAME",
        default_value = "saliency",
        value_parser = suggested::METHOD,
        hide_possible_values = true
    )]
    pub attribution_method: String,
    /// Step function to attribute (`-fn`); `probability` when absent.
    ///
    /// A contrastive one (`contrast_prob_diff`, …) compares each token with the one that the model
    /// predicts in its place without context.
    #[arg(long, value_name = "NAME", value_parser = suggested::STEP_FUNCTION, hide_possible_values = true)]
    pub attributed_fn: Option<String>,
    /// Aggregators that reduce raw scores to one per token. If absent, the method's defaults.
    #[arg(long, value_name = "NAME", num_args = 1.., value_parser = suggested::AGGREGATOR, hide_possible_values = true)]
    pub attribution_aggregators: Option<Vec<String>>,
    /// Index that each aggregator selects, one per aggregator: `0` is the first layer or head.
    #[arg(long, value_name = "INDEX", num_args = 1.., allow_negative_numbers = true, requires = "attribution_aggregators")]
    pub attribution_selectors: Vec<i64>,
    /// Divide each token's scores by the sum of their absolute values.
    #[arg(long, num_args = 0..=1, default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true, value_parser = BoolishValueParser::new(), action = ArgAction::Set, value_name = "BOOL")]
    pub normalize_attributions: bool,
    /// Divide all scores by the largest absolute value.
    #[arg(long, num_args = 0..=1, default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true, value_parser = BoolishValueParser::new(), action = ArgAction::Set, value_name = "BOOL")]
    pub rescale_attributions: bool,
    /// Parameters of the method and the attributed function, as JSON: `{"n_steps": 100}`.
    #[arg(long, value_name = "JSON", value_parser = json_object, default_value = "{}", hide_default_value = true)]
    pub attribution_kwargs: JsonObject,
    /// How to generate the outputs that are not given, as JSON: `{"max_new_tokens": 40}`.
    #[arg(long, value_name = "JSON", value_parser = json_object, default_value = "{}", hide_default_value = true)]
    pub generation_kwargs: JsonObject,
    /// Languages of a multilingual model, as JSON: `{"src_lang": "en", "tgt_lang": "fr"}`.
    #[arg(long, value_name = "JSON", value_parser = json_object, default_value = "{}", hide_default_value = true)]
    pub tokenizer_kwargs: JsonObject,
    /// Accepted for Inseq's sake if they change nothing.
    #[arg(long, value_name = "JSON", value_parser = json_object, default_value = "{}", hide = true)]
    pub model_kwargs: JsonObject,
    /// Which numbers to compute in the cases where Inseq's differ from what the model really does.
    #[arg(long, value_enum, default_value_t = CompatName::None)]
    pub compat: CompatName,
}

impl ContextMethod {
    /// Returns how tokens are attributed, as the flags of `attribute` say it.
    pub(crate) fn attribution(&self) -> AttributionOptions {
        AttributionOptions {
            attribution_method: self.attribution_method.clone(),
            attributed_fn: self.function().to_owned(),
            attribution_kwargs: self.attribution_kwargs.clone(),
            generation_kwargs: self.generation_kwargs.clone(),
            tokenizer_kwargs: self.tokenizer_kwargs.clone(),
            chat: None,
            step_scores: Vec::new(),
            attribute_target: false,
            attribution_aggregators: self.attribution_aggregators.clone(),
            attribution_selectors: self.attribution_selectors.clone(),
            rescale_attributions: self.rescale_attributions,
            normalize_attributions: self.normalize_attributions,
            include_eos_baseline: false,
            start_pos: None,
            end_pos: None,
            skip_special_tokens: false,
            generate_from_target_prefix: false,
            model_kwargs: self.model_kwargs.clone(),
            output_step_attributions: false,
            aggregate_output: false,
            compat: self.compat,
        }
    }

    /// Returns the name of the attributed function.
    pub(crate) fn function(&self) -> &str {
        self.attributed_fn.as_deref().unwrap_or("probability")
    }
}

/// What counts as context-sensitive, and as a cue.
#[derive(Debug, Args)]
#[command(next_help_heading = "Selection")]
pub struct ContextSelection {
    /// A token is context-sensitive if its score is at least the mean plus this many standard
    /// deviations; `none` means every token.
    #[arg(long, value_name = "NUMBER", default_value = "1.0", value_parser = weight, allow_negative_numbers = true)]
    pub context_sensitivity_std_threshold: Weight,
    /// At most this many context-sensitive tokens, those with the largest scores.
    #[arg(long, value_name = "COUNT")]
    pub context_sensitivity_topk: Option<usize>,
    /// A token of a context is shown as a cue if its score is at least the mean plus this many
    /// standard deviations; `none` means every token. All scores are saved.
    #[arg(long, value_name = "NUMBER", default_value = "1.0", value_parser = weight, allow_negative_numbers = true)]
    pub attribution_std_threshold: Weight,
    /// Show at most this many cues for each token, those with the largest scores.
    #[arg(long, value_name = "COUNT")]
    pub attribution_topk: Option<usize>,
}

/// A number of standard deviations; `None` if every score is taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weight(pub Option<f64>);

fn weight(text: &str) -> Result<Weight, String> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(Weight(None));
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(Weight(Some(number))),
        _ => Err("write a number such as 1.0, or `none` for every token".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_a_number_or_none() {
        assert_eq!(weight("-0.5"), Ok(Weight(Some(-0.5))));
        assert_eq!(weight("None"), Ok(Weight(None)));
        assert!(weight("nan").is_err() && weight("one").is_err());
    }
}
