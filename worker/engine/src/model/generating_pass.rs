//! Passes of generation, which no backward pass follows.
//!
//! They keep the keys and values of the decoder and nothing else. So a prompt takes memory in
//! proportion to its length, where the pass of an attribution keeps every attention weight. The
//! output has the same bits: a generated token does not depend on what a pass keeps.

use super::kept::Kept;
use super::pass::{Embedded, Inputs, Trace};
use super::stack::Around;
use super::transformer::Transformer;
use crate::error::Result;
use crate::sides::Side;

impl Transformer {
    /// Runs the model over whole sequences, which [`Self::generate_on`] can continue.
    pub(crate) fn generate_from(&self, inputs: &Inputs) -> Result<Trace> {
        self.forward_with(inputs, |stack, rows, around, side| {
            let kept = match side {
                Side::Source => Kept::Nothing,
                Side::Target => Kept::KeysAndValues,
            };
            stack.forward(rows, Around { kept, ..around })
        })
    }

    /// Continues the sequences of `past` with the rows of `next`, which are only the new ones.
    pub(crate) fn generate_on(&self, next: &Embedded, past: Trace) -> Result<Trace> {
        self.continued(next, past, Kept::KeysAndValues)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::DType;

    use super::super::ExplainedToken;
    use super::super::random::{random_llama, random_marian};
    use super::*;
    use crate::kernels::host;

    /// A sequence with more weights per head than one run of queries may have.
    fn long() -> Vec<u32> {
        (0..700).map(|token| token * token % 10).collect()
    }

    fn inputs(model: &Transformer, target: &[u32]) -> Inputs {
        let source = long();
        let embed = |side, tokens: &[u32]| model.embed(side, [tokens, &[1, 2]].into_iter());
        let source = model
            .has_encoder()
            .then(|| embed(Side::Source, &source).unwrap());
        Inputs {
            source,
            target: embed(Side::Target, target).unwrap(),
        }
    }

    fn last_rows(model: &Transformer, trace: &Trace, positions: [usize; 2]) -> Vec<Vec<f64>> {
        let explained = positions.into_iter().enumerate();
        let explained: Vec<_> = explained
            .map(|(sequence, position)| ExplainedToken { sequence, position })
            .collect();
        host::download_rows(&model.hidden(trace, &explained).unwrap()).unwrap()
    }

    #[test]
    fn a_pass_that_keeps_only_keys_and_values_has_the_bits_of_one_that_keeps_everything() {
        for model in [random_llama(DType::F32), random_marian(DType::F32)] {
            let target = long();
            let inputs = inputs(&model, &target);
            let mut whole = model.forward(&inputs).unwrap();
            let mut generating = model.generate_from(&inputs).unwrap();
            let at_ends = [target.len() - 1, 1];
            assert_eq!(
                last_rows(&model, &whole, at_ends),
                last_rows(&model, &generating, at_ends)
            );
            for token in [3, 5] {
                let next = [token];
                let next = || model.embed(Side::Target, [&next[..], &next].into_iter());
                whole = model.forward_on(&next().unwrap(), whole).unwrap();
                generating = model.generate_on(&next().unwrap(), generating).unwrap();
                assert_eq!(
                    last_rows(&model, &whole, [0, 0]),
                    last_rows(&model, &generating, [0, 0])
                );
            }
        }
    }
}
