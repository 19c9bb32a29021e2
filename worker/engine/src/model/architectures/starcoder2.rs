//! `StarCoder` 2: Llama with layer norms, an ungated network, biases and a sliding window.
//!
//! Source: Lozhkov et al. 2024, <https://arxiv.org/abs/2402.19173>.

use super::layer::Norms;
use super::llama::{self, DEFAULTS, Defaults};
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{CoreSpec, Gate, LinearSpec, ModelSpec, NormSpec};

const STARCODER2: Defaults = Defaults {
    activation: "gelu_pytorch_tanh",
    is_tied: true,
    ..DEFAULTS
};

/// What transformers assumes if the file does not give a value.
const DEFAULT_EPSILON: f64 = 1e-5;

/// Reads the specification of a `StarCoder` 2 model.
pub(super) fn spec(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let epsilon = config.optional_number("norm_epsilon")?;
    let epsilon = epsilon.unwrap_or(DEFAULT_EPSILON);
    let bias = config.flag_or("use_bias", true)?;
    let window = config.optional_size("sliding_window")?;
    let mut layers = llama::layers(config, STARCODER2)?;
    for (index, layer) in layers.iter_mut().enumerate() {
        let prefix = llama::prefix(index);
        let norm = |name: &str| NormSpec::layer(format!("{prefix}.{name}"), epsilon);
        layer.attention_norms = Norms::Before(norm("input_layernorm"));
        layer.network_norms = Norms::Before(norm("post_attention_layernorm"));
        let attention = &mut layer.attention;
        attention.window = window;
        for projection in [
            &mut attention.query,
            &mut attention.key,
            &mut attention.value,
            &mut attention.output,
        ] {
            projection.bias = bias;
        }
        let CoreSpec::FeedForward(network) = &mut layer.network else {
            continue;
        };
        let linear = |name: &str| LinearSpec::new(format!("{prefix}.mlp.{name}"), bias);
        network.gate = Gate::Plain { up: linear("c_fc") };
        network.down = linear("c_proj");
    }
    let mut model = llama::model(config, STARCODER2, layers)?;
    model.decoder.final_norm = Some(NormSpec::layer("model.norm", epsilon));
    Ok(model)
}
