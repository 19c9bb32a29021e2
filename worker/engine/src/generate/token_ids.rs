//! Checks the tokens that generation options name.

use whence_schemas::GenerationSpec;

use crate::Error;

/// Fails if an option names a token outside a vocabulary of `size` tokens. Such a token is never
/// generated, so the option would silently have no effect, or would forbid every other token.
pub(crate) fn check(spec: &GenerationSpec, size: usize) -> Result<(), Error> {
    let words = spec.bad_words_ids.iter().flatten().flatten();
    let words: Vec<u32> = words.copied().collect();
    let lists: [(&str, &[u32]); 6] = [
        ("eos_token_id", list(spec.eos_token_id.as_ref())),
        (
            "forced_eos_token_id",
            list(spec.forced_eos_token_id.as_ref()),
        ),
        ("forced_bos_token_id", spec.forced_bos_token_id.as_slice()),
        ("suppress_tokens", list(spec.suppress_tokens.as_ref())),
        (
            "begin_suppress_tokens",
            list(spec.begin_suppress_tokens.as_ref()),
        ),
        ("bad_words_ids", &words),
    ];
    for (option, ids) in lists {
        if let Some(id) = ids.iter().find(|id| **id as usize >= size) {
            return Err(Error::Specification {
                reason: format!(
                    "{option} names token {id}, but the model's tokens are 0 to {}",
                    size.saturating_sub(1)
                ),
            });
        }
    }
    Ok(())
}

fn list(ids: Option<&Vec<u32>>) -> &[u32] {
    ids.map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_the_vocabulary_lacks_is_refused_by_the_options_name() {
        let refused = |option: &str, value: serde_json::Value| {
            let spec: GenerationSpec = serde_json::from_value(json!({option: value})).unwrap();
            check(&spec, 10).err().map(|error| error.to_string())
        };
        for (option, beyond) in [
            ("eos_token_id", json!([1, 10])),
            ("forced_eos_token_id", json!(10)),
            ("forced_bos_token_id", json!(10)),
            ("suppress_tokens", json!([10])),
            ("begin_suppress_tokens", json!([10])),
            ("bad_words_ids", json!([[1], [2, 10]])),
        ] {
            let said = format!("{option} names token 10, but the model's tokens are 0 to 9");
            assert_eq!(refused(option, beyond), Some(said));
        }
        assert_eq!(refused("bad_words_ids", json!([[9], [0]])), None);
    }
}
