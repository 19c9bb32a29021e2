//! The names of an adapter's tensors.
//!
//! peft wraps the base model twice, which gives every name the prefix `base_model.model.`, and adds
//! the parts of an update below the module that is updated.

/// What peft puts before the name of each of the base's modules.
const PREFIX: &str = "base_model.model.";

/// What a tensor of an adapter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// `A` of a linear map, `[rank, in]`.
    A,
    /// `B` of a linear map, `[out, rank]`.
    B,
    /// `A` of an embedding, `[rank, tokens]`.
    EmbeddingA,
    /// `B` of an embedding, `[width, rank]`.
    EmbeddingB,
    /// The trained length of each row, `[out]`.
    Magnitude,
    /// A whole tensor, which replaces that of the base.
    Whole,
}

impl Part {
    /// Returns whether it updates an embedding, whose rows are tokens instead of outputs.
    pub(super) fn is_of_embedding(self) -> bool {
        matches!(self, Self::EmbeddingA | Self::EmbeddingB)
    }
}

/// Endings of names, and the part that each marks.
const PARTS: &[(&str, Part)] = &[
    (".lora_A.weight", Part::A),
    (".lora_B.weight", Part::B),
    (".lora_embedding_A", Part::EmbeddingA),
    (".lora_embedding_B", Part::EmbeddingB),
    (".lora_magnitude_vector", Part::Magnitude),
    (".lora_magnitude_vector.weight", Part::Magnitude),
];

/// Parts of a name that peft inserts between a module and its tensors.
const INSERTED: &[&str] = &[".modules_to_save", ".base_layer"];

/// Returns the name of the base's tensor that an adapter's tensor changes, and how it does. Returns
/// `None` if the name is not one that peft gives.
pub(super) fn target(name: &str) -> Option<(String, Part)> {
    let name = name.strip_prefix(PREFIX)?;
    for (ending, part) in PARTS {
        if let Some(module) = name.strip_suffix(ending) {
            return Some((format!("{module}.weight"), *part));
        }
    }
    if name.contains(".lora_") {
        return None;
    }
    let whole = INSERTED
        .iter()
        .fold(name.to_owned(), |name, inserted| name.replace(inserted, ""));
    Some((whole, Part::Whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_the_weights_of_the_base() {
        let weight = |module: &str| format!("{module}.weight");
        for (name, expected) in [
            (
                "h.0.attn.c_attn.lora_A.weight",
                (weight("h.0.attn.c_attn"), Part::A),
            ),
            ("wte.lora_embedding_B", (weight("wte"), Part::EmbeddingB)),
            ("q.lora_magnitude_vector", (weight("q"), Part::Magnitude)),
            (
                "lm_head.modules_to_save.weight",
                (weight("lm_head"), Part::Whole),
            ),
            ("q.base_layer.bias", ("q.bias".to_owned(), Part::Whole)),
            ("norm.weight", (weight("norm"), Part::Whole)),
        ] {
            let found = target(&format!("base_model.model.{name}"));
            assert_eq!(found, Some(expected), "{name}");
        }
        assert_eq!(target("model.q.lora_A.weight"), None);
        assert_eq!(target("base_model.model.q.lora_B.bias"), None);
        assert_eq!(target("base_model.model.q.lora_A.default.weight"), None);
    }
}
