//! Keeping weights in the half precision they are stored in gives the same bits as widening them.

use candle_core::DType;
use whence_engine::Tensor;
use whence_engine::model::{self, ExplainedToken, ModelFiles, Transformer, Wanted};

use crate::measure::inputs;
use crate::reference::Reference;

/// Returns the bits of everything a model computes for its sequences: head inputs, logits and
/// gradients.
fn bits(model: &Transformer, reference: &Reference) -> Vec<Vec<u64>> {
    let trace = model
        .forward(&inputs(model, &reference.sequences).unwrap())
        .unwrap();
    let sequences = reference.sequences.iter().enumerate();
    let explained: Vec<_> = sequences
        .map(|(sequence, s)| ExplainedToken {
            sequence,
            position: s.row,
        })
        .collect();
    let hidden = model.hidden(&trace, &explained).unwrap();
    let logits = model.logits(&hidden).unwrap();
    let dhidden = model.logits_vjp(&logits, &logits).unwrap();
    let gradients = model.vjp(&trace, &explained, dhidden, Wanted::All).unwrap();
    let computed = [
        Some(hidden),
        Some(logits),
        gradients.target,
        gradients.source,
    ];
    computed.iter().flatten().map(numbers).collect()
}

/// Returns the bits of every number after widening it to 64 bits.
fn numbers(tensor: &Tensor) -> Vec<u64> {
    let flat = tensor.to_candle().unwrap().flatten_all().unwrap();
    let flat = flat.to_dtype(DType::F64).unwrap();
    let numbers = flat.to_vec1::<f64>().unwrap();
    numbers.into_iter().map(f64::to_bits).collect()
}

#[test]
fn weights_kept_in_halves_compute_the_same_bits() {
    for reference in Reference::all() {
        let files = ModelFiles::open(&reference.folder).unwrap();
        for dtype in [DType::F32, DType::F64] {
            let widened = model::load_files(&files, dtype, None).unwrap();
            let kept = model::load_files(&files, dtype, Some(0)).unwrap();
            assert_eq!(
                bits(&widened, &reference),
                bits(&kept, &reference),
                "{} in {dtype:?}",
                reference.name
            );
        }
    }
}
