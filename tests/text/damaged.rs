//! Damaged files: there is always an error that names the file, never a panic or wrong numbers.

use std::fs;
use std::path::Path;

use candle_core::DType;
use whence_engine::model::{self, ModelFiles};
use whence_engine::{Engine, Error, ErrorScope};
use whence_schemas::job::Dtype;
use whence_tests::fixtures::copy_files;
use whence_tests::text::{golden, here};

/// Copies the files of a model to a temporary folder.
fn copy_of(model: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_files(model, folder.path());
    folder
}

/// Returns the error of reading every tensor of the PyTorch fixture in `folder`.
fn read_all(folder: &Path) -> Result<(), Error> {
    let saved: serde_json::Map<String, serde_json::Value> = golden("pytorch.json");
    let checkpoint = model::weights::Checkpoint::open(folder, DType::F32)?;
    for (name, saved) in &saved {
        let shape: Vec<_> = saved["shape"]
            .as_array()
            .unwrap()
            .iter()
            .map(|size| size.as_u64().unwrap() as usize)
            .collect();
        checkpoint.tensor(name, &shape)?;
    }
    Ok(())
}

fn assert_names(error: &Error, file: &str) {
    assert_eq!(error.scope(), ErrorScope::Model, "{error}");
    assert!(error.to_string().contains(file), "{error}");
}

#[test]
fn a_truncated_pytorch_file_is_an_error() {
    let folder = copy_of(&here("models/pytorch-one"));
    let path = folder.path().join("pytorch_model.bin");
    let whole = fs::read(&path).unwrap();
    read_all(folder.path()).unwrap();
    for length in (0..whole.len()).step_by(13) {
        fs::write(&path, &whole[..length]).unwrap();
        assert_names(&read_all(folder.path()).unwrap_err(), "pytorch_model.bin");
    }
}

#[test]
fn a_flipped_bit_in_a_pytorch_file_never_gives_other_numbers() {
    let folder = copy_of(&here("models/pytorch-one"));
    let path = folder.path().join("pytorch_model.bin");
    let whole = fs::read(&path).unwrap();
    let checkpoint = |folder: &Path| {
        let checkpoint = model::weights::Checkpoint::open(folder, DType::F64)?;
        checkpoint.tensor("single", &[6, 4])
    };
    let values = |tensor: candle_core::Tensor| tensor.to_vec2::<f64>().unwrap();
    let expected = values(checkpoint(folder.path()).unwrap());
    let mut refused = 0;
    for index in (0..whole.len()).step_by(7) {
        let mut damaged = whole.clone();
        damaged[index] ^= 0x10;
        fs::write(&path, &damaged).unwrap();
        match checkpoint(folder.path()) {
            Ok(tensor) => assert_eq!(values(tensor), expected, "byte {index}"),
            Err(error) => {
                refused += 1;
                assert_names(&error, "pytorch");
            }
        }
    }
    assert!(refused > 0);
}

#[test]
fn a_truncated_gguf_file_is_an_error() {
    let folder = copy_of(&here("models/tiny-gguf"));
    let path = folder.path().join("tiny.gguf");
    let whole = fs::read(&path).unwrap();
    for length in (0..whole.len()).step_by(whole.len() / 150) {
        fs::write(&path, &whole[..length]).unwrap();
        assert_names(&model::load(&path, DType::F32).unwrap_err(), "tiny.gguf");
    }
}

#[test]
fn a_flipped_bit_in_the_header_of_a_gguf_file_is_never_a_panic() {
    let folder = copy_of(&here("models/tiny-gguf"));
    let path = folder.path().join("tiny.gguf");
    let whole = fs::read(&path).unwrap();
    let mut refused = 0;
    for index in (0..whole.len() / 8).step_by(11) {
        let mut damaged = whole.clone();
        damaged[index] ^= 0x40;
        fs::write(&path, &damaged).unwrap();
        if let Err(error) = Engine::load(&path, Dtype::Float32) {
            refused += 1;
            assert_eq!(error.scope(), ErrorScope::Model, "{error}");
        }
    }
    assert!(refused > 0);
}

/// Returns the error of loading the GGUF fixture after `change` has damaged its bytes.
fn gguf_refusal(change: impl FnOnce(&mut Vec<u8>)) -> String {
    let folder = copy_of(&here("models/tiny-gguf"));
    let path = folder.path().join("tiny.gguf");
    let mut bytes = fs::read(&path).unwrap();
    change(&mut bytes);
    fs::write(&path, bytes).unwrap();
    let error = Engine::load(&path, Dtype::Float32).unwrap_err();
    assert_names(&error, "tiny.gguf");
    error.to_string()
}

/// Returns the position after a tensor's name in its description. For a two-dimensional tensor, the
/// number of dimensions follows in 4 bytes, then two dimensions in 8 bytes each, the type in 4, and
/// the offset in 8.
fn behind_name(bytes: &[u8], name: &str) -> usize {
    let found = bytes.windows(name.len()).position(|w| w == name.as_bytes());
    found.unwrap() + name.len()
}

/// Overwrites the bytes at `at` with `number`.
fn write<const N: usize>(bytes: &mut [u8], at: usize, number: [u8; N]) {
    bytes[at..at + N].copy_from_slice(&number);
}

/// Overwrites the bytes `distance` bytes after the name of the tensor [`SPOILT`] with `number`.
fn write_behind_name<const N: usize>(bytes: &mut [u8], distance: usize, number: [u8; N]) {
    let at = behind_name(bytes, SPOILT) + distance;
    write(bytes, at, number);
}

const SPOILT: &str = "blk.0.attn_q.weight";

/// Adds a metadata pair before all others. `value` begins with its type.
fn add_metadata(bytes: &mut Vec<u8>, key: &str, value: &[u8]) {
    let count = u64::from_le_bytes(bytes[16..24].try_into().unwrap());
    write(bytes, 16, (count + 1).to_le_bytes());
    let mut pair = (key.len() as u64).to_le_bytes().to_vec();
    pair.extend(key.as_bytes());
    pair.extend(value);
    bytes.splice(24..24, pair);
}

/// Encodes a 32-bit metadata value (type 4) with its type.
fn number(value: u32) -> Vec<u8> {
    [4_u32, value].map(u32::to_le_bytes).concat()
}

/// Encodes a string as a metadata value (type 8) with its type and length.
fn text(value: &str) -> Vec<u8> {
    let mut bytes = 8_u32.to_le_bytes().to_vec();
    bytes.extend((value.len() as u64).to_le_bytes());
    bytes.extend(value.as_bytes());
    bytes
}

#[test]
fn an_alignment_that_cannot_be_is_an_error() {
    for alignment in [0_u32, 1, 24] {
        let message = gguf_refusal(|bytes| {
            add_metadata(bytes, "general.alignment", &number(alignment));
        });
        assert!(message.contains("general.alignment"), "{message}");
    }
}

/// Does the same as [`add_metadata`], and adds a second pair as padding, so that the tensors stay
/// aligned.
fn add_aligned(bytes: &mut Vec<u8>, key: &str, value: &[u8]) {
    const ALIGNMENT: usize = 32;
    let before = bytes.len();
    add_metadata(bytes, key, value);
    let pair = |key: usize| size_of::<u64>() + key + number(0).len();
    let is_aligned = |key: &usize| (bytes.len() - before + pair(*key)).is_multiple_of(ALIGNMENT);
    let filler = (1..=ALIGNMENT).find(is_aligned).unwrap();
    add_metadata(bytes, &"x".repeat(filler), &number(0));
}

#[test]
fn what_is_not_a_whole_model_is_refused_by_what_it_is() {
    let message = gguf_refusal(|bytes| add_aligned(bytes, "split.count", &number(3)));
    assert!(message.contains("one of 3 parts"), "{message}");
    let message = gguf_refusal(|bytes| add_aligned(bytes, "general.type", &text("adapter")));
    assert!(message.contains("of the kind `adapter`"), "{message}");
    let folder = copy_of(&here("models/tiny-gguf"));
    let path = folder.path().join("tiny.gguf");
    let mut bytes = fs::read(&path).unwrap();
    add_aligned(&mut bytes, "general.type", &text("model"));
    fs::write(&path, bytes).unwrap();
    Engine::load(&path, Dtype::Float32).unwrap();
}

#[test]
fn a_file_that_is_not_gguf_is_an_error() {
    let message = gguf_refusal(|bytes| bytes[..4].copy_from_slice(b"GGML"));
    assert!(message.contains("begin with `GGUF`"), "{message}");
    let message = gguf_refusal(|bytes| bytes[4] = 9);
    assert!(message.contains("version 9"), "{message}");
}

#[test]
fn a_tensor_beyond_the_end_of_a_gguf_file_is_an_error() {
    let message = gguf_refusal(|bytes| {
        write_behind_name(bytes, 24, (1_u64 << 40).to_le_bytes());
    });
    assert!(message.contains(SPOILT), "{message}");
    let message = gguf_refusal(|bytes| {
        write_behind_name(bytes, 24, u64::MAX.to_le_bytes());
    });
    assert!(message.contains(SPOILT), "{message}");
}

#[test]
fn more_numbers_than_can_be_counted_are_an_error() {
    let message = gguf_refusal(|bytes| {
        write_behind_name(bytes, 4, (1_u64 << 60).to_le_bytes());
    });
    assert!(message.contains(SPOILT), "{message}");
}

#[test]
fn an_unknown_quantisation_is_an_error() {
    let message = gguf_refusal(|bytes| {
        write_behind_name(bytes, 20, 99_u32.to_le_bytes());
    });
    assert!(message.contains("99"), "{message}");
}

#[test]
fn a_misshapen_tensor_is_named_with_both_shapes() {
    let folder = copy_of(&here("models/tiny-gguf"));
    let files = ModelFiles::open(folder.path()).unwrap();
    let mut config = files.config().unwrap().to_value();
    config["intermediate_size"] = 128.into();
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let message = model::load(folder.path(), DType::F32)
        .unwrap_err()
        .to_string();
    for part in ["tiny.gguf", "mlp.", "96", "128"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_vocabulary_that_does_not_fit_the_embedding_is_refused() {
    let glass = here("../models/glass-en");
    let folder = copy_of(&glass);
    let path = folder.path().join("tokenizer.json");
    let mut tokenizer: serde_json::Value =
        serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let added = serde_json::json!({"id": 1024, "content": "<extra>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true});
    tokenizer["added_tokens"]
        .as_array_mut()
        .unwrap()
        .push(added);
    fs::write(&path, tokenizer.to_string()).unwrap();
    let error = Engine::load(folder.path(), Dtype::Float32).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Vocabulary {
                tokens: 1025,
                rows: 1024,
                ..
            }
        ),
        "{error}"
    );
}
