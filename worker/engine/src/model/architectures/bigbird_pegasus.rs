//! BigBird-Pegasus: like Blenderbot, with other names and without biases in attentions. Its encoder sees
//! only parts of long texts; those are refused.
//!
//! Source: Zaheer et al. 2020, <https://arxiv.org/abs/2007.14062>.

use super::{bart, renaming};
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{AttentionSpec, CoreSpec, ModelSpec, StackSpec};

/// What transformers assumes if the file does not give a value.
const DEFAULT_BLOCK: usize = 64;
const DEFAULT_RANDOM_BLOCKS: usize = 3;

/// Names of the projections in the encoder, and in the decoder.
const NAMES: [(&str, &str); 4] = [
    ("self.query", "q_proj"),
    ("self.key", "k_proj"),
    ("self.value", "v_proj"),
    ("output", "out_proj"),
];

/// Reads the specification of a BigBird-Pegasus model.
pub(super) fn spec(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let mut spec = bart::named_as_blenderbot(config)?;
    let bias = config.flag_or("use_bias", false)?;
    if let Some(encoder) = &mut spec.encoder {
        rename(encoder, "encoder");
        for attention in attentions(encoder) {
            for map in renaming::of_attention(attention) {
                for (of_encoder, of_decoder) in NAMES {
                    map.name = map.name.replace(of_decoder, of_encoder);
                }
                map.bias = bias;
            }
        }
    }
    rename(&mut spec.decoder, "decoder");
    for attention in attentions(&mut spec.decoder) {
        for map in renaming::of_attention(attention) {
            map.bias = bias;
        }
    }
    if let Some(seen) = seen_whole(config)? {
        spec.max_positions = spec.max_positions.min(seen);
    }
    Ok(spec)
}

/// Returns the length up to which the encoder sees texts whole; `None` if it does so at any length.
fn seen_whole(config: &ConfigFile) -> Result<Option<usize>, Error> {
    match config
        .optional_text("attention_type")?
        .unwrap_or("block_sparse")
    {
        "original_full" => Ok(None),
        "block_sparse" => {
            let block = config.optional_size("block_size")?.unwrap_or(DEFAULT_BLOCK);
            let random = config.optional_size("num_random_blocks")?;
            // Two blocks that all tokens see, three around a token, and twice the random ones.
            Ok(Some(
                (5 + 2 * random.unwrap_or(DEFAULT_RANDOM_BLOCKS)) * block,
            ))
        }
        other => Err(config.refused(format!(
            "`attention_type` is `{other}`, an attention whence does not have"
        ))),
    }
}

/// Gives the norm after the last layer the name that it has here.
fn rename(stack: &mut StackSpec, side: &str) {
    if let Some(norm) = &mut stack.final_norm {
        norm.name = format!("model.{side}.layernorm_embedding");
    }
}

fn attentions(stack: &mut StackSpec) -> impl Iterator<Item = &mut AttentionSpec> {
    let sublayers = stack.sublayers.iter_mut();
    sublayers.filter_map(|sublayer| match &mut sublayer.core {
        CoreSpec::SelfAttention(attention) | CoreSpec::CrossAttention(attention) => Some(attention),
        CoreSpec::FeedForward(_) | CoreSpec::Experts(_) => None,
    })
}
