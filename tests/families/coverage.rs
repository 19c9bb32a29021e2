//! Compares the architectures with the model types with which transformers generates text.
//!
//! `transformers.json` has these, as `generate.py --list` writes them. The run prints the ones that are
//! missing. `README.md` and
//! `docs/models.md` say how many of them are served.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use whence_engine::model::ARCHITECTURES;

/// Model types, and the `model_type` in their configurations.
type ModelTypes = BTreeMap<String, String>;

#[derive(Deserialize)]
struct Transformers {
    version: String,
    decoder_only: ModelTypes,
    encoder_decoder: ModelTypes,
}

fn here(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(path).unwrap()
}

/// Splits model types into the number of those that are served as `kind` and the names of the others.
fn compare(types: &ModelTypes, kind: &str) -> (usize, Vec<String>) {
    let is_served = |model_type: &str| {
        let mut architectures = ARCHITECTURES.iter();
        architectures.any(|a| a.name == model_type && a.summary.starts_with(kind))
    };
    let missing = types
        .iter()
        .filter(|(_, model_type)| !is_served(model_type));
    let missing: Vec<_> = missing.map(|(name, _)| name.clone()).collect();
    (types.len() - missing.len(), missing)
}

#[test]
fn the_pages_say_how_many_model_types_of_transformers_are_served() {
    let list: Transformers = serde_json::from_str(&here("families/transformers.json")).unwrap();
    let (decoders, missing_decoders) = compare(&list.decoder_only, "decoder-only");
    let (others, missing_others) = compare(&list.encoder_decoder, "encoder-decoder");
    #[expect(
        clippy::print_stdout,
        reason = "what is missing is for a person to read"
    )]
    {
        println!("decoder-only, missing: {}", missing_decoders.join(", "));
        println!("encoder-decoder, missing: {}", missing_others.join(", "));
    }
    let said = format!(
        "serves {decoders} of the {} decoder-only and {others} of the {} encoder-decoder model types of \
         transformers {}",
        list.decoder_only.len(),
        list.encoder_decoder.len(),
        list.version
    );
    for name in ["README.md", "docs/models.md"] {
        let page = here(&format!("../{name}"));
        let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(page.contains(&said), "{name} has to say: {said}");
    }
}
