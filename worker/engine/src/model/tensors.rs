//! The tensors that a model is made of, by name and shape.
//!
//! This list matches what loading reads, so a checkpoint can be compared with it before any tensor
//! is read: what is missing, what has another shape, and what the model would leave out.
//! `tests/families` verifies for every architecture that list and loading agree.

use super::spec::{
    AddedPositions, AttentionSpec, CoreSpec, ExpertsSpec, FeedForwardSpec, Gate, HeadBias,
    HeadNormSpec, HeadNormWeights, HeadWeight, LatentVectorSpec, LinearSpec, ModelSpec, NormKind,
    NormSpec, ScoreBiasSpec, StackEmbedding, StackSpec, SublayerSpec,
};
use crate::sides::Side;

/// A tensor that loading a model reads or checks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name in the checkpoint.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Whether a checkpoint needs it, and what it must contain.
    pub need: Need,
    /// Whether it is the weight of a linear map that is stored `[in, out]` instead of `[out, in]`.
    pub is_transposed: bool,
}

/// How a model uses a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Loading fails without it.
    Required,
    /// It is read if the checkpoint has it.
    Optional,
    /// If the checkpoint has it, it must equal the embedding bit for bit.
    RepeatsEmbedding,
    /// If the checkpoint has it, it must be all zeros, because the configuration does not use it.
    Zero,
}

impl ModelSpec {
    /// Returns every tensor that loading the model reads or checks for. A tensor that stores
    /// several projections is listed once for each of them.
    pub fn tensors(&self) -> Vec<TensorSpec> {
        let mut list = List::default();
        let width = self.embedding_width();
        list.add(&self.embedding, [self.vocabulary, width], Need::Required);
        let (name, vocabulary) = self.embedding_of(Side::Source);
        if name != self.embedding {
            list.add(name, [vocabulary, width], Need::Required);
        }
        self.add_head(&mut list);
        for stack in self.encoder.iter().chain([&self.decoder]) {
            self.add_stack(&mut list, stack);
        }
        list.0
    }

    fn add_head(&self, list: &mut List) {
        let projection = self.head.projection.as_ref();
        let width = projection.map_or(self.hidden, |projection| projection.width);
        if let Some(projection) = projection {
            list.add_linear(&projection.linear, [width, self.hidden]);
        }
        match &self.head.weight {
            HeadWeight::Own(name) => list.add(name, [self.vocabulary, width], Need::Required),
            HeadWeight::OwnOrTied(name) => list.add(name, [self.vocabulary, width], Need::Optional),
        }
        match &self.head.bias {
            Some(HeadBias::Linear(name)) => list.add(name, [self.vocabulary], Need::Required),
            Some(HeadBias::FinalLogits(name)) => {
                list.add(name, [1, self.vocabulary], Need::Optional);
            }
            None => {}
        }
    }

    fn add_stack(&self, list: &mut List, stack: &StackSpec) {
        if let StackEmbedding::Repeated(name) = &stack.embedding {
            let shape = [self.vocabulary, self.embedding_width()];
            list.add(name, shape, Need::RepeatsEmbedding);
        }
        if let Some(projection) = &stack.input_projection {
            list.add_linear(&projection.linear, [self.hidden, projection.width]);
        }
        if let Some(AddedPositions::Learned { name, offset }) = &stack.added_positions {
            let rows = offset.saturating_add(self.max_positions);
            list.add(name, [rows, self.hidden], Need::Required);
        }
        for bias in &stack.score_biases {
            if let ScoreBiasSpec::Relative {
                name,
                heads,
                buckets,
                ..
            } = bias
            {
                list.add(name, [*buckets, *heads], Need::Required);
            }
        }
        for norm in stack.embedding_norm.iter().chain(&stack.final_norm) {
            list.add_norm(norm, self.hidden);
        }
        for sublayer in &stack.sublayers {
            list.add_sublayer(sublayer, self.hidden);
        }
    }
}

/// The list under construction.
#[derive(Default)]
struct List(Vec<TensorSpec>);

impl List {
    fn add(&mut self, name: impl Into<String>, shape: impl Into<Vec<usize>>, need: Need) {
        self.0.push(TensorSpec {
            name: name.into(),
            shape: shape.into(),
            need,
            is_transposed: false,
        });
    }

    /// Adds a linear map with the given numbers of outputs and inputs.
    fn add_linear(&mut self, linear: &LinearSpec, [outputs, inputs]: [usize; 2]) {
        let outputs = linear.slice.map_or(outputs, |slice| slice.stored);
        let shape = if linear.is_transposed {
            [inputs, outputs]
        } else {
            [outputs, inputs]
        };
        let stacked = |shape: &[usize]| match linear.stack {
            Some(stack) => stack.shape(shape),
            None => shape.to_vec(),
        };
        self.0.push(TensorSpec {
            name: linear.weight_name(),
            shape: stacked(&shape),
            need: Need::Required,
            is_transposed: linear.is_transposed,
        });
        let need = if linear.bias {
            Need::Required
        } else {
            Need::Zero
        };
        self.add(linear.bias_name(), stacked(&[outputs]), need);
    }

    fn add_norm(&mut self, norm: &NormSpec, hidden: usize) {
        if norm.kind == NormKind::LayerWithoutWeights {
            return;
        }
        self.add(format!("{}.weight", norm.name), [hidden], Need::Required);
        let need = if norm.kind.has_bias() {
            Need::Required
        } else {
            Need::Zero
        };
        self.add(format!("{}.bias", norm.name), [hidden], need);
    }

    fn add_sublayer(&mut self, sublayer: &SublayerSpec, hidden: usize) {
        let norms = [
            &sublayer.norm_before,
            &sublayer.norm_after,
            &sublayer.norm_sum,
        ];
        for norm in norms.into_iter().flatten() {
            self.add_norm(norm, hidden);
        }
        match &sublayer.core {
            CoreSpec::SelfAttention(attention) => {
                self.add_attention(attention, hidden);
                if let Some(norms) = &attention.head_norms {
                    self.add_head_norms(norms, attention);
                }
            }
            CoreSpec::CrossAttention(attention) => self.add_attention(attention, hidden),
            CoreSpec::FeedForward(network) => self.add_network(network, hidden),
            CoreSpec::Experts(experts) => self.add_experts(experts, hidden),
        }
    }

    fn add_experts(&mut self, experts: &ExpertsSpec, hidden: usize) {
        self.add_linear(&experts.router, [experts.experts.len(), hidden]);
        if let Some(correction) = &experts.correction {
            self.add(&correction.name, correction.shape.clone(), Need::Required);
        }
        for network in experts.networks() {
            self.add_network(network, hidden);
        }
        let gate = experts
            .shared
            .iter()
            .filter_map(|shared| shared.gate.as_ref());
        for gate in gate {
            self.add_linear(gate, [1, hidden]);
        }
    }

    fn add_attention(&mut self, attention: &AttentionSpec, hidden: usize) {
        let width = attention.heads * attention.head_dim;
        let Some(latent) = &attention.latent else {
            let kv_width = attention.kv_heads * attention.head_dim;
            self.add_linear(&attention.query, [width, hidden]);
            self.add_linear(&attention.key, [kv_width, hidden]);
            self.add_linear(&attention.value, [kv_width, hidden]);
            self.add_linear(&attention.output, [hidden, width]);
            return;
        };
        let mut query_inputs = hidden;
        if let Some(queries) = &latent.queries {
            self.add_latent_vector(queries, hidden);
            query_inputs = queries.width;
        }
        let of_keys = &latent.keys_and_values;
        self.add_latent_vector(of_keys, hidden);
        self.add_linear(&latent.shared_key, [latent.rotated, hidden]);
        self.add_linear(&attention.query, [width, query_inputs]);
        let unrotated = attention.heads * (attention.head_dim - latent.rotated);
        let value_width = attention.heads * latent.value_dim;
        self.add_linear(&attention.key, [unrotated, of_keys.width]);
        self.add_linear(&attention.value, [value_width, of_keys.width]);
        self.add_linear(&attention.output, [hidden, value_width]);
    }

    fn add_latent_vector(&mut self, vector: &LatentVectorSpec, hidden: usize) {
        self.add_linear(&vector.down, [vector.width, hidden]);
        self.add_norm(&vector.norm, vector.width);
    }

    fn add_network(&mut self, network: &FeedForwardSpec, hidden: usize) {
        let (gate, up) = match &network.gate {
            Gate::Plain { up } => (None, up),
            Gate::Gated { gate, up } => (Some(gate), up),
        };
        for linear in gate.into_iter().chain([up]) {
            self.add_linear(linear, [network.inner, hidden]);
        }
        self.add_linear(&network.down, [hidden, network.inner]);
    }

    fn add_head_norms(&mut self, norms: &HeadNormSpec, attention: &AttentionSpec) {
        let parts = if norms.kind.has_bias() {
            &["weight", "bias"][..]
        } else {
            &["weight"]
        };
        for (weights, heads) in [
            (&norms.queries, attention.heads),
            (&norms.keys, attention.kv_heads),
        ] {
            let dim = attention.head_dim;
            for part in parts {
                match weights {
                    HeadNormWeights::Shared(name) => {
                        let len = if norms.is_joint { heads * dim } else { dim };
                        self.add(format!("{name}.{part}"), [len], Need::Required);
                    }
                    HeadNormWeights::Stacked(name) => {
                        self.add(format!("{name}.{part}"), [heads, dim], Need::Required);
                    }
                    HeadNormWeights::Numbered(name) => {
                        for head in 0..heads {
                            let name = format!("{name}.{head}.{part}");
                            self.add(name, [dim], Need::Required);
                        }
                    }
                }
            }
        }
    }
}
