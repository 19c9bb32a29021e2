//! Every operation, wherever and in whatever precision it computes, agrees with double precision in
//! main memory.

use candle_core::{DType, Device as Memory, Tensor as Candle};

use super::places;
use crate::kernels::activation_function::Activation;
use crate::kernels::attention::{
    self, Attention, AttentionTrace, Columns, ExplainedQueries, Heads, KeyHeads, Pair, Projections,
    QueryRow,
};
use crate::kernels::distance::{self, Distance};
use crate::kernels::linear::PackedWeight;
use crate::kernels::norm::Scaling;
use crate::kernels::place::Place;
use crate::kernels::reduction::{AxisReduction, Reduction, reduce};
use crate::kernels::rotary::{LongRotary, Pairing, RotarySpec, Rotation, RowPosition};
use crate::kernels::score_bias::{KeySlopes, ScoreBias};
use crate::kernels::{RowIndex, Tensor, activation, clip, host, mixture, norm, rows, softcap};
use crate::stop::Stop;

/// What two orders of adding numbers of a precision may differ by, relative to the largest number.
fn tolerance(dtype: DType) -> f64 {
    match dtype {
        DType::F64 => 1e-12,
        _ => 2e-5,
    }
}

/// Where and in what precision a case computes, and how many rows it has.
struct Setting<'a> {
    place: &'a Place,
    dtype: DType,
    rows: usize,
}

impl Setting<'_> {
    /// Returns reproducible numbers around zero, each of which single precision can write.
    fn noise(&self, shape: &[usize], seed: u64) -> Tensor {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            f64::from(((state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5) as f32 * 3.0)
        };
        let values = (0..shape.iter().product()).map(|_| next());
        self.put(&host::upload_as(values.collect(), shape, self.dtype).unwrap())
    }

    fn put(&self, x: &Tensor) -> Tensor {
        self.place.put(x).unwrap()
    }

    /// Returns row numbers below `rows`, in no order, with repetitions.
    fn saved_rows(&self) -> RowIndex {
        let rows = self.rows;
        (0..2 * rows).map(|index| (index * 7 + 3) % rows).collect()
    }
}

/// An operation with all of its results.
type Case = (&'static str, fn(&Setting<'_>) -> Vec<Tensor>);

const CASES: &[Case] = &[
    ("gather", |s| {
        vec![rows::gather(&s.noise(&[s.rows, 7], 1), &s.saved_rows()).unwrap()]
    }),
    ("gather_widened", |s| {
        let wide = s.noise(&[s.rows, 5], 2).to_candle().unwrap();
        let halves = [DType::BF16, DType::F16].map(|half| {
            // Numbers too small for a leading one, and zero, among them.
            let scaled = (&wide * 1e-6).unwrap();
            let wide = Candle::cat(&[&wide, &scaled], 1).unwrap();
            let table = s.put(&wide.to_dtype(half).unwrap().into());
            let gathered = rows::gather_widened(&table, &s.saved_rows(), s.dtype).unwrap();
            [gathered, table.to_dtype(s.dtype).unwrap()]
        });
        halves.into_iter().flatten().collect()
    }),
    ("structure", |s| {
        let x = s.noise(&[s.rows, 9], 3);
        let middle = x.narrow(1, 2, 4).unwrap().contiguous().unwrap();
        let first = x.narrow(0, s.rows / 2, s.rows - s.rows / 2).unwrap();
        vec![
            Tensor::cat(&[&x, &middle], 1).unwrap(),
            Tensor::cat(&[&x, &first], 0).unwrap(),
            middle.reshape((2 * s.rows, 2)).unwrap(),
            x.zeros_like().unwrap(),
            x.to_dtype(DType::F64).unwrap(),
            x.to_dtype(DType::F32).unwrap(),
        ]
    }),
    ("combinations", |s| {
        let [a, b] = [4, 5].map(|seed| s.noise(&[s.rows, 11], seed));
        let is_first: Vec<_> = (0..s.rows).map(|row| row % 3 == 0).collect();
        let factors: Vec<_> = (0..s.rows).map(|row| row as f64 - 1.5).collect();
        let results = [
            rows::add(&a, &b),
            rows::subtract(&a, &b),
            rows::multiply(&a, &b),
            rows::at_share_of_way(&a, &b, 0.3),
            rows::add_scaled(Some(&a), &b, -0.7),
            rows::add_scaled(None, &b, -0.7),
            rows::scale(&a, 1.7),
            rows::add_number(&a, 0.4),
            rows::filled(&a, 2.5),
            rows::absolute(&a),
            rows::scale_each(&a, &factors),
            rows::choose(&is_first, &a, &b),
        ];
        results.map(Result::unwrap).into()
    }),
    ("add_at", |s| {
        let x = s.noise(&[2 * s.rows, 6], 6);
        let places: RowIndex = (0..s.rows).map(|row| 2 * row).collect();
        vec![rows::add_at(&x, &s.noise(&[s.rows, 6], 7), &places).unwrap()]
    }),
    ("products", |s| {
        let weight = s.noise(&[13, 10], 8);
        let packed = PackedWeight::transposed(&weight, s.dtype).unwrap();
        let bias = s.noise(&[13], 9);
        let back = packed.repacked();
        let (x, dy) = (s.noise(&[s.rows, 10], 10), s.noise(&[s.rows, 13], 11));
        let part = |x: &Tensor, first, len| x.narrow(1, first, len).unwrap().contiguous().unwrap();
        let results = [
            packed.product(&x, Some(&bias)),
            packed.product(&x, None),
            packed.product_of(&part(&x, 3, 4), 3..7),
            back.product(&dy, None),
            back.product_of(&part(&dy, 5, 6), 5..11),
        ];
        results.map(Result::unwrap).into()
    }),
    ("products with halves", |s| {
        let weight = s.noise(&[6, 5], 12).to_candle().unwrap();
        let x = s.noise(&[s.rows, 5], 13);
        let of_half = |half: DType| {
            let weight = s.put(&weight.to_dtype(half).unwrap().into());
            let packed = PackedWeight::transposed(&weight, s.dtype).unwrap();
            let y = packed.product(&x, None).unwrap();
            [packed.repacked().product(&y, None).unwrap(), y]
        };
        [DType::BF16, DType::F16].map(of_half).concat()
    }),
    ("activations", |s| {
        let (z, reference) = (s.noise(&[s.rows, 8], 14), s.noise(&[s.rows, 8], 15));
        let wide = rows::scale(&z, 3.0).unwrap();
        let of_function = |function: Activation| {
            let (values, slopes) = activation::plain(&wide, function).unwrap();
            let (gated, of_gated) = activation::gated(&wide, function).unwrap();
            let da = s.noise(&[2 * s.rows, 4], 16);
            let dz = activation::vjp(&da, &of_gated, &s.saved_rows()).unwrap();
            let plain = activation::secants(&wide, &reference, function, false).unwrap();
            let both = activation::secants(&wide, &reference, function, true).unwrap();
            let same = activation::secants(&wide, &wide, function, true).unwrap();
            [values, slopes, gated, of_gated, dz, plain, both, same]
        };
        Activation::ALL.into_iter().flat_map(of_function).collect()
    }),
    ("clip and soft cap", |s| {
        let x = s.noise(&[s.rows, 9], 17);
        let (y, slopes) = clip::forward(&x, 0.8).unwrap();
        let dy = s.noise(&[2 * s.rows, 4], 18);
        let dx = clip::vjp(&dy, &slopes, 3, &s.saved_rows()).unwrap();
        let bounded = softcap::bound(&x, 1.3).unwrap();
        let through = softcap::vjp(&bounded, &x, 1.3).unwrap();
        vec![y, slopes, dx, bounded, through]
    }),
    ("norms", |s| {
        let mut results = Vec::new();
        for (is_centered, group) in [(false, 12), (true, 12), (false, 4), (true, 3)] {
            let scaling = Scaling {
                weight: s.noise(&[12], 19),
                bias: is_centered.then(|| s.noise(&[12], 20)),
                group,
                is_centered,
                epsilon: 1e-5,
            };
            let (y, saved) = norm::forward(&s.noise(&[s.rows, 12], 21), &scaling).unwrap();
            let dy = s.noise(&[2 * s.rows, 12], 22);
            results.push(norm::vjp(&dy, &scaling, &saved, &s.saved_rows()).unwrap());
            results.extend([y, saved.unit, saved.inverse_deviation]);
        }
        results
    }),
    ("rotations", |s| {
        let rotations = [Pairing::Halves, Pairing::Neighbours].map(|pairing| {
            let spec = RotarySpec {
                inverse_frequencies: vec![1.0, 0.3],
                pairing,
                magnitude: 1.1,
                long: Some(LongRotary {
                    beyond: 3,
                    inverse_frequencies: vec![0.7, 0.2],
                }),
            };
            let rotation = Rotation::new(&spec, 5, s.dtype, s.place).unwrap();
            let standings: Vec<_> = (0..s.rows)
                .map(|row| RowPosition {
                    position: row,
                    length: row + row % 2 * 4,
                })
                .collect();
            let x = s.noise(&[s.rows, 12], 23);
            let y = rotation.forward(&x, 2, &standings).unwrap();
            let dy = s.noise(&[2 * s.rows, 12], 24);
            let dx = rotation.vjp(&dy, 1, &standings, &s.saved_rows());
            [y, dx.unwrap()]
        });
        rotations.concat()
    }),
    ("reductions", |s| {
        let x = s.noise(&[s.rows, 2, 17], 25);
        let all = [
            Reduction::VNorm,
            Reduction::Mean,
            Reduction::Sum,
            Reduction::Prod,
            Reduction::Min,
            Reduction::Max,
            Reduction::AbsMax,
        ];
        let orders = [0.0, 1.0, 2.0, 3.0, f64::INFINITY];
        let with_orders = orders.map(|order| (Some(Reduction::VNorm), order));
        let others = all.into_iter().map(|by| (Some(by), 2.0));
        let reductions = with_orders.into_iter().chain(others).chain([(None, 2.0)]);
        reductions
            .map(|(by, order)| {
                let entries = vec![5, 0, 16, 3, 3];
                reduce(&x, &AxisReduction { entries, by, order }).unwrap()
            })
            .collect()
    }),
    ("distances", |s| {
        let (a, b) = (s.noise(&[s.rows, 15], 26), s.noise(&[s.rows, 15], 27));
        let zeros = a.zeros_like().unwrap();
        // There is no largest number of none.
        let largest = if s.rows == 0 {
            0.0
        } else {
            distance::largest(&a, &b).unwrap()
        };
        let numbers = vec![host::sum(&a).unwrap(), largest];
        let dots = mixture::dot_rows(&s.noise(&[2 * s.rows, 15], 28), &b, &s.saved_rows());
        vec![
            distance::between_rows(&a, &b, Distance::Cosine).unwrap(),
            distance::between_rows(&a, &zeros, Distance::Cosine).unwrap(),
            distance::between_rows(&a, &b, Distance::Euclidean).unwrap(),
            distance::cosines(&a, &s.noise(&[3, 15], 29)).unwrap(),
            distance::cosines(&a, &zeros.narrow(0, 0, s.rows.min(1)).unwrap()).unwrap(),
            host::upload(numbers, 2).unwrap(),
            host::upload(dots.unwrap(), 2 * s.rows).unwrap(),
        ]
    }),
    ("attention", attention_of_every_kind),
];

/// Attention with grouped queries, windows, caps, biases, an earlier pass and dropout; of two
/// sequences, one of which may be empty.
fn attention_of_every_kind(s: &Setting<'_>) -> Vec<Tensor> {
    let plain = Heads {
        queries: 4,
        keys: 2,
        dim: 3,
        scale: 0.6,
        causal: true,
        window: None,
        softcap: None,
    };
    let narrow = Heads {
        window: Some(2),
        softcap: Some(1.5),
        ..plain
    };
    let crossed = Heads {
        causal: false,
        ..plain
    };
    let by_key = ScoreBias::ByKey(KeySlopes {
        slopes: vec![0.5, 0.25, 0.1, 0.7],
        is_bfloat16: true,
        factor: 0.8,
    });
    let by_distance = ScoreBias::ByDistance {
        values: (0..4 * 5).map(|i| f64::from(i) * 0.1).collect(),
        reach: 2,
    };
    let mut results = Vec::new();
    for (heads, bias, earlier) in [
        (plain, None, 0),
        (narrow, Some(&by_key), 0),
        (crossed, Some(&by_distance), 0),
        (plain, Some(&by_distance), 2),
        (narrow, None, 3),
    ] {
        results.extend(attention_of(s, heads, bias, earlier));
    }
    results
}

/// Queries of the second sequence; the first has as many as there are rows.
const OTHERS: usize = 3;

/// Attends; in front of the keys of each sequence are `earlier` ones.
fn attention_of(
    s: &Setting<'_>,
    heads: Heads,
    bias: Option<&ScoreBias>,
    earlier: usize,
) -> Vec<Tensor> {
    let (queries, keys) = (s.rows + OTHERS, s.rows + OTHERS + 2 * earlier);
    let stop = Stop::default();
    let columns = |rows: usize, column: usize, seed| Columns {
        rows: s.noise(&[rows, 14], seed),
        column,
    };
    let first = || (0..s.rows, 0..s.rows + earlier);
    let second = || (s.rows..queries, s.rows + earlier..keys);
    let attention = || Attention {
        heads,
        projections: Projections {
            queries: columns(queries, 1, 30),
            keys: columns(keys, 2, 31),
            values: columns(keys, 8, 32),
        },
        sequences: attention::lay_out(heads, [first(), second()].into_iter()).0,
        bias,
        stop: &stop,
    };
    let (mixed, trace) = attention::forward(attention()).unwrap();
    let (unkept, _) = attention::forward_unkept(attention()).unwrap();
    let mut results = vec![mixed, unkept, trace.weights.clone()];
    results.extend(read(s, &trace));
    results.extend(pulled_back(s, &trace));
    let mask = s.noise(trace.weights.dims(), 35);
    let (masked, trace) = trace.masked(mask).unwrap();
    results.push(masked);
    results.extend(pulled_back(s, &trace));
    results
}

/// Returns cotangents of three explained tokens.
fn pulled_back(s: &Setting<'_>, trace: &AttentionTrace) -> [Tensor; 2] {
    let explained = [(1, 0..OTHERS), (0, 0..s.rows), (1, 1..2)];
    let explained: Vec<_> = explained
        .into_iter()
        // A token is explained by at least one query.
        .filter(|(_, positions)| !positions.is_empty())
        .map(|(sequence, positions)| ExplainedQueries {
            sequence,
            positions,
        })
        .collect();
    let dmixed = s.noise(&[OTHERS + s.rows + 1, 12], 33);
    let cotangents = attention::vjp(trace, &explained, &dmixed).unwrap();
    [cotangents.queries, cotangents.keys_and_values]
}

/// Returns rows without the values of some keys, and the weights of a query.
fn read(s: &Setting<'_>, trace: &AttentionTrace) -> [Tensor; 2] {
    let outputs = attention::value_outputs(trace, KeyHeads::Only(&[1]), |values, _| {
        Tensor::cat(&[values, values], 1)
    });
    let pairs = [(0, 0), (2, 1), (1, 1)].map(|(query, key)| Pair {
        sequence: 1,
        query,
        key,
    });
    let added = s.noise(&[3, 6], 34);
    let removed = attention::remove_values(&added, trace, &outputs.unwrap(), &pairs);
    let query = QueryRow {
        sequence: 1,
        position: 2,
        tokens: OTHERS,
    };
    let picked = attention::weights_of_query(&[trace, trace], &[3, 0], query);
    [removed.unwrap(), picked.unwrap()]
}

/// Returns the largest difference, relative to the largest number there should be; what is not a
/// number is infinitely wrong.
fn error(found: &Tensor, truth: &Tensor) -> f64 {
    if truth.elem_count() == 0 {
        return 0.0;
    }
    let flat = |x: &Tensor| {
        let x = x.to_candle().unwrap().to_device(&Memory::Cpu).unwrap();
        let x = x.to_dtype(DType::F64).unwrap().flatten_all().unwrap();
        x.to_vec1::<f64>().unwrap()
    };
    let (found, truth) = (flat(found), flat(truth));
    let size = truth
        .iter()
        .fold(1.0_f64, |size, value| size.max(value.abs()));
    let differences = found.iter().zip(&truth).map(|(found, truth)| {
        let difference = (found - truth).abs() / size;
        if difference.is_nan() {
            f64::INFINITY
        } else {
            difference
        }
    });
    differences.fold(0.0, f64::max)
}

#[test]
fn every_operation_agrees_with_double_precision_in_main_memory() {
    let memory = Place::memory();
    let mut failures = Vec::new();
    for (name, compute) in CASES {
        for rows in [0, 1, 6] {
            let truth = compute(&Setting {
                place: &memory,
                dtype: DType::F64,
                rows,
            });
            for place in &places() {
                for dtype in [DType::F32, DType::F64] {
                    let found = compute(&Setting { place, dtype, rows });
                    assert_eq!(found.len(), truth.len());
                    for (index, (found, truth)) in found.iter().zip(&truth).enumerate() {
                        assert_eq!(found.dims(), truth.dims(), "{name}: result {index}");
                        let error = error(found, truth);
                        if error > tolerance(dtype) {
                            failures.push(format!(
                                "{name} of {rows} rows, result {index}, {dtype:?} at {place:?}: {error:e}"
                            ));
                        }
                    }
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
