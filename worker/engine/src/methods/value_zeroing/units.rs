//! Which heads go without values: all of them, the same ones in every layer, or some of each.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::kernels::attention::KeyHeads;
use crate::model::spec::AttentionSpec;

/// A choice of heads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(in crate::methods) enum Units {
    /// The same heads in every layer.
    Every(Heads),
    /// Heads of the layers that are named.
    ByLayer(BTreeMap<usize, Heads>),
}

/// Some heads of a layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(in crate::methods) enum Heads {
    /// One.
    One(usize),
    /// Several.
    Several(Vec<usize>),
    /// Neighbours, `"first:end"`, the end left out.
    Range(String),
}

impl Heads {
    /// Returns their numbers, or what is wrong with a range that is none.
    fn numbers(&self) -> Result<Vec<usize>, String> {
        match self {
            Self::One(head) => Ok(vec![*head]),
            Self::Several(heads) => Ok(heads.clone()),
            Self::Range(text) => {
                let range = text.split_once(':').and_then(|(first, end)| {
                    Some(first.trim().parse().ok()?..end.trim().parse().ok()?)
                });
                let wrong = || format!("`{text}` is no range of heads; write `first:end`");
                Ok(range.ok_or_else(wrong)?.collect())
            }
        }
    }
}

/// Which heads of a layer are zeroed.
pub(super) enum Chosen {
    All,
    None,
    Some(Vec<usize>),
}

impl Chosen {
    /// Returns those of layer `layer` that `units` choose; all where there are no `units`. Says what
    /// is wrong if `attention` has no such head.
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

    /// Returns them; `None` where nothing is zeroed.
    pub(super) fn heads(&self) -> Option<KeyHeads<'_>> {
        match self {
            Self::All => Some(KeyHeads::All),
            Self::None => None,
            Self::Some(heads) => Some(KeyHeads::Only(heads)),
        }
    }
}
