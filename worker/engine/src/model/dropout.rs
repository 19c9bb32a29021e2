//! Dropout: the rates of a model, and the masks of one pass.
//!
//! Each place where training drops values draws its own mask; the values that remain are divided
//! by the share that remains, which keeps their expectation. The rates are those of the model's
//! `config.json`, under the names that its authors use. Each sequence draws its masks from its own
//! random stream, so that they do not depend on the batch. Masks are kept in the trace for the
//! backward pass. Some models skip whole layers in training (`LayerDrop`); that is not done here.

use super::config::ConfigFile;
use super::sequences::Sequences;
use crate::Error;
use crate::error::Result;
use crate::kernels::attention::AttentionTrace;
use crate::kernels::{Tensor, dropout};
use crate::random::Random;

/// Dropout rates: the share of values that training drops at each place.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct DropoutRates {
    /// Applied to what enters a stack.
    pub embedding: f64,
    /// Applied to what a sublayer adds to the residual stream.
    pub residual: f64,
    /// Applied to the weights of an attention.
    pub attention: f64,
    /// Applied to the inner values of a feed-forward network.
    pub activation: f64,
    /// Applied to what leaves a stack.
    pub output: f64,
}

impl DropoutRates {
    /// Reads the rates from a model's `config.json`. A rate that it does not name is 0.
    ///
    /// Fails if a rate is not at least 0 and below 1.
    pub fn read(config: &ConfigFile) -> Result<Self, Error> {
        // A model of images and text describes its text part in an object of its own.
        if let Some(text) = config.object("text_config")? {
            return Self::read(&text);
        }
        let first = |names: &[&str]| -> Result<Option<f64>, Error> {
            for name in names {
                if let Some(rate) = config.optional_number(name)? {
                    if !(0.0..1.0).contains(&rate) {
                        let reason = format!("`{name}` is {rate}, not a share below 1");
                        return Err(config.refused(reason));
                    }
                    return Ok(Some(rate));
                }
            }
            Ok(None)
        };
        // T5 has a single rate for all places.
        if let Some(rate) = first(&["dropout_rate"])? {
            return Ok(Self {
                embedding: rate,
                residual: rate,
                attention: rate,
                activation: rate,
                output: rate,
            });
        }
        let residual = first(&[
            "dropout",
            "resid_pdrop",
            "resid_dropout",
            "hidden_dropout",
            "residual_dropout",
        ])?;
        let mut embedding = first(&[
            "embd_pdrop",
            "embed_dropout",
            "embd_dropout",
            "emb_dropout",
            "emb_pdrop",
        ])?;
        // BART and its relatives apply the residual rate to embeddings if they name no other.
        if config.flag_or("is_encoder_decoder", false)? {
            embedding = embedding.or(residual);
        }
        Ok(Self {
            embedding: embedding.unwrap_or_default(),
            residual: residual.unwrap_or_default(),
            attention: first(&["attention_dropout", "attn_pdrop"])?.unwrap_or_default(),
            activation: first(&["activation_dropout"])?.unwrap_or_default(),
            output: 0.0,
        })
    }
}

/// Draws the masks of one pass, in the order in which the pass needs them.
pub(super) struct Masks<'a> {
    pub(super) rates: DropoutRates,
    /// One random stream per sequence.
    streams: &'a mut [Random],
}

impl<'a> Masks<'a> {
    /// Creates masks with the given rates. Those of sequence `i` are drawn from `streams[i]`.
    pub(super) fn new(rates: DropoutRates, streams: &'a mut [Random]) -> Self {
        Self { rates, streams }
    }
}

impl Masks<'_> {
    /// Returns masks for a pass without dropout: nothing is dropped.
    pub(super) fn none() -> Self {
        Self {
            rates: DropoutRates::default(),
            streams: &mut [],
        }
    }

    /// Draws a mask for `rows` that drops a share `rate` of the values. Returns `None` if nothing
    /// is dropped.
    /// `[rows, width]`
    pub(super) fn draw_for_rows(
        &mut self,
        rows: &Tensor,
        sequences: &Sequences,
        rate: f64,
    ) -> Result<Option<Tensor>> {
        if rate == 0.0 {
            return Ok(None);
        }
        let (_, width) = rows.dims2()?;
        let of_sequence = sequences.iter().map(|r| r.start * width..r.end * width);
        dropout::mask(rows, rate, of_sequence, self.streams).map(Some)
    }

    /// Draws a mask for the weights of an attention, in the same layout. Returns `None` if nothing
    /// is dropped.
    pub(super) fn draw_for_weights(&mut self, attended: &AttentionTrace) -> Result<Option<Tensor>> {
        let rate = self.rates.attention;
        if rate == 0.0 {
            return Ok(None);
        }
        let of_sequence = attended.weights_of_sequences();
        dropout::mask(&attended.weights, rate, of_sequence, self.streams).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERYWHERE: DropoutRates = DropoutRates {
        embedding: 0.1,
        residual: 0.1,
        attention: 0.1,
        activation: 0.1,
        output: 0.1,
    };

    #[test]
    fn rates_have_the_names_of_their_models() {
        let read = |json: serde_json::Value| {
            let fields = json.as_object().unwrap().clone();
            DropoutRates::read(&ConfigFile::from_fields("config.json".as_ref(), fields))
        };
        let marian = serde_json::json!({
            "is_encoder_decoder": true, "dropout": 0.1, "attention_dropout": 0.0,
        });
        let expected = DropoutRates {
            embedding: 0.1,
            residual: 0.1,
            ..DropoutRates::default()
        };
        assert_eq!(read(marian).unwrap(), expected);
        let gpt2 = serde_json::json!({"resid_pdrop": 0.2, "embd_pdrop": 0.1, "attn_pdrop": 0.3});
        let expected = DropoutRates {
            embedding: 0.1,
            residual: 0.2,
            attention: 0.3,
            ..DropoutRates::default()
        };
        assert_eq!(read(gpt2).unwrap(), expected);
        assert_eq!(
            read(serde_json::json!({"dropout_rate": 0.1})).unwrap(),
            EVERYWHERE
        );
        let error = read(serde_json::json!({"dropout": 1.0})).unwrap_err();
        assert!(error.to_string().contains("`dropout` is 1"), "{error}");
    }
}
