//! A decoder layer as papers describe it: an attention and a feed-forward network with their
//! norms.

use crate::model::spec::{
    AttentionSpec, CoreSpec, FeedForwardSpec, NormSpec, SublayerInput, SublayerSpec,
};

/// A layer of a decoder-only model.
pub(super) struct Layer {
    /// The attention.
    pub(super) attention: AttentionSpec,
    /// The norms around the attention.
    pub(super) attention_norms: Norms,
    /// The feed-forward network after it.
    pub(super) network: CoreSpec,
    /// The norms around the network.
    pub(super) network_norms: Norms,
    /// Factor of the outputs of both, before they are added to the residual stream.
    pub(super) scale: f64,
    /// Whether the network reads the same stream as the attention instead of the attention's
    /// result.
    pub(super) is_parallel: bool,
}

/// Where the norms around a core are.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Norms {
    /// On the core's input.
    Before(NormSpec),
    /// On the core's output.
    After(NormSpec),
    /// On the core's input and on its output, in this order.
    Around(NormSpec, NormSpec),
    /// On the sum of the stream and the core's output.
    Sum(NormSpec),
}

impl Layer {
    /// Returns a layer with norms on the inputs of attention and network.
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

    /// Sets whether the projections of queries, keys and values have biases, and whether the output
    /// projection of the attention has one.
    pub(super) fn set_biases(&mut self, of_inputs: bool, of_output: bool) {
        let attention = &mut self.attention;
        attention.query.bias = of_inputs;
        attention.key.bias = of_inputs;
        attention.value.bias = of_inputs;
        attention.output.bias = of_output;
    }

    /// Returns the network, unless the layer has a mixture of experts.
    pub(super) fn plain_network(&mut self) -> Option<&mut FeedForwardSpec> {
        match &mut self.network {
            CoreSpec::FeedForward(network) => Some(network),
            _ => None,
        }
    }

    /// Converts the layer, number `index`, into its two sublayers.
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

/// Converts all layers into sublayers, numbering them from 0.
pub(super) fn sublayers(layers: Vec<Layer>) -> Vec<SublayerSpec> {
    let numbered = layers.into_iter().enumerate();
    numbered
        .flat_map(|(index, layer)| layer.into_sublayers(index))
        .collect()
}

impl Norms {
    /// Returns the sublayer of `core` in layer `layer`, with these norms in their places.
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
