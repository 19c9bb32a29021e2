//! The heads to zero: all of them, the same ones in every layer, or a selection per layer.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::kernels::attention::KeyHeads;
use crate::model::spec::AttentionSpec;

/// A selection of heads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a head's number, a list of them, a range \"first:end\", or an object of those by layer"
)]
pub(in crate::methods) enum Units {
    /// The same heads in every layer.
    Every(Heads),
    /// Heads per layer index. In layers that are not named nothing is zeroed.
    ByLayer(#[serde(deserialize_with = "by_layer")] BTreeMap<usize, Heads>),
}

/// Deserializes heads by layer. JSON keys are strings, and serde does not convert them to numbers
/// inside an untagged enum.
fn by_layer<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<usize, Heads>, D::Error> {
    let layers = BTreeMap::<String, Heads>::deserialize(deserializer)?;
    let numbered = layers.into_iter().map(|(layer, heads)| {
        let layer = layer.parse().map_err(D::Error::custom)?;
        Ok((layer, heads))
    });
    numbered.collect()
}

/// A selection of heads of one layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a head's number, a list of them or a range \"first:end\""
)]
pub(in crate::methods) enum Heads {
    /// A single head.
    One(usize),
    /// A list of heads.
    Several(Vec<usize>),
    /// A range `"first:end"`, without the end.
    Range(String),
}

impl Units {
    /// Fails if a range is malformed.
    pub(super) fn validate(&self) -> Result<(), String> {
        let heads: Vec<&Heads> = match self {
            Self::Every(heads) => vec![heads],
            Self::ByLayer(layers) => layers.values().collect(),
        };
        heads
            .into_iter()
            .try_for_each(|heads| heads.numbers().map(drop))
    }
}

impl Heads {
    /// Returns the indices of the heads. Fails with a message if the range is malformed.
    fn numbers(&self) -> Result<Vec<usize>, String> {
        match self {
            Self::One(head) => Ok(vec![*head]),
            Self::Several(heads) => Ok(heads.clone()),
            Self::Range(text) => {
                let range = text.split_once(':').and_then(|(first, end)| {
                    Some(first.trim().parse().ok()?..end.trim().parse().ok()?)
                });
                let wrong = || format!("`{text}` is not a range of heads; write `first:end`");
                Ok(range.ok_or_else(wrong)?.collect())
            }
        }
    }
}

/// The heads of one layer that are zeroed.
pub(super) enum Chosen {
    All,
    None,
    Some(Vec<usize>),
}

impl Chosen {
    /// Returns the heads of layer `layer` that `units` select; all of them if `units` is absent.
    /// Fails with a message if `attention` has no such head.
    pub(super) fn new(
        units: Option<&Units>,
        layer: usize,
        attention: &AttentionSpec,
    ) -> Result<Self, String> {
        let heads = match units {
            None => return Ok(Self::All),
            Some(Units::Every(heads)) => heads.numbers()?,
            Some(Units::ByLayer(layers)) => match layers.get(&layer) {
                Some(heads) => heads.numbers()?,
                None => return Ok(Self::None),
            },
        };
        match heads.iter().find(|head| **head >= attention.kv_heads) {
            None => Ok(Self::Some(heads)),
            Some(head) => {
                let last = attention.kv_heads - 1;
                Err(format!(
                    "layer {layer} has no value head {head}; its last is {last}"
                ))
            }
        }
    }

    /// Returns the heads to zero; `None` if there are none.
    pub(super) fn heads(&self) -> Option<KeyHeads<'_>> {
        match self {
            Self::All => Some(KeyHeads::All),
            Self::None => None,
            Self::Some(heads) => Some(KeyHeads::Only(heads)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use whence_schemas::options;

    use super::*;

    #[test]
    fn heads_are_chosen_for_all_layers_or_by_layer() {
        let read = |json: serde_json::Value| options::read_value::<Units>(&json).unwrap();
        assert_eq!(read(json!(1)), Units::Every(Heads::One(1)));
        let range = Heads::Range("0:2".to_owned());
        assert_eq!(read(json!("0:2")), Units::Every(range.clone()));
        let layers = [(0, Heads::Several(vec![1])), (10, range)];
        assert_eq!(
            read(json!({"10": "0:2", "0": [1]})),
            Units::ByLayer(layers.into())
        );
        let written = serde_json::to_value(read(json!({"10": 1}))).unwrap();
        assert_eq!(written, json!({"10": 1}));
        let said = options::read_value::<Units>(&json!({"x": 1})).unwrap_err();
        assert!(said.to_string().contains("by layer"), "{said}");
    }
}
