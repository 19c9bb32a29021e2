//! Tests of checkpoints: what is read, in which precision, and what is refused.

use candle_core::Device;

use super::*;

fn folder_with(tensors: &[(&str, Tensor)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let tensors: HashMap<_, _> = tensors.iter().cloned().collect();
    candle_core::safetensors::save(&tensors, folder.path().join("model.safetensors")).unwrap();
    folder
}

fn half(values: &[f32]) -> Tensor {
    Tensor::new(values, &Device::Cpu)
        .unwrap()
        .to_dtype(DType::F16)
        .unwrap()
}

#[test]
fn half_precision_is_widened_exactly() {
    let folder = folder_with(&[("a", half(&[0.5, -3.25, 65504.0]))]);
    let checkpoint = Checkpoint::open(folder.path(), DType::F64).unwrap();
    let values = checkpoint
        .tensor("a", &[3])
        .unwrap()
        .to_vec1::<f64>()
        .unwrap();
    assert_eq!(values, [0.5, -3.25, 65504.0]);
}

#[test]
fn weights_stay_halves_where_they_are_kept() {
    let whole = Tensor::new(&[1_f32 / 3.0], &Device::Cpu).unwrap();
    let folder = folder_with(&[("a", half(&[0.5, -3.25])), ("b", whole)]);
    let checkpoint = Checkpoint::open(folder.path(), DType::F32).unwrap();
    assert_eq!(checkpoint.numbers(), (3, 2));
    assert_eq!(checkpoint.weight("a", &[2]).unwrap().dtype(), DType::F32);
    let checkpoint = checkpoint.keeping_halves();
    let kept = checkpoint.weight("a", &[2]).unwrap();
    assert_eq!(
        kept.to_vec1::<half::f16>().unwrap(),
        [0.5, -3.25].map(half::f16::from_f32)
    );
    assert_eq!(checkpoint.weight("b", &[1]).unwrap().dtype(), DType::F32);
    assert_eq!(checkpoint.tensor("a", &[2]).unwrap().dtype(), DType::F32);
}

#[test]
fn what_the_model_would_leave_out_must_be_zero() {
    let folder = folder_with(&[("zero", half(&[0.0, -0.0])), ("other", half(&[0.0, 0.5]))]);
    let checkpoint = Checkpoint::open(folder.path(), DType::F32).unwrap();
    checkpoint.require_no("absent").unwrap();
    checkpoint.require_no("zero").unwrap();
    let error = checkpoint.require_no("other").unwrap_err().to_string();
    assert!(error.contains("`other`"), "{error}");
    let zero = checkpoint.weight("zero", &[2]).unwrap();
    checkpoint.require_same("zero", &zero).unwrap();
    let error = checkpoint.require_same("other", &zero).unwrap_err();
    assert!(error.to_string().contains("`other`"), "{error}");
}

#[test]
fn shards_are_read_through_their_index() {
    let folder = folder_with(&[("a", half(&[1.0]))]);
    let path = |name: &str| folder.path().join(name);
    std::fs::rename(
        path("model.safetensors"),
        path("model-00001-of-00001.safetensors"),
    )
    .unwrap();
    let index = r#"{"weight_map": {"a": "model-00001-of-00001.safetensors"}}"#;
    std::fs::write(path("model.safetensors.index.json"), index).unwrap();
    let checkpoint = Checkpoint::open(folder.path(), DType::F32).unwrap();
    assert!(checkpoint.contains("a"));
}

#[test]
fn a_wrong_shape_and_a_missing_tensor_are_named() {
    let folder = folder_with(&[("a", half(&[1.0]))]);
    let checkpoint = Checkpoint::open(folder.path(), DType::F32).unwrap();
    let error = checkpoint.tensor("a", &[2]).unwrap_err().to_string();
    assert!(
        error.contains("`a`") && error.contains("[1]") && error.contains("[2]"),
        "{error}"
    );
    let error = checkpoint.tensor("b", &[1]).unwrap_err().to_string();
    assert!(error.contains("`b`"), "{error}");
}

#[test]
fn a_bare_model_is_read_under_the_names_of_the_whole_one() {
    let folder = folder_with(&[("h.0.weight", half(&[1.0])), ("weight", half(&[2.0]))]);
    let checkpoint = Checkpoint::open(folder.path(), DType::F32).unwrap();
    assert!(checkpoint.contains("transformer.h.0.weight"));
    assert!(!checkpoint.contains("lm_head.weight"));
}

#[test]
fn a_transposed_matrix_is_turned() {
    let matrix = Tensor::new(&[[1f32, 2.0, 3.0], [4.0, 5.0, 6.0]], &Device::Cpu).unwrap();
    let folder = folder_with(&[("a", matrix)]);
    let checkpoint = Checkpoint::open(folder.path(), DType::F32).unwrap();
    let turned = checkpoint.transposed_weight("a", [3, 2]).unwrap();
    assert_eq!(
        turned.to_vec2::<f32>().unwrap(),
        [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]
    );
}

#[test]
fn every_truncation_is_an_error() {
    let folder = folder_with(&[("a", half(&[1.0, 2.0]))]);
    let path = folder.path().join("model.safetensors");
    let whole = std::fs::read(&path).unwrap();
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert!(
            Checkpoint::open(folder.path(), DType::F32).is_err(),
            "{length} bytes"
        );
    }
}
