//! The real SmolLM2, from GGUF and from safetensors, compared with transformers and with Inseq.

use candle_core::DType;
use whence_engine::model::{self, ModelFiles};
use whence_tests::fixtures::unpacked;
use whence_tests::optional::{Need, OptionalTest};
use whence_tests::parity::{Precision, check_model};
use whence_tests::text::{assert_continues, assert_encodes, assert_model, tokenizer};

const GGUF: &str = "smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
const SAFETENSORS: &str = "smollm2-safetensors/model.safetensors";

/// The tests of this file.
pub(crate) const TESTS: &[OptionalTest] = &[
    OptionalTest {
        name: "smollm2_is_as_near_to_the_truth_as_inseq",
        need: Need::Model(GGUF),
        run: || check_model("smollm2", Precision::Single),
    },
    OptionalTest {
        name: "smollm2_in_double_precision_is_the_truth",
        need: Need::Model(GGUF),
        run: || check_model("smollm2", Precision::Double),
    },
    OptionalTest {
        name: "smollm2_gives_what_transformers_gives",
        need: Need::Model(GGUF),
        run: || assert_model(&unpacked(GGUF), "smollm2"),
    },
    OptionalTest {
        name: "smollm2_from_safetensors_gives_what_transformers_gives",
        need: Need::Model(SAFETENSORS),
        run: from_safetensors,
    },
];

fn from_safetensors() {
    let file = unpacked(SAFETENSORS);
    let folder = file.parent().unwrap();
    let files = ModelFiles::open(folder).unwrap();
    let tokenizer = tokenizer(folder);
    assert_encodes(&tokenizer, "smollm2");
    // First with weights widened to float32, then kept in the bfloat16 they are stored in.
    for free in [None, Some(0)] {
        let model = model::load_files(&files, DType::F32, free).unwrap();
        assert_continues(&model, &tokenizer, &files, "smollm2-safetensors");
    }
}
