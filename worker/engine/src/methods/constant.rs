//! `constant`: a method for tests, with a parameter and a step score that no other method has.
//!
//! It also shows all that a new method takes: this file, a `mod` line and a row in the table.

use candle_core::DType;
use serde::{Deserialize, Serialize};
use whence_schemas::Compat;

use super::method::{Method, MethodScore, Requirements, Sink};
use crate::Error;
use crate::aggregate::{RawScores, Reduction};
use crate::batch::Batch;
use crate::kernels::host;
use crate::registry::Describe;

/// Gives every token the same score.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Constant {
    /// The score.
    pub loudness: u32,
    /// Record for each step how many tokens got the score.
    pub count_tokens: bool,
}

/// How many tokens got a score.
const NUM_TOKENS: MethodScore = MethodScore {
    name: "num_tokens",
    merged_by: Reduction::Max,
};

impl Describe for Constant {
    const NAME: &'static str = "constant";
    const SUMMARY: &'static str = "the same score for every token";
}

impl Method for Constant {
    fn attribute(&self, batch: &Batch<'_>, sink: &dyn Sink) -> Result<(), Error> {
        for (index, step) in batch.steps().iter().enumerate() {
            let tokens = step.target_rows();
            let scores = vec![f64::from(self.loudness); tokens];
            let rows = host::upload_as(scores, (tokens, 1), DType::F32)?;
            let scores = RawScores {
                source: None,
                target: Some(rows),
            };
            sink.record(index, scores)?;
            if self.count_tokens {
                sink.record_step_score(index, NUM_TOKENS, tokens as f64)?;
            }
        }
        Ok(())
    }

    fn validate(&self) -> Result<(), String> {
        if self.loudness > 11 {
            let given = self.loudness;
            return Err(format!("`loudness` is {given}, it goes to 11"));
        }
        Ok(())
    }

    fn default_aggregators(&self) -> &'static [&'static str] {
        &["sum"]
    }

    fn requirements(&self, _: Compat) -> Requirements<'_> {
        let step_scores: &[_] = if self.count_tokens {
            &[NUM_TOKENS]
        } else {
            &[]
        };
        Requirements {
            step_scores,
            ..Requirements::PASSES
        }
    }
}

mod tests {
    use std::path::Path;

    use serde_json::{Value, json};
    use whence_schemas::AttributionSpec;
    use whence_schemas::job::Dtype;

    use crate::{Engine, Error, Example, check, check_pinned, pin};

    fn spec(params: &Value) -> AttributionSpec {
        let spec = json!({
            "method": {"name": "constant", "params": params},
            "step_scores": ["probability"],
            "normalize": false,
        });
        serde_json::from_value(spec).unwrap()
    }

    fn reason(result: Result<(), Error>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn what_a_method_records_becomes_the_columns_of_its_job() {
        let mut spec = spec(&json!({"loudness": 3, "count_tokens": true}));
        assert!(reason(check_pinned(&spec)).contains("num_tokens"));
        pin(&mut spec).unwrap();
        check_pinned(&spec).unwrap();
        let columns = ["probability", "num_tokens"];
        assert_eq!(spec.step_score_labels(), columns);

        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/models/gpt2-random");
        let engine = Engine::load(&folder, Dtype::Float32).unwrap();
        let attributor = engine.prepare(&spec).unwrap();
        assert_eq!(attributor.step_score_names(), columns);
        let example = Example::new(1, "Click the").with_generated_text("Click the tab");
        let attribution = attributor.attribute(&[example]).remove(0).unwrap();
        assert!(!attribution.steps.is_empty());
        for step in &attribution.steps {
            let scores = &step.target.as_ref().unwrap().values;
            assert_eq!(scores, &vec![3.0; step.target_pos]);
            assert_eq!(step.step_scores.len(), columns.len());
            assert_eq!(step.step_scores[1], step.target_pos as f32);
        }
    }

    #[test]
    fn a_parameter_decides_whether_there_is_a_column() {
        let mut spec = spec(&json!({"loudness": 3}));
        spec.method_scores = vec!["left by another method".to_owned()];
        assert!(reason(check_pinned(&spec)).contains("left by another method"));
        pin(&mut spec).unwrap();
        assert_eq!(spec.step_score_labels(), ["probability"]);
    }

    #[test]
    fn a_value_the_method_cannot_use_is_refused_before_a_model_is_there() {
        let refused = reason(check(&spec(&json!({"loudness": 12}))));
        assert!(
            refused.contains("constant") && refused.contains("it goes to 11"),
            "{refused}"
        );
    }

    #[test]
    fn a_step_score_may_not_have_the_name_of_one_that_the_method_records() {
        let mut spec = spec(&json!({"count_tokens": true}));
        spec.step_scores[0].label = Some("num_tokens".to_owned());
        assert!(reason(check(&spec)).contains("num_tokens"));
    }
}
