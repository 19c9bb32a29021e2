//! The layer that a layer method attributes.

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::methods::method::wrong_parameters;
use crate::model::Transformer;
use crate::model::stream::StreamPlace;
use crate::sides::Side;

/// A layer, by its index or by its module path in transformers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a layer's number, 0 or more, or its path such as \"model.layers[0]\""
)]
pub(in crate::methods) enum TargetLayer {
    /// Index of a layer of the encoder, or of the decoder if there is no encoder.
    Number(usize),
    /// A path such as `model.layers[3]` or `model.decoder.layers.1`. Its last number is the index;
    /// it also selects the stack if it names one.
    Path(String),
}

impl TargetLayer {
    /// Fails if a layer is named that `model` does not have.
    pub(in crate::methods) fn check(
        target: Option<&Self>,
        model: &Transformer,
        method: &str,
    ) -> Result<(), Error> {
        target.map_or(Ok(()), |layer| layer.place(model, method).map(drop))
    }

    /// Returns the place in `model` right after the layer; `method` is named in the error. Fails if
    /// there is no such layer.
    pub(in crate::methods) fn place(
        &self,
        model: &Transformer,
        method: &str,
    ) -> Result<StreamPlace, Error> {
        let usual = if model.has_encoder() {
            Side::Source
        } else {
            Side::Target
        };
        let (side, layer) = match self {
            Self::Number(layer) => (usual, Some(*layer)),
            Self::Path(path) => {
                let side = if path.contains("decoder") {
                    Side::Target
                } else if path.contains("encoder") {
                    Side::Source
                } else {
                    usual
                };
                (side, last_number(path))
            }
        };
        let place = layer.and_then(|layer| model.behind_layer(side, layer));
        place.ok_or_else(|| {
            let last = model.stack_spec(side).and_then(|stack| stack.sublayers.last());
            let there = last.map_or_else(
                || "the model has no such stack".to_owned(),
                |last| format!("its stack has layers 0 to {}", last.layer),
            );
            let named = match self {
                Self::Number(layer) => layer.to_string(),
                Self::Path(path) => path.clone(),
            };
            let reason = format!(
                "`target_layer` `{named}` is not a layer; name one by its number or as `model.layers[0]`: {there}"
            );
            wrong_parameters(method, reason)
        })
    }
}

/// Returns the number at the end of a path.
fn last_number(path: &str) -> Option<usize> {
    let path = path.strip_suffix(']').unwrap_or(path);
    let (_, number) = path.rsplit_once(['[', '.'])?;
    number.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_ends_with_the_layers_number() {
        assert_eq!(last_number("model.layers[3]"), Some(3));
        assert_eq!(last_number("model.decoder.layers.11"), Some(11));
        assert_eq!(last_number("model.layers[3].mlp"), None);
        assert_eq!(last_number("model"), None);
    }
}
