//! GPT-Neo: GPT-2 with unscaled attention scores and a window in some layers.
//!
//! Source: Black et al. 2021, <https://doi.org/10.5281/zenodo.5297715>; weight names as
//! transformers saves them.

use serde_json::Value;

use super::fields::{activation, head_dim};
use super::gpt2;
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{AttentionSpec, FeedForwardSpec, Gate, LinearSpec, ModelSpec};

/// What transformers assumes if the file does not give a value.
const DEFAULT_EPSILON: f64 = 1e-5;
const DEFAULT_WINDOW: usize = 256;

/// Reads the specification of a GPT-Neo model.
pub(super) fn spec(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let hidden = config.size("hidden_size")?;
    let heads = config.size("num_heads")?;
    let dim = head_dim(config, hidden, heads)?;
    let epsilon = config.optional_number("layer_norm_epsilon")?;
    let epsilon = epsilon.unwrap_or(DEFAULT_EPSILON);
    let inner = config.optional_size("intermediate_size")?;
    let mut layers = Vec::new();
    for (index, window) in windows(config)?.into_iter().enumerate() {
        let prefix = gpt2::prefix(index);
        let linear = |name: &str, bias| LinearSpec::new(format!("{prefix}.{name}"), bias);
        let projection = |name: &str| linear(&format!("attn.attention.{name}"), false);
        let attention = AttentionSpec {
            scale: 1.0,
            window,
            ..AttentionSpec::causal(
                (heads, heads, dim),
                ["q_proj", "k_proj", "v_proj"].map(projection),
                linear("attn.attention.out_proj", true),
            )
        };
        let network = FeedForwardSpec {
            inner: inner.unwrap_or(4 * hidden),
            activation: activation(config, "activation_function", "gelu_new")?,
            gate: Gate::Plain {
                up: linear("mlp.c_fc", true),
            },
            down: linear("mlp.c_proj", true),
        };
        layers.push(gpt2::pre_norm(&prefix, epsilon, attention, network));
    }
    let sizes = (hidden, config.size("max_position_embeddings")?);
    gpt2::model(config, sizes, epsilon, layers)
}

/// Reads the window of each layer from `attention_types`, a list of patterns, each with its number
/// of repetitions: `[[["global", "local"], 12]]`.
fn windows(config: &ConfigFile) -> Result<Vec<Option<usize>>, Error> {
    let num_layers = config.size("num_layers")?;
    let window = config.optional_size("window_size")?;
    let window = window.unwrap_or(DEFAULT_WINDOW);
    let mut windows = Vec::with_capacity(num_layers);
    let all = config.to_value();
    let refused = || {
        let types = &all["attention_types"];
        config.unusable(
            "attention_types",
            types,
            "`[[[\"global\", \"local\"], 12]]`",
        )
    };
    if all["attention_types"].is_null() {
        // transformers assumes that `global` and `local` layers alternate.
        return Ok((0..num_layers)
            .map(|layer| (layer % 2 == 1).then_some(window))
            .collect());
    }
    let groups = all["attention_types"].as_array().ok_or_else(refused)?;
    for group in groups {
        let (Some(kinds), Some(times)) = (group[0].as_array(), group[1].as_u64()) else {
            return Err(refused());
        };
        let windows_of = |kind: &Value| match kind.as_str() {
            Some("global") => Ok(None),
            Some("local") => Ok(Some(window)),
            _ => Err(refused()),
        };
        let kinds: Vec<_> = kinds.iter().map(windows_of).collect::<Result<_, _>>()?;
        for _ in 0..times {
            windows.extend_from_slice(&kinds);
        }
    }
    if windows.len() != num_layers {
        return Err(config.refused(format!(
            "`attention_types` describes {} layers, there are {num_layers}",
            windows.len()
        )));
    }
    Ok(windows)
}
