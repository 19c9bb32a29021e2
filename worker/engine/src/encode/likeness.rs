//! The alignment `auto`: pairs positions by the similarity of their tokens.
//!
//! The similarity of two tokens is the cosine of the model's own embeddings, with negative values
//! taken as 0; equal tokens have similarity 1. Among all pairings without crossings, the one with
//! the largest total similarity is chosen (Needleman and Wunsch 1970). Inseq uses a sentence
//! encoder instead, which must be downloaded and which transformers 5 can no longer run.

use crate::Error;
use crate::error::Result;
use crate::kernels::{distance, host};
use crate::memory::MemoryBudget;
use crate::model::Transformer;
use crate::sides::Side;

/// Returns pairs (position in `target`, position in `contrast`), in order. Fails if comparing all
/// pairs of tokens takes more memory than the budget allows.
pub(super) fn pairs(
    model: &Transformer,
    (target, contrast): (&[u32], &[u32]),
    memory: MemoryBudget,
) -> Result<Vec<(usize, usize)>, Error> {
    // The common beginning, usually the prompt, is paired without comparing embeddings.
    let common = target.iter().zip(contrast).take_while(|(a, b)| a == b);
    let common = common.count();
    let (target, contrast) = (&target[common..], &contrast[common..]);
    // One similarity and one best sum per pair, and one unit vector per token.
    let (pairs, tokens) = (target.len() * contrast.len(), target.len() + contrast.len());
    let numbers = 2 * pairs + tokens * model.spec().embedding_width();
    memory.check((numbers * size_of::<f64>()) as u64)?;
    let likeness = likeness(model, target, contrast)?;
    let rest = best_pairs(&likeness, target.len(), contrast.len());
    let same = (0..common).map(|position| (position, position));
    Ok(same
        .chain(rest.into_iter().map(|(a, b)| (common + a, common + b)))
        .collect())
}

/// Returns the similarity of each pair of tokens, from 0 to 1. `[target, contrast]`
fn likeness(model: &Transformer, target: &[u32], contrast: &[u32]) -> Result<Vec<f64>> {
    if target.is_empty() || contrast.is_empty() {
        return Ok(Vec::new());
    }
    let rows_of =
        |ids| Ok::<_, candle_core::Error>(model.embed(Side::Target, [ids].into_iter())?.rows);
    let cosines = distance::cosines(&rows_of(target)?, &rows_of(contrast)?)?;
    let pairs = target
        .iter()
        .flat_map(|id| contrast.iter().map(move |other| id == other));
    let cosines = host::download(&cosines)?;
    let likeness = pairs
        .zip(cosines)
        .map(|(is_same, cosine)| if is_same { 1.0 } else { cosine.max(0.0) });
    Ok(likeness.collect())
}

/// Returns the pairing without crossings that has the largest total similarity.
fn best_pairs(likeness: &[f64], rows: usize, columns: usize) -> Vec<(usize, usize)> {
    // best[row][column]: the largest sum over pairs of tokens from this row and column on.
    let width = columns + 1;
    let mut best = vec![0.0; (rows + 1) * width];
    for row in (0..rows).rev() {
        for column in (0..columns).rev() {
            let paired = likeness[row * columns + column] + best[(row + 1) * width + column + 1];
            let skipped = best[(row + 1) * width + column].max(best[row * width + column + 1]);
            best[row * width + column] = f64::max(paired, skipped);
        }
    }
    let (mut row, mut column) = (0, 0);
    let mut pairs = Vec::new();
    while row < rows && column < columns {
        let here = best[row * width + column];
        let paired = likeness[row * columns + column] + best[(row + 1) * width + column + 1];
        // `here` is the largest of the three choices, so the one that reaches it was taken. A pair
        // is preferred on a tie.
        if paired >= here {
            pairs.push((row, column));
            (row, column) = (row + 1, column + 1);
        } else if best[(row + 1) * width + column] >= here {
            row += 1;
        } else {
            column += 1;
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use candle_core::DType;

    use super::*;

    #[test]
    fn alike_tokens_are_paired_across_an_insertion() {
        // Three tokens against four: the second of the four is new.
        #[rustfmt::skip]
        let likeness = [
            1.0, 0.1, 0.0, 0.0,
            0.0, 0.2, 0.9, 0.1,
            0.0, 0.0, 0.2, 1.0,
        ];
        assert_eq!(best_pairs(&likeness, 3, 4), [(0, 0), (1, 2), (2, 3)]);
    }

    #[test]
    fn tokens_with_nothing_in_common_are_paired_in_order() {
        assert_eq!(best_pairs(&[0.0; 4], 2, 2), [(0, 0), (1, 1)]);
        assert_eq!(best_pairs(&[], 0, 3), []);
    }

    #[test]
    fn a_substituted_token_stands_against_its_substitute() {
        let model = crate::model::random::random_llama(DType::F64);
        let found = pairs(
            &model,
            (&[1, 4, 5, 9, 3], &[1, 4, 7, 8, 9, 3]),
            MemoryBudget::Unbounded,
        )
        .unwrap();
        assert_eq!(found[..2], [(0, 0), (1, 1)]);
        assert_eq!(found[found.len() - 2..], [(3, 4), (4, 5)]);
    }
}
