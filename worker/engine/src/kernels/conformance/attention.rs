//! Attention, rebuilt from candle's basic operations and differentiated by candle.

use std::ops::Range;

use candle_core::{DType, Device, Tensor, Var};

use super::autograd::{assert_equal, bounded, noise, pulled_back, softmax};
use super::{places, put};
use crate::kernels::Tensor as Ours;
use crate::kernels::attention::{
    Attention as AttentionToCompute, AttentionTrace, Columns, ExplainedQueries, Heads, Projections,
    forward, lay_out, vjp,
};
use crate::kernels::place::Place;
use crate::stop::Stop;

/// One sequence's attention from candle's operations, its weights times `mask`,
/// `[heads, queries, keys]`. `[queries, heads · dim]`
fn attended(heads: Heads, [q, k, v]: [&Tensor; 3], mask: &Tensor) -> Tensor {
    let (num_queries, num_keys) = (q.dim(0).unwrap(), k.dim(0).unwrap());
    let hidden: Vec<f64> = (0..num_queries * num_keys)
        .map(|index| {
            let (query, key) = (index / num_keys, index % num_keys);
            let is_late = heads.causal && key > query;
            let is_far = heads.window.is_some_and(|window| key + window < query + 1);
            if is_late || is_far { -1e9 } else { 0.0 }
        })
        .collect();
    let hidden = Tensor::from_vec(hidden, (num_queries, num_keys), &Device::Cpu).unwrap();
    let head = |x: &Tensor, index| x.narrow(1, index * heads.dim, heads.dim).unwrap();
    let mixed: Vec<_> = (0..heads.queries)
        .map(|index| {
            let key_head = index / (heads.queries / heads.keys);
            let (q, k, v) = (head(q, index), head(k, key_head), head(v, key_head));
            let scores = (q.matmul(&k.t().unwrap()).unwrap() * heads.scale).unwrap();
            let scores = heads
                .softcap
                .map_or(scores.clone(), |cap| bounded(&scores, cap));
            let weights = softmax(&(scores + &hidden).unwrap());
            let weights = (weights * mask.get(index).unwrap()).unwrap();
            weights.matmul(&v).unwrap()
        })
        .collect();
    Tensor::cat(&mixed, 1).unwrap()
}

/// Two sequences, and the attention of their queries to their keys.
struct Attention {
    place: Place,
    heads: Heads,
    /// Queries, keys and values of all rows.
    inputs: [Var; 3],
    /// Rows of each sequence's queries and keys.
    places: [(Range<usize>, Range<usize>); 2],
    /// Factors of each sequence's weights. `[heads, queries, keys]`
    masks: [Tensor; 2],
    is_masked: bool,
}

impl Attention {
    fn new(place: &Place, heads: Heads, counts: [[usize; 2]; 2], is_masked: bool) -> Self {
        let [num_queries, num_keys] = counts;
        let (width, key_width) = (heads.queries * heads.dim, heads.keys * heads.dim);
        let sums = [num_queries, num_keys].map(|counts| counts.iter().sum::<usize>());
        let shapes = [[sums[0], width], [sums[1], key_width], [sums[1], key_width]];
        let mut seed = 17;
        let inputs = shapes.map(|shape| {
            seed += 1;
            Var::from_tensor(&noise(shape, seed)).unwrap()
        });
        let places = [
            (0..num_queries[0], 0..num_keys[0]),
            (num_queries[0]..sums[0], num_keys[0]..sums[1]),
        ];
        let mask = |sequence: usize| {
            let shape = [heads.queries, num_queries[sequence], num_keys[sequence]];
            if is_masked {
                noise(shape, 23 + sequence as u64)
            } else {
                Tensor::ones(&shape, DType::F64, &Device::Cpu).unwrap()
            }
        };
        Self {
            place: place.clone(),
            heads,
            inputs,
            places,
            masks: [mask(0), mask(1)],
            is_masked,
        }
    }

    /// Returns what the kernel makes of it.
    fn by_kernel(&self) -> (Ours, AttentionTrace) {
        let columns = |rows: &Var| Columns {
            rows: put(&self.place, rows),
            column: 0,
        };
        let [q, k, v] = &self.inputs;
        let projections = Projections {
            queries: columns(q),
            keys: columns(k),
            values: columns(v),
        };
        let (sequences, _) = lay_out(self.heads, self.places.iter().cloned());
        let (mixed, attended) = forward(AttentionToCompute {
            heads: self.heads,
            projections,
            sequences,
            bias: None,
            stop: &Stop::default(),
        })
        .unwrap();
        if !self.is_masked {
            return (mixed, attended);
        }
        let mask = self.masks.each_ref().map(|m| m.flatten_all().unwrap());
        let mask = Tensor::cat(&mask, 0).unwrap();
        attended.masked(put(&self.place, &mask)).unwrap()
    }

    /// Returns what candle makes of one sequence.
    fn by_candle(&self, sequence: usize) -> Tensor {
        let (queries, keys) = &self.places[sequence];
        let part = |x: &Var, rows: &Range<usize>| x.narrow(0, rows.start, rows.len()).unwrap();
        let [q, k, v] = &self.inputs;
        let parts = [part(q, queries), part(k, keys), part(v, keys)];
        let parts = [&parts[0], &parts[1], &parts[2]];
        attended(self.heads, parts, &self.masks[sequence])
    }

    /// Returns candle's cotangents of the queries of an explained token, and of the keys and values it sees.
    fn cotangents(&self, token: &ExplainedQueries, dmixed: &Tensor) -> [Tensor; 2] {
        let (queries, keys) = &self.places[token.sequence];
        let (first, count) = (token.positions.start, token.positions.len());
        let of_token = self.by_candle(token.sequence).narrow(0, first, count);
        let of_token = of_token.unwrap();
        let [dq, dk, dv] = self
            .inputs
            .each_ref()
            .map(|x| pulled_back(&of_token, dmixed, x));
        let seen = if self.heads.causal {
            token.positions.end
        } else {
            keys.len()
        };
        let of_keys = Tensor::cat(&[dk, dv], 1).unwrap();
        [
            dq.narrow(0, queries.start + first, count).unwrap(),
            of_keys.narrow(0, keys.start, seen).unwrap(),
        ]
    }
}

fn assert_attention(place: &Place, heads: Heads, counts: [[usize; 2]; 2], masked: bool) {
    let [num_queries, _] = counts;
    let what = format!("{heads:?}, masked {masked}");
    let attention = Attention::new(place, heads, counts, masked);
    let (mixed, saved) = attention.by_kernel();
    let expected = Tensor::cat(&[attention.by_candle(0), attention.by_candle(1)], 0).unwrap();
    assert_equal(&mixed, &expected, &what);

    let explained = [(1, 0..num_queries[1]), (0, 0..1), (0, 1..num_queries[0])];
    let explained = explained.map(|(sequence, positions)| ExplainedQueries {
        sequence,
        positions,
    });
    let num_rows = explained.iter().map(|token| token.positions.len()).sum();
    let dmixed = noise([num_rows, heads.queries * heads.dim], 21);
    let pulled = vjp(&saved, &explained, &put(place, &dmixed)).unwrap();
    let (mut query, mut key) = (0, 0);
    for token in &explained {
        let count = token.positions.len();
        let dmixed = dmixed.narrow(0, query, count).unwrap();
        let [of_queries, of_keys] = attention.cotangents(token, &dmixed);
        let seen = of_keys.dim(0).unwrap();
        let own = pulled.queries.narrow(0, query, count).unwrap();
        assert_equal(&own, &of_queries, &what);
        let own = pulled.keys_and_values.narrow(0, key, seen).unwrap();
        assert_equal(&own, &of_keys, &what);
        (query, key) = (query + count, key + seen);
    }
}

#[test]
fn attentions() {
    for place in places() {
        let heads = Heads {
            queries: 4,
            keys: 2,
            dim: 3,
            scale: 0.6,
            causal: true,
            window: None,
            softcap: None,
        };
        let capped = Heads {
            window: Some(2),
            softcap: Some(1.5),
            ..heads
        };
        let crossed = Heads {
            keys: 4,
            causal: false,
            ..heads
        };
        for masked in [false, true] {
            assert_attention(&place, heads, [[4, 6], [4, 6]], masked);
            assert_attention(&place, capped, [[4, 6], [4, 6]], masked);
            assert_attention(&place, crossed, [[3, 5], [7, 2]], masked);
        }
    }
}
