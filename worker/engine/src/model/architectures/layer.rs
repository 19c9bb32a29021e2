//! A decoder layer as architectures think of it: an attention and a network with their norms.

use crate::model::spec::{AttentionSpec, CoreSpec, NormSpec, SublayerInput, SublayerSpec};

/// A layer of a decoder-only model.
pub(super) struct Layer {
    /// The attention.
    pub(super) attention: AttentionSpec,
    /// The norms around the attention.
    pub(super) attention_norms: Norms,
    /// The network behind it.
    pub(super) network: CoreSpec,
    /// The norms around the network.
    pub(super) network_norms: Norms,
    /// Factor of what either adds to the stream.
    pub(super) scale: f64,
    /// Whether the network reads what the attention reads.
    pub(super) is_parallel: bool,
}

/// The norms around a core.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Norms {
    /// Of what the core reads.
    Before(NormSpec),
    /// Of what the core returns.
    After(NormSpec),
    /// Of what the core reads, and of what it returns.
    Around(NormSpec, NormSpec),
    /// Of the stream with what the core returns added.
    Sum(NormSpec),
}

impl Layer {
    /// Returns a layer that normalizes what attention and network read.
    pub(super) fn pre_norm(
        (attention_norm, attention): (NormSpec, AttentionSpec),
        (network_norm, network): (NormSpec, impl Into<CoreSpec>),
    ) -> Self {
        Self {
            attention,
            attention_norms: Norms::Before(attention_norm),
            network: network.into(),
            network_norms: Norms::Before(network_norm),
            scale: 1.0,
            is_parallel: false,
        }
    }

    /// Returns the sublayers of layer `index`.
    fn into_sublayers(self, index: usize) -> [SublayerSpec; 2] {
        let attention = CoreSpec::SelfAttention(self.attention);
        let sublayer = |norms: Norms, core| SublayerSpec {
            scale: self.scale,
            ..norms.around(index, core)
        };
        let beside = if self.is_parallel {
            SublayerInput::AsSublayerBefore
        } else {
            SublayerInput::Stream
        };
        [
            sublayer(self.attention_norms, attention),
            SublayerSpec {
                input: beside,
                ..sublayer(self.network_norms, self.network)
            },
        ]
    }
}

/// Returns the sublayers of all layers.
pub(super) fn sublayers(layers: Vec<Layer>) -> Vec<SublayerSpec> {
    let numbered = layers.into_iter().enumerate();
    numbered
        .flat_map(|(index, layer)| layer.into_sublayers(index))
        .collect()
}

impl Norms {
    fn around(self, layer: usize, core: CoreSpec) -> SublayerSpec {
        let bare = SublayerSpec::bare(layer, core);
        match self {
            Self::Before(norm) => SublayerSpec {
                norm_before: Some(norm),
                ..bare
            },
            Self::After(norm) => SublayerSpec {
                norm_after: Some(norm),
                ..bare
            },
            Self::Around(before, after) => SublayerSpec {
                norm_before: Some(before),
                norm_after: Some(after),
                ..bare
            },
            Self::Sum(norm) => SublayerSpec {
                norm_sum: Some(norm),
                ..bare
            },
        }
    }
}
