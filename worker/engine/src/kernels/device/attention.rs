//! Attention on a device.
//!
//! The kernels read records of eight-byte fields that say where a query or an explained token reads
//! and writes; they are made here, in the order of the fields in `attention.cu`.

mod backward;
mod layout;

use candle_core::DType;

use super::array::Array;
use super::handle::Device;
use crate::error::Result;
use crate::kernels::attention::trace::{
    Attention, AttentionTrace, Columns, Heads, Pair, Projections, QueryRow, Sequence,
};
use crate::kernels::tensor::Tensor;

pub(in crate::kernels) use backward::vjp;
use layout::{Layout, QueryRecord};

/// Most weights that a pass without a backward pass has at once: 256 MiB in single precision. A
/// single query may have more.
const MOST_WEIGHTS: usize = 1 << 26;

/// Attends, and keeps every weight.
pub(in crate::kernels) fn forward(
    device: &Device,
    attention: Attention<'_>,
) -> Result<(Tensor, AttentionTrace)> {
    let heads = attention.heads;
    let layout = Layout::new(device, &attention)?;
    let num_weights = attention.sequences.iter().map(|s| s.num_weights(heads));
    let weights = Array::unwritten(device, num_weights.sum::<usize>(), layout.dtype)?;
    let queries = kept_queries(heads, &attention.sequences);
    let mixed = layout.unwritten_mixed(&attention)?;
    attention.stop.check()?;
    let records = layout.weigh(&queries, &weights)?;
    layout.mix((&records, queries.len()), &weights, None, &mixed)?;
    let Projections {
        queries,
        keys,
        values,
    } = attention.projections;
    let trace = AttentionTrace {
        heads,
        queries,
        keys,
        values,
        weights: weights.into(),
        mask: None,
        sequences: attention.sequences,
        stop: attention.stop.clone(),
    };
    Ok((mixed.into(), trace))
}

/// Attends without keeping the weights: some queries after the other.
pub(in crate::kernels) fn forward_unkept(
    device: &Device,
    attention: Attention<'_>,
) -> Result<(Tensor, AttentionTrace)> {
    let heads = attention.heads;
    let layout = Layout::new(device, &attention)?;
    let mixed = layout.unwritten_mixed(&attention)?;
    for (queries, num_weights) in runs(heads, &attention.sequences) {
        attention.stop.check()?;
        let weights = Array::unwritten(device, num_weights, layout.dtype)?;
        let records = layout.weigh(&queries, &weights)?;
        layout.mix((&records, queries.len()), &weights, None, &mixed)?;
    }
    let nothing = |shape: [usize; 2]| Array::unwritten(device, &shape[..], layout.dtype);
    let no_queries = Columns {
        rows: nothing([0, heads.queries * heads.dim])?.into(),
        column: 0,
    };
    let trace = AttentionTrace {
        heads,
        queries: no_queries,
        keys: attention.projections.keys,
        values: attention.projections.values,
        weights: Array::unwritten(device, 0, layout.dtype)?.into(),
        mask: None,
        sequences: attention.sequences,
        stop: attention.stop.clone(),
    };
    Ok((mixed.into(), trace))
}

/// Returns the values mixed by the weights times `mask`. `[query rows, heads · dim]`
pub(in crate::kernels) fn mix_masked(
    device: &Device,
    attended: &AttentionTrace,
    mask: &Array,
) -> Result<Array> {
    let layout = Layout::of_trace(device, attended)?;
    let heads = attended.heads;
    let (rows, _) = attended.queries.rows.dims2()?;
    let mixed = Array::unwritten(device, (rows, heads.queries * heads.dim), layout.dtype)?;
    let queries = kept_queries(heads, &attended.sequences);
    let records = Array::from_slice(device, &queries)?;
    let weights = attended.weights.on(device)?;
    layout.mix((&records, queries.len()), &weights, Some(mask), &mixed)?;
    Ok(mixed)
}

/// Returns the records of all queries, whose weights are laid out as a trace keeps them.
fn kept_queries(heads: Heads, sequences: &[Sequence]) -> Vec<QueryRecord> {
    let of_sequence = |sequence: &Sequence| {
        let (queries, keys) = (sequence.queries.clone(), sequence.keys.clone());
        let (first, earlier) = (sequence.first_weight, sequence.num_earlier(heads));
        queries.clone().enumerate().map(move |(index, row)| {
            let weights = first + index * keys.len();
            let fields = [
                row,
                earlier + index,
                keys.start,
                keys.len(),
                weights,
                queries.len() * keys.len(),
            ];
            fields.map(|field| field as u64)
        })
    };
    sequences.iter().flat_map(of_sequence).collect()
}

/// Returns the records of all queries in runs of at most [`MOST_WEIGHTS`] weights, each with how many
/// it has.
fn runs(heads: Heads, sequences: &[Sequence]) -> Vec<(Vec<QueryRecord>, usize)> {
    let mut runs = vec![(Vec::new(), 0)];
    for sequence in sequences {
        let (keys, earlier) = (sequence.keys.clone(), sequence.num_earlier(heads));
        for (index, row) in sequence.queries.clone().enumerate() {
            let needed = heads.queries * keys.len();
            if runs
                .last()
                .is_some_and(|(_, weights)| weights + needed > MOST_WEIGHTS)
            {
                runs.push((Vec::new(), 0));
            }
            let Some((queries, weights)) = runs.last_mut() else {
                continue;
            };
            let fields = [
                row,
                earlier + index,
                keys.start,
                keys.len(),
                *weights,
                keys.len(),
            ];
            queries.push(fields.map(|field| field as u64));
            *weights += needed;
        }
    }
    runs
}

/// Subtracts from each pair's row of `added` what its key adds through the heads that `outputs` has.
pub(in crate::kernels) fn remove_values(
    added: &Array,
    attended: &AttentionTrace,
    outputs: &[Option<Tensor>],
    pairs: &[Pair],
) -> Result<Array> {
    let (_, hidden) = added.shape().dims2()?;
    let device = added.device();
    let record = |pair: &Pair| {
        let sequence = &attended.sequences[pair.sequence];
        let (queries, keys) = (sequence.queries.len(), sequence.keys.len());
        let weight = sequence.first_weight + pair.query * keys + pair.key;
        [weight, queries * keys, sequence.keys.start + pair.key].map(|field| field as u64)
    };
    let records: Vec<[u64; 3]> = pairs.iter().map(record).collect();
    let outputs = outputs.iter().enumerate();
    let outputs = outputs.filter_map(|(head, output)| Some((head as i32, output.as_ref()?)));
    let (heads, outputs): (Vec<_>, Vec<_>) = outputs.unzip();
    let outputs = outputs.into_iter().map(|output| output.on(device));
    // Kept until the launch: the kernel knows them by address.
    let outputs = outputs.collect::<Result<Vec<_>>>()?;
    let addresses: Vec<u64> = outputs.iter().map(|output| output.address().0).collect();
    let out = Array::unwritten(device, (pairs.len(), hidden), added.dtype())?;
    let records = Array::from_slice(device, &records)?;
    let head_numbers = Array::from_slice(device, &heads)?;
    let addresses = Array::from_slice(device, &addresses)?;
    let weights = attended.weights.on(device)?;
    let arguments = [
        (&records).into(),
        (&head_numbers).into(),
        (&addresses).into(),
        heads.len().into(),
        (&weights).into(),
        added.into(),
        (&out).into(),
        hidden.into(),
    ];
    device.launch("remove_values", added.dtype(), pairs.len(), arguments)?;
    Ok(out)
}

/// Returns the weights of a query on its tokens in each of `layers` and in each of their query heads
/// `heads`. `[tokens, layers, heads]`
pub(in crate::kernels) fn weights_of_query(
    device: &Device,
    layers: &[&AttentionTrace],
    heads: &[usize],
    query: QueryRow,
) -> Result<Array> {
    let dtype = layers
        .first()
        .map_or(DType::F32, |first| first.weights.dtype());
    let shape = (query.tokens, layers.len(), heads.len());
    let out = Array::unwritten(device, shape, dtype)?;
    let numbers: Vec<_> = heads.iter().map(|&head| head as i32).collect();
    let numbers = Array::from_slice(device, &numbers)?;
    for (layer, attended) in layers.iter().enumerate() {
        let sequence = &attended.sequences[query.sequence];
        let (queries, keys) = (sequence.queries.len(), sequence.keys.len());
        let weights = attended.weights.on(device)?;
        let arguments = [
            (&weights).into(),
            (&numbers).into(),
            (&out).into(),
            (sequence.first_weight + query.position * keys).into(),
            (queries * keys).into(),
            query.tokens.into(),
            layers.len().into(),
            layer.into(),
            heads.len().into(),
        ];
        device.launch("pick_weights", dtype, heads.len(), arguments)?;
    }
    Ok(out)
}
