//! How GGUF files name and order the tensors of an architecture.
//!
//! llama.cpp rotates pairs of neighboring values of a head, transformers pairs from the head's two
//! halves. llama.cpp's converter therefore reorders the rows of Llama's query and key projections.
//! This module restores transformers' order, so that one rotation serves every file.

use candle_core::{Result, Tensor};

use super::Metadata;
use crate::Error;

/// An architecture that can be read from GGUF.
#[derive(Debug)]
pub(super) struct GgufArchitecture {
    /// `general.architecture`, which is also the prefix of the metadata keys.
    pub(super) name: &'static str,
    /// The corresponding `model_type` of transformers.
    pub(super) model_type: &'static str,
    /// Whether query and key rows are in llama.cpp's order.
    interleaved: bool,
}

/// All architectures that can be read from GGUF.
const ARCHITECTURES: &[GgufArchitecture] = &[GgufArchitecture {
    name: "llama",
    model_type: "llama",
    interleaved: true,
}];

/// Tensors outside the layers, by GGUF's name and by transformers'.
const OUTSIDE: &[(&str, &str)] = &[
    ("token_embd", "model.embed_tokens"),
    ("output_norm", "model.norm"),
    ("output", "lm_head"),
];

/// Tensors of a layer, by GGUF's name after `blk.N.` and transformers' after `model.layers.N.`.
const IN_LAYER: &[(&str, &str)] = &[
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

/// The order of a tensor's rows in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowOrder {
    /// The order of transformers.
    InOrder,
    /// In each of `heads` heads, rows of the first and the second half alternate.
    Interleaved {
        /// Number of heads that the rows belong to.
        heads: usize,
    },
}

impl GgufArchitecture {
    /// Finds the architecture of a file. Fails if it is not supported.
    pub(super) fn from_metadata(
        metadata: &Metadata<'_>,
    ) -> std::result::Result<&'static Self, Error> {
        let name = metadata.text("general.architecture")?;
        let found = ARCHITECTURES.iter().find(|known| known.name == name);
        found.ok_or_else(|| {
            let known: Vec<_> = ARCHITECTURES.iter().map(|known| known.name).collect();
            metadata.refused(format!(
                "its architecture is `{name}`, GGUF files are read of `{}`; take the model's safetensors",
                known.join("`, `")
            ))
        })
    }

    /// Returns transformers' name of a tensor and the order of its rows, or `None` if transformers
    /// has no such tensor.
    pub(super) fn transformers_name(
        &self,
        stored: &str,
        metadata: &Metadata<'_>,
    ) -> std::result::Result<Option<(String, RowOrder)>, Error> {
        let Some((name, part)) = stored.rsplit_once('.') else {
            return Ok(None);
        };
        if let Some((_, outside)) = OUTSIDE.iter().find(|(gguf, _)| *gguf == name) {
            return Ok(Some((format!("{outside}.{part}"), RowOrder::InOrder)));
        }
        let in_layer = name
            .strip_prefix("blk.")
            .and_then(|name| name.split_once('.'));
        let Some((layer, name)) = in_layer else {
            return Ok(None);
        };
        let Some((_, inside)) = IN_LAYER.iter().find(|(gguf, _)| *gguf == name) else {
            return Ok(None);
        };
        let rows = match name {
            "attn_q" if self.interleaved => RowOrder::Interleaved {
                heads: self.heads(metadata)?,
            },
            "attn_k" if self.interleaved => RowOrder::Interleaved {
                heads: self.kv_heads(metadata)?,
            },
            _ => RowOrder::InOrder,
        };
        Ok(Some((
            format!("model.layers.{layer}.{inside}.{part}"),
            rows,
        )))
    }

    /// Returns the metadata key of one of the architecture's own values.
    pub(super) fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.name)
    }

    /// Returns the number of query heads.
    pub(super) fn heads(&self, metadata: &Metadata<'_>) -> std::result::Result<usize, Error> {
        metadata.size(&self.key("attention.head_count"))
    }

    /// Returns the number of key and value heads, which is that of query heads unless the file
    /// says otherwise.
    pub(super) fn kv_heads(&self, metadata: &Metadata<'_>) -> std::result::Result<usize, Error> {
        match metadata.optional_size(&self.key("attention.head_count_kv"))? {
            Some(heads) => Ok(heads),
            None => self.heads(metadata),
        }
    }
}

impl RowOrder {
    /// Reorders the rows of `tensor`, `[rows, …]`, as transformers has them.
    pub(super) fn restore(self, tensor: &Tensor) -> Result<Tensor> {
        let Self::Interleaved { heads } = self else {
            return Ok(tensor.clone());
        };
        let shape = tensor.dims().to_vec();
        let rows = shape.first().copied().unwrap_or_default();
        if heads == 0 || rows % (2 * heads) != 0 {
            candle_core::bail!("{rows} rows do not make {heads} heads of two halves each");
        }
        let width = tensor.elem_count() / rows.max(1);
        tensor
            .reshape((heads, rows / heads / 2, 2, width))? // [head, plane, half, in]
            .transpose(1, 2)? // [head, half, plane, in]
            .contiguous()?
            .reshape(shape)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn halves_are_put_one_after_the_other_in_each_head() {
        let interleaved = Tensor::new(&[0f32, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0], &Device::Cpu);
        let restored = RowOrder::Interleaved { heads: 2 }
            .restore(&interleaved.unwrap())
            .unwrap();
        assert_eq!(
            restored.to_vec1::<f32>().unwrap(),
            [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
        );
    }
}
