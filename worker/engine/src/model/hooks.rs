//! Hooks: how methods observe and change a model between its sublayers.
//!
//! Every hook is an argument of one pass and never state of the model, so passes with and without
//! hooks can run at the same time. `Transformer::forward_recorded` returns the streams,
//! `Transformer::forward_above` replaces one, `Wanted::Stream` asks for gradients at one, and
//! `Trace::cached_prefixes` lets many passes share the rows before those that they change.

use super::dropout::Masks;
use super::pass::{Inputs, Trace};
use super::spec::{Activation, StackSpec};
use super::stack::{Stack, StackTrace};
use super::stream::StreamPlace;
use super::transformer::Transformer;
use crate::error::Result;
use crate::kernels::Tensor;
use crate::sides::Side;

/// A pass with its streams: before every sublayer and after the last. `[rows, hidden]` each.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) trace: Trace,
    pub(crate) source: Vec<Tensor>,
    pub(crate) target: Vec<Tensor>,
}

impl Transformer {
    /// Runs the model over whole sequences and keeps all streams.
    pub(crate) fn forward_recorded(&self, inputs: &Inputs) -> Result<Recorded> {
        let (mut source, mut target) = (Vec::new(), Vec::new());
        let trace = self.forward_observed(inputs, &mut |side, stream| match side {
            Side::Source => source.push(stream.clone()),
            Side::Target => target.push(stream.clone()),
        })?;
        Ok(Recorded {
            trace,
            source,
            target,
        })
    }

    /// Runs the model over whole sequences, with the stream at `place` replaced by `stream`,
    /// `[rows, hidden]`. The sublayers below `place` in that stack are not run.
    pub(crate) fn forward_above(
        &self,
        place: StreamPlace,
        stream: &Tensor,
        inputs: &Inputs,
    ) -> Result<Trace> {
        self.forward_with(inputs, |stack, rows, around, side| {
            if side == place.side {
                let none = &mut Masks::none();
                let start = (place.sublayer, stream.clone());
                stack.forward_from(start, around, none, &mut |_| ())
            } else {
                stack.forward(rows, around)
            }
        })
    }

    /// Returns the pass of `input`, changed for the rescale rule: the slope of every nonlinearity
    /// that `reach` includes is replaced by the slope of the line from its value in the pass of
    /// `reference` to its value in the pass of `input`. Source: Shrikumar et al. 2017,
    /// <https://arxiv.org/abs/1704.02685>, section 3.5.2.
    pub(crate) fn rescaled(
        &self,
        input: &Recorded,
        reference: &Recorded,
        reach: &dyn Fn(Activation) -> bool,
    ) -> Result<Trace> {
        let mut trace = input.trace.clone();
        let rescale = |stack: &Stack, trace: &mut StackTrace, x: &[Tensor], x0: &[Tensor]| {
            let sublayers = stack.sublayers.iter().zip(&mut trace.sublayers);
            for (index, (sublayer, trace)) in sublayers.enumerate() {
                let read = sublayer.place_read(index);
                sublayer.rescale(trace, &x[read], &x0[read], reach)?;
            }
            Ok::<_, candle_core::Error>(())
        };
        if let (Some(stack), Some((trace, _))) = (&self.encoder, &mut trace.encoder) {
            rescale(stack, trace, &input.source, &reference.source)?;
        }
        rescale(
            &self.decoder,
            &mut trace.decoder,
            &input.target,
            &reference.target,
        )?;
        Ok(trace)
    }

    /// Returns the nonlinearity of every feed-forward network, including those of experts.
    pub(crate) fn activations(&self) -> impl Iterator<Item = Activation> {
        let stacks = self.spec().encoder.iter().chain([&self.spec().decoder]);
        let sublayers = stacks.flat_map(|stack| &stack.sublayers);
        let networks = sublayers.flat_map(|sublayer| sublayer.core.networks());
        networks.map(|network| network.activation)
    }

    /// Returns the place after layer `layer` of a stack, or `None` if the stack has no such layer.
    pub(crate) fn behind_layer(&self, side: Side, layer: usize) -> Option<StreamPlace> {
        let stack = self.stack_spec(side)?;
        let mut sublayers = stack.sublayers.iter();
        let sublayer = 1 + sublayers.rposition(|sublayer| sublayer.layer == layer)?;
        Some(StreamPlace { side, sublayer })
    }

    /// Returns the specification of a stack, or `None` if the model does not have it.
    pub(crate) fn stack_spec(&self, side: Side) -> Option<&StackSpec> {
        self.spec().stack(side)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::DType;

    use super::*;
    use crate::kernels::{host, rows};
    use crate::model::random::{random_llama, random_marian};
    use crate::model::sequences::CachedPrefix;
    use crate::model::{Embedded, ExplainedToken, Wanted};

    fn inputs(model: &Transformer) -> Inputs {
        let sources: [&[u32]; 2] = [&[1, 4, 2, 9, 3], &[7, 5, 3]];
        let targets: [&[u32]; 2] = [&[0, 6, 8, 2], &[0, 3, 1, 1, 9, 4]];
        Inputs {
            source: model
                .has_encoder()
                .then(|| model.embed(Side::Source, sources.into_iter()).unwrap()),
            target: model.embed(Side::Target, targets.into_iter()).unwrap(),
        }
    }

    fn values(tensor: &Tensor) -> Vec<f64> {
        host::download(tensor).unwrap()
    }

    fn assert_near(found: &[f64], expected: &[f64], tolerance: f64) {
        assert_eq!(found.len(), expected.len());
        for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert!(
                (found - expected).abs() < tolerance,
                "entry {index}: {found} against {expected}"
            );
        }
    }

    /// Cotangents for two explained tokens, with a different value in every entry.
    fn cotangents(model: &Transformer) -> Tensor {
        let values: Vec<_> = (0..2 * model.spec().hidden)
            .map(|i| (i as f64).sin())
            .collect();
        host::upload(values, (2, model.spec().hidden)).unwrap()
    }

    #[test]
    fn gradients_of_a_continued_pass_are_those_of_the_whole_one() {
        for model in [random_llama(DType::F64), random_marian(DType::F64)] {
            let inputs = inputs(&model);
            let whole = model.forward(&inputs).unwrap();
            let prefix = CachedPrefix {
                sequence: 1,
                len: 2,
            };
            let past = whole.cached_prefixes(&[prefix, prefix]);
            let first = inputs.target.sequences.rows(1).start + 2;
            let rest = inputs.target.rows.narrow(0, first, 4).unwrap();
            let next = Embedded {
                rows: Tensor::cat(&[&rest, &rest], 0).unwrap(),
                sequences: crate::model::sequences::Sequences::from_lengths([4, 4]),
            };
            let continued = model.forward_on(&next, past).unwrap();
            let explained = |sequence: [usize; 2], earlier: usize| {
                [(sequence[0], 3), (sequence[1], 5)].map(|(sequence, position)| ExplainedToken {
                    sequence,
                    position: position - earlier,
                })
            };
            let gradient = |trace: &Trace, explained: &[ExplainedToken]| {
                let gradients = model
                    .vjp(trace, explained, cotangents(&model), Wanted::Target)
                    .unwrap();
                gradients.target.unwrap()
            };
            let expected = gradient(&whole, &explained([1, 1], 0));
            let found = gradient(&continued, &explained([0, 1], 2));
            // The continued pass has only the rows from position 2 on: rows 2 and 3 of the first
            // token, 2 to 5 of the second.
            let expected = Tensor::cat(
                &[
                    expected.narrow(0, 2, 2).unwrap(),
                    expected.narrow(0, 6, 4).unwrap(),
                ],
                0,
            )
            .unwrap();
            assert_near(&values(&found), &values(&expected), 1e-12);
        }
    }

    #[test]
    fn a_pass_from_a_recorded_stream_is_the_whole_pass() {
        let model = random_marian(DType::F64);
        let inputs = inputs(&model);
        let recorded = model.forward_recorded(&inputs).unwrap();
        for (side, streams) in [
            (Side::Source, &recorded.source),
            (Side::Target, &recorded.target),
        ] {
            for (sublayer, stream) in streams.iter().enumerate() {
                let place = StreamPlace { side, sublayer };
                let trace = model.forward_above(place, stream, &inputs).unwrap();
                assert_near(
                    &values(&trace.hidden),
                    &values(&recorded.trace.hidden),
                    1e-15,
                );
            }
        }
    }

    #[test]
    fn gradients_at_a_stream_are_slopes() {
        const STEP: f64 = 1e-5;
        let model = random_marian(DType::F64);
        let inputs = inputs(&model);
        let recorded = model.forward_recorded(&inputs).unwrap();
        let token = ExplainedToken {
            sequence: 0,
            position: 3,
        };
        let weights = cotangents(&model).narrow(0, 0, 1).unwrap();
        for (side, streams) in [
            (Side::Source, &recorded.source),
            (Side::Target, &recorded.target),
        ] {
            for layer in 0..2 {
                let place = model.behind_layer(side, layer).unwrap();
                let stream = &streams[place.sublayer];
                let wanted = Wanted::Stream(place);
                let gradients = model
                    .vjp(
                        &recorded.trace,
                        std::slice::from_ref(&token),
                        weights.clone(),
                        wanted,
                    )
                    .unwrap();
                let found = match side {
                    Side::Source => gradients.source,
                    Side::Target => gradients.target,
                };
                let flat = values(stream);
                let scalar = |index: usize, offset: f64| {
                    let mut moved = flat.clone();
                    moved[index] += offset;
                    let moved = host::upload(moved, stream.shape()).unwrap();
                    let trace = model.forward_above(place, &moved, &inputs).unwrap();
                    let hidden = model.hidden(&trace, std::slice::from_ref(&token)).unwrap();
                    host::sum(&rows::multiply(&hidden, &weights).unwrap()).unwrap()
                };
                let found = values(&found.unwrap());
                let slopes: Vec<_> = (0..found.len())
                    .map(|i| (scalar(i, STEP) - scalar(i, -STEP)) / (2.0 * STEP))
                    .collect();
                assert_near(&found, &slopes, 1e-7);
            }
        }
    }
}
