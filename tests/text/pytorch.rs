//! `pytorch_model.bin`, as one file and in shards, compared with the numbers that were saved.

use std::collections::HashMap;

use candle_core::DType;
use serde::Deserialize;
use whence_engine::Error;
use whence_engine::model::weights::Checkpoint;
use whence_tests::text::{golden, here};

#[derive(Deserialize)]
struct Saved {
    shape: Vec<usize>,
    values: Vec<f64>,
}

#[test]
fn every_kind_of_tensor_is_read_as_it_was_saved() {
    let saved: HashMap<String, Saved> = golden("pytorch.json");
    for folder in ["models/pytorch-one", "models/pytorch-shards"] {
        let checkpoint = Checkpoint::open(&here(folder), DType::F64).unwrap();
        for (name, Saved { shape, values }) in &saved {
            let tensor = checkpoint.tensor(name, shape).unwrap();
            let read = tensor.flatten_all().unwrap().to_vec1::<f64>().unwrap();
            assert_eq!(read.len(), values.len(), "{folder}: {name}");
            for (read, saved) in read.iter().zip(values) {
                // Parsing the golden's decimal fractions can be off in the last bit.
                assert!(
                    (read - saved).abs() <= 1e-15 * saved.abs(),
                    "{folder}: {name}"
                );
            }
        }
    }
}

#[test]
fn integers_are_refused_by_name() {
    let checkpoint = Checkpoint::open(&here("models/pytorch-one"), DType::F32).unwrap();
    let error = checkpoint.tensor("integers", &[4]).unwrap_err();
    assert!(
        matches!(error, Error::Tensor { ref name, .. } if name == "integers"),
        "{error}"
    );
}
