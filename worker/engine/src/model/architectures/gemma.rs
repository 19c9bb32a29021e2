//! Gemma, Gemma 2 and Gemma 3 (text): Llama with RMS norms whose weights are stored as offsets
//! from 1, GELU gates, and embeddings scaled by √hidden.
//!
//! Gemma 2 also normalizes the outputs of attention and network, soft-caps scores and logits, and
//! has a sliding window in every other layer. `VaultGemma` is Gemma 2 without norms of the outputs.
//! Gemma 3 normalizes queries and keys instead of
//! capping scores, has a window in all but every sixth layer, and rotates the layers with a window
//! by other frequencies.
//!
//! Sources: Gemma team 2024, <https://arxiv.org/abs/2403.08295> and
//! <https://arxiv.org/abs/2408.00118>; 2025, <https://arxiv.org/abs/2503.19786>.

use super::fields::{activation, head_sizes, number_or, require, size_or, windows};
use super::layer::{Layer, Norms};
use super::llama::{self, DEFAULTS, Defaults};
use super::rope::{self, RopeDefaults};
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{
    Activation, CoreSpec, HeadNormOrder, HeadNormSpec, HeadNormWeights, ModelSpec, NormKind,
    NormSpec, RotarySpec,
};

const GEMMA: Defaults = Defaults {
    activation: "gelu_pytorch_tanh",
    is_tied: true,
    ..DEFAULTS
};

/// What transformers assumes if the file does not give a value.
const DEFAULT_WINDOW: usize = 4096;
const DEFAULT_QUERY_SCALAR: f64 = 256.0;
const DEFAULT_SCORE_CAP: f64 = 50.0;
const DEFAULT_LOGIT_CAP: f64 = 30.0;
const DEFAULT_PATTERN: usize = 6;
const GLOBAL_THETA: f64 = 1_000_000.0;
const LOCAL_THETA: f64 = 10_000.0;

/// Reads the specification of a first-generation Gemma model.
pub(super) fn gemma(config: &ConfigFile) -> Result<ModelSpec, Error> {
    require(config, "use_bidirectional_attention", false)?;
    let mut layers = layers(config)?;
    let epsilon = llama::rms_epsilon(config, GEMMA)?;
    for (index, layer) in layers.iter_mut().enumerate() {
        let norm = |name: &str| norm(&format!("{}.{name}", llama::prefix(index)), epsilon);
        layer.attention_norms = Norms::Before(norm("input_layernorm"));
        layer.network_norms = Norms::Before(norm("post_attention_layernorm"));
    }
    model(config, layers)
}

/// Reads the specification of a Gemma 2 model.
pub(super) fn gemma2(config: &ConfigFile) -> Result<ModelSpec, Error> {
    require(config, "use_bidirectional_attention", false)?;
    capped(config, sandwiched_layers(config)?)
}

/// Reads the specification of a `VaultGemma` model.
pub(super) fn vaultgemma(config: &ConfigFile) -> Result<ModelSpec, Error> {
    require(config, "use_bidirectional_attention", false)?;
    let mut layers = sandwiched_layers(config)?;
    for layer in &mut layers {
        for norms in [&mut layer.attention_norms, &mut layer.network_norms] {
            if let Norms::Around(before, _) = norms {
                *norms = Norms::Before(before.clone());
            }
        }
    }
    capped(config, layers)
}

/// Combines `layers` into a model with alternating windows and with soft-capped scores and logits.
fn capped(config: &ConfigFile, mut layers: Vec<Layer>) -> Result<ModelSpec, Error> {
    let window = size_or(config, "sliding_window", DEFAULT_WINDOW)?;
    let softcap = number_or(config, "attn_logit_softcapping", DEFAULT_SCORE_CAP)?;
    let windows = windows(config, layers.len(), window, |layer| layer % 2 == 0)?;
    for (layer, window) in layers.iter_mut().zip(windows) {
        layer.attention.window = window;
        layer.attention.softcap = softcap;
    }
    let mut model = model(config, layers)?;
    model.head.softcap = number_or(config, "final_logit_softcapping", DEFAULT_LOGIT_CAP)?;
    Ok(model)
}

/// Reads the specification of the text model of Gemma 3.
pub(super) fn gemma3(config: &ConfigFile) -> Result<ModelSpec, Error> {
    require(config, "use_bidirectional_attention", false)?;
    if let Some(cap) = config.optional_number("attn_logit_softcapping")? {
        // No Gemma 3 model was trained with soft-capped scores, and transformers reads this field
        // without applying it.
        return Err(config.refused(format!(
            "`attn_logit_softcapping` is {cap}, which is not supported in Gemma 3"
        )));
    }
    let mut layers = sandwiched_layers(config)?;
    let window = size_or(config, "sliding_window", DEFAULT_WINDOW)?;
    let pattern = config.optional_size("sliding_window_pattern")?;
    let pattern = pattern.unwrap_or(DEFAULT_PATTERN);
    // Which layers have a window matters even if the window has no size: they use another
    // rotation. The size 1 here only marks those layers.
    let slides = |layer: usize| !(layer + 1).is_multiple_of(pattern);
    let is_local = windows(config, layers.len(), Some(1), slides)?;
    let epsilon = llama::rms_epsilon(config, GEMMA)?;
    for ((index, layer), is_local) in layers.iter_mut().enumerate().zip(is_local) {
        let prefix = llama::prefix(index);
        let weights = |name: &str| HeadNormWeights::Shared(format!("{prefix}.self_attn.{name}"));
        let attention = &mut layer.attention;
        attention.window = is_local.and(window);
        attention.rotation = Some(usize::from(is_local.is_some()));
        attention.head_norms = Some(HeadNormSpec {
            kind: NormKind::RmsPlusOne,
            epsilon,
            is_joint: false,
            order: HeadNormOrder::BeforeRotation,
            queries: weights("q_norm"),
            keys: weights("k_norm"),
        });
    }
    let mut model = model(config, layers)?;
    model.head.softcap = config.optional_number("final_logit_softcapping")?;
    model.decoder.rotations = rotations(config)?;
    Ok(model)
}

/// Returns two rotations: of the layers without a window, then of those with one.
fn rotations(config: &ConfigFile) -> Result<Vec<RotarySpec>, Error> {
    let (_, _, head_dim) = head_sizes(config, config.size("hidden_size")?)?;
    let defaults = |theta: f64| RopeDefaults {
        theta,
        partial: None,
        has_alpha: false,
    };
    let by_type = config.object("rope_parameters")?;
    let of_type = |name: &str| match &by_type {
        Some(by_type) => by_type.object(name),
        None => Ok(None),
    };
    let read = |fields: ConfigFile, theta: f64| {
        Ok::<_, Error>(rope::from_fields(config, fields, head_dim, defaults(theta))?.rotary)
    };
    let global = match of_type("full_attention")? {
        Some(fields) => read(fields, GLOBAL_THETA)?,
        None => rope::rope(config, head_dim, defaults(GLOBAL_THETA))?.rotary,
    };
    let local = if let Some(fields) = of_type("sliding_attention")? {
        read(fields, LOCAL_THETA)?
    } else {
        let theta = config.optional_number("rope_local_base_freq")?;
        rope::plain(head_dim, theta.unwrap_or(LOCAL_THETA))
    };
    Ok(vec![global, local])
}

/// Reads Llama layers and replaces the activation by Gemma's.
fn layers(config: &ConfigFile) -> Result<Vec<Layer>, Error> {
    let mut layers = llama::layers(config, GEMMA)?;
    for layer in &mut layers {
        let CoreSpec::FeedForward(network) = &mut layer.network else {
            continue;
        };
        network.activation = match config.optional_text("hidden_activation")? {
            Some(_) => activation(config, "hidden_activation", GEMMA.activation)?,
            // Early Gemma files say `gelu` although the model was trained with the tanh
            // approximation.
            None if config.optional_text("hidden_act")? == Some("gelu") => Activation::TanhGelu,
            None => network.activation,
        };
    }
    Ok(layers)
}

/// Reads layers with norms before and after attention and network, and scores scaled by
/// `1 / √query_pre_attn_scalar`.
fn sandwiched_layers(config: &ConfigFile) -> Result<Vec<Layer>, Error> {
    let mut layers = layers(config)?;
    let epsilon = llama::rms_epsilon(config, GEMMA)?;
    let scalar = config.optional_number("query_pre_attn_scalar")?;
    let scale = scalar.unwrap_or(DEFAULT_QUERY_SCALAR).powf(-0.5);
    for (index, layer) in layers.iter_mut().enumerate() {
        let norm = |name: &str| norm(&format!("{}.{name}", llama::prefix(index)), epsilon);
        layer.attention.scale = scale;
        layer.attention_norms =
            Norms::Around(norm("input_layernorm"), norm("post_attention_layernorm"));
        layer.network_norms = Norms::Around(
            norm("pre_feedforward_layernorm"),
            norm("post_feedforward_layernorm"),
        );
    }
    Ok(layers)
}

fn model(config: &ConfigFile, layers: Vec<Layer>) -> Result<ModelSpec, Error> {
    let epsilon = llama::rms_epsilon(config, GEMMA)?;
    let mut model = llama::model(config, GEMMA, layers)?;
    // transformers rounds this factor to single precision.
    model.embedding_scale = f64::from((model.hidden as f64).sqrt() as f32);
    model.decoder.final_norm = Some(norm("model.norm", epsilon));
    Ok(model)
}

fn norm(name: &str, epsilon: f64) -> NormSpec {
    NormSpec::new(name, NormKind::RmsPlusOne, epsilon)
}
