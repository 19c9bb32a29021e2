//! Processors: they change the scores of the next token before a search picks one.
//!
//! One file and one row in [`PROCESSORS`] per processor. The order is that of transformers: first
//! the ones that forbid or force tokens, last the ones that restrict sampling.

#![allow(
    clippy::unnecessary_wraps,
    reason = "the table's rows have one type, and most can refuse their choices"
)]

mod processor;

mod bad_words;
mod forced;
mod min_p;
mod minimum;
mod no_repeat_ngram;
mod repetition_penalty;
mod suppress;
mod temperature;
mod top_k;
mod top_p;

use super::choices::Choices;
use crate::Error;
pub(super) use processor::{Hypothesis, LogitsProcessor};

/// Builds a processor, or `None` if the options do not ask for it. The error says which option is
/// wrong and why.
type Build = fn(&Choices) -> Result<Option<Box<dyn LogitsProcessor>>, String>;

/// Every processor, in the order of application.
const PROCESSORS: &[Build] = &[
    repetition_penalty::build,
    no_repeat_ngram::build,
    bad_words::build,
    minimum::build,
    forced::build_start,
    forced::build_end,
    suppress::build,
    suppress::build_first,
    temperature::build,
    top_k::build,
    top_p::build,
    min_p::build,
];

/// Builds the processors that `choices` ask for.
pub(super) fn build(choices: &Choices) -> Result<Vec<Box<dyn LogitsProcessor>>, Error> {
    let mut processors = Vec::new();
    for build in PROCESSORS {
        let processor = build(choices).map_err(|reason| Error::Specification { reason })?;
        processors.extend(processor);
    }
    Ok(processors)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use whence_schemas::GenerationSpec;

    use super::*;

    const NEVER: f64 = f64::NEG_INFINITY;
    const SCORES: [f64; 4] = [1.0, -1.0, 0.5, 2.0];

    /// Applies the processors of `spec` to `scores`, after `tokens`. The first two tokens are the
    /// prompt.
    fn processed(spec: serde_json::Value, tokens: &[u32], scores: &[f64]) -> Vec<f64> {
        let spec: GenerationSpec = serde_json::from_value(spec).unwrap();
        let choices = Choices {
            spec,
            end: vec![0],
            min_tokens_to_keep: 1,
        };
        let hypothesis = Hypothesis {
            tokens,
            prompt: 2,
            max_length: 6,
        };
        let mut scores = scores.to_vec();
        for processor in build(&choices).unwrap() {
            processor.process(&hypothesis, &mut scores);
        }
        scores
    }

    /// Asserts what the scores 1, −1, ½, 2 become, for each case's options and tokens.
    fn assert_processed(cases: &[(serde_json::Value, &[u32], [f64; 4])]) {
        for (spec, tokens, expected) in cases {
            let scores = processed(spec.clone(), tokens, &SCORES);
            assert_eq!(scores, expected, "{spec}");
        }
    }

    #[test]
    fn what_was_there_before_is_punished_or_forbidden() {
        assert_processed(&[
            (
                json!({"repetition_penalty": 2.0}),
                &[1, 3],
                [1.0, -2.0, 0.5, 1.0],
            ),
            (
                json!({"no_repeat_ngram_size": 2}),
                &[1, 3, 2, 1],
                [1.0, -1.0, 0.5, NEVER],
            ),
            (
                json!({"no_repeat_ngram_size": 2}),
                &[1, 3, 2, 3],
                [1.0, -1.0, NEVER, 2.0],
            ),
        ]);
    }

    #[test]
    fn bad_words_and_suppressed_tokens_are_forbidden() {
        assert_processed(&[
            (
                json!({"bad_words_ids": [[2], [1, 3], [0]]}),
                &[2, 1],
                [1.0, -1.0, NEVER, NEVER],
            ),
            (json!({"bad_words_ids": [[1, 3]]}), &[2, 2], SCORES),
            (
                json!({"suppress_tokens": [3, 1]}),
                &[1],
                [1.0, NEVER, 0.5, NEVER],
            ),
            (
                json!({"begin_suppress_tokens": [3]}),
                &[1, 1],
                [1.0, -1.0, 0.5, NEVER],
            ),
            (json!({"begin_suppress_tokens": [3]}), &[1, 1, 1], SCORES),
        ]);
    }

    #[test]
    fn ends_are_forbidden_before_the_minimum_and_forced_at_the_maximum() {
        assert_processed(&[
            (
                json!({"min_new_tokens": 2}),
                &[1, 2, 3],
                [NEVER, -1.0, 0.5, 2.0],
            ),
            (json!({"min_new_tokens": 2}), &[1, 2, 3, 3], SCORES),
            (
                json!({"min_length": 4}),
                &[1, 2, 3],
                [NEVER, -1.0, 0.5, 2.0],
            ),
            (
                json!({"forced_bos_token_id": 2}),
                &[1],
                [NEVER, NEVER, 0.0, NEVER],
            ),
            (json!({"forced_bos_token_id": 2}), &[1, 1], SCORES),
            (
                json!({"forced_eos_token_id": 0}),
                &[1, 1, 1, 1, 1],
                [0.0, NEVER, NEVER, NEVER],
            ),
            (json!({"forced_eos_token_id": 0}), &[1, 1, 1, 1], SCORES),
        ]);
    }

    #[test]
    fn drawing_is_narrowed_only_where_tokens_are_drawn() {
        let cases = [
            (json!({"temperature": 0.5}), [2.0, -2.0, 1.0, 4.0]),
            (json!({"top_k": 2}), [1.0, NEVER, NEVER, 2.0]),
            (json!({"top_p": 0.7}), [1.0, NEVER, NEVER, 2.0]),
            (json!({"min_p": 0.3}), [1.0, NEVER, NEVER, 2.0]),
        ];
        for (mut spec, expected) in cases {
            assert_eq!(processed(spec.clone(), &[1], &SCORES), SCORES, "{spec}");
            spec["do_sample"] = true.into();
            assert_eq!(processed(spec.clone(), &[1], &SCORES), expected, "{spec}");
        }
    }

    #[test]
    fn a_choice_out_of_range_is_named() {
        for (spec, name) in [
            (json!({"repetition_penalty": 0.0}), "repetition_penalty"),
            (
                json!({"do_sample": true, "temperature": 0.0}),
                "temperature",
            ),
            (json!({"do_sample": true, "top_p": 1.5}), "top_p"),
            (json!({"do_sample": true, "min_p": -0.5}), "min_p"),
        ] {
            let choices = Choices {
                spec: serde_json::from_value(spec).unwrap(),
                end: Vec::new(),
                min_tokens_to_keep: 1,
            };
            let message = build(&choices).unwrap_err().to_string();
            assert!(message.contains(name), "{message}");
        }
    }
}
