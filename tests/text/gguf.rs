//! A small GGUF file, compared with the same model loaded by transformers.
//!
//! `tests/optional` compares the real SmolLM2.

use candle_core::DType;
use whence_engine::model::{self, ModelFiles};
use whence_tests::text::{assert_continues, assert_model, here, tokenizer};

#[test]
fn a_file_of_many_quantisations_gives_what_transformers_gives() {
    assert_model(&here("models/tiny-gguf/tiny.gguf"), "tiny-gguf");
}

#[test]
fn halves_of_a_file_may_stay_halves() {
    let path = here("models/tiny-gguf/tiny.gguf");
    let files = ModelFiles::open(&path).unwrap();
    let kept = model::load_files(&files, DType::F32, Some(0)).unwrap();
    assert_continues(&kept, &tokenizer(&path), &files, "tiny-gguf");
}

#[test]
fn a_folder_stands_for_the_one_file_in_it() {
    let folder = here("models/tiny-gguf");
    let (file, of_folder) = (folder.join("tiny.gguf"), ModelFiles::open(&folder).unwrap());
    let of_file = ModelFiles::open(&file).unwrap();
    assert_eq!(
        of_folder.config().unwrap().to_value(),
        of_file.config().unwrap().to_value()
    );
}
