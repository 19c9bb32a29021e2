//! Gives the tensors of a specification other names, for families that differ from another one in those.

use crate::model::spec::{
    AddedPositions, AttentionSpec, CoreSpec, FeedForwardSpec, Gate, HeadWeight, LinearSpec,
    ModelSpec, NormSpec, StackEmbedding, StackSpec,
};

/// Replaces every name of a tensor or module in `spec` by what `rename` makes of it.
///
/// Mixtures of experts, norms of heads and latent vectors keep their names: no family that needs this
/// has them.
pub(super) fn rename(spec: &mut ModelSpec, rename: &dyn Fn(&str) -> String) {
    spec.embedding = rename(&spec.embedding);
    let (HeadWeight::Own(name) | HeadWeight::OwnOrTied(name)) = &mut spec.head.weight;
    *name = rename(name);
    for stack in spec.encoder.iter_mut().chain([&mut spec.decoder]) {
        rename_stack(stack, rename);
    }
}

fn rename_stack(stack: &mut StackSpec, rename: &dyn Fn(&str) -> String) {
    if let StackEmbedding::Repeated(name) = &mut stack.embedding {
        *name = rename(name);
    }
    if let Some(AddedPositions::Learned { name, .. }) = &mut stack.added_positions {
        *name = rename(name);
    }
    let norm = |norm: &mut Option<NormSpec>| {
        if let Some(norm) = norm {
            norm.name = rename(&norm.name);
        }
    };
    norm(&mut stack.embedding_norm);
    norm(&mut stack.final_norm);
    for sublayer in &mut stack.sublayers {
        norm(&mut sublayer.norm_before);
        norm(&mut sublayer.norm_after);
        norm(&mut sublayer.norm_sum);
        let maps = match &mut sublayer.core {
            CoreSpec::SelfAttention(attention) | CoreSpec::CrossAttention(attention) => {
                of_attention(attention)
            }
            CoreSpec::FeedForward(network) => of_network(network),
            CoreSpec::Experts(_) => Vec::new(),
        };
        for map in maps {
            map.name = rename(&map.name);
        }
    }
}

/// Returns the linear maps of an attention.
pub(super) fn of_attention(attention: &mut AttentionSpec) -> Vec<&mut LinearSpec> {
    vec![
        &mut attention.query,
        &mut attention.key,
        &mut attention.value,
        &mut attention.output,
    ]
}

fn of_network(network: &mut FeedForwardSpec) -> Vec<&mut LinearSpec> {
    let mut maps = match &mut network.gate {
        Gate::Plain { up } => vec![up],
        Gate::Gated { gate, up } => vec![gate, up],
    };
    maps.push(&mut network.down);
    maps
}
