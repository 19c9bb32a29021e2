//! Checks of a request as a whole.
//!
//! They run before the job is created and before any text is read, so that the user sees the
//! problem once, and not in every row of the table.

use std::path::Path;

use whence_schemas::{AttributionSpec, Compat};

use crate::Error;
use crate::generate::check_token_ids;
use crate::model::{ModelFiles, architectures};
use crate::sides::Side;
use crate::specification::BuiltSpecification;

/// The texts that every example provides besides its input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GivenTexts {
    /// The text to explain.
    pub generated: bool,
    /// Another input for the encoder, to contrast with.
    pub contrast_source: bool,
    /// Another target, to contrast with.
    pub contrast_target: bool,
}

/// Fails if no example can be attributed as `spec` says, whatever its texts are. `given` are the
/// texts that every example provides; the others are generated or come from `spec`.
pub fn check_request(spec: &AttributionSpec, given: GivenTexts) -> Result<(), Error> {
    check_generation(spec, given)?;
    check_contrast(spec, given)
}

/// Fails if the model at `path` cannot do what `spec` asks. Reads only its configuration, not its
/// weights.
pub fn check_with_model(
    spec: &AttributionSpec,
    given: GivenTexts,
    path: &Path,
) -> Result<(), Error> {
    let files = ModelFiles::open(path)?;
    let model = architectures::spec(&files.config()?)?;
    let (_, vocabulary) = model.embedding_of(Side::Target);
    check_token_ids(&spec.generation, vocabulary)?;
    let has_source = given.contrast_source || spec.contrast.contrast_sources.is_some();
    if has_source && model.encoder.is_none() {
        return Err(Error::Specification {
            reason:
                "a contrast source needs a model with an encoder; contrast a decoder-only model \
                     with another prompt through its contrast target"
                    .to_owned(),
        });
    }
    Ok(())
}

fn check_generation(spec: &AttributionSpec, given: GivenTexts) -> Result<(), Error> {
    let generation = &spec.generation;
    if given.generated && !generation.generate_from_target_prefix {
        return Ok(());
    }
    let reason = if generation.max_new_tokens == Some(0) {
        "max_new_tokens is 0: no token would be generated, so there is nothing to explain"
    } else if generation.max_length.is_some_and(|length| length < 2) {
        "max_length counts the tokens of the input too: below 2 no token can be generated"
    } else {
        return Ok(());
    };
    Err(Error::Specification {
        reason: reason.to_owned(),
    })
}

fn check_contrast(spec: &AttributionSpec, given: GivenTexts) -> Result<(), Error> {
    let BuiltSpecification {
        function,
        step_scores,
        ..
    } = BuiltSpecification::build(spec)?;
    let attributes_contrast = function.is_contrastive();
    let mut scores = step_scores.iter();
    let score = scores
        .find(|(_, function)| function.is_contrastive())
        .map(|(name, _)| name.as_str());
    let contrast = &spec.contrast;
    let has_source = given.contrast_source || contrast.contrast_sources.is_some();
    let has_target = given.contrast_target || contrast.contrast_targets.is_some();
    // If both a step score and the attributed function contrast, the message names the latter.
    let contrastive = if attributes_contrast {
        Some(spec.attributed_fn.label())
    } else {
        score
    };
    let Some(name) = contrastive else {
        return check_needless(spec, has_source || has_target);
    };
    // Inseq accepts a text contrasted with itself; all differences are then 0.
    if spec.compat == Compat::Inseq071 {
        return Ok(());
    }
    let reason = if !has_source && !has_target {
        format!(
            "`{name}` compares each text with another: add --attribution-kwargs \
             '{{\"contrast_targets\": \"…\"}}' or --contrast-target-field"
        )
    } else if attributes_contrast && !has_target && !contrast.contrast_force_inputs {
        format!(
            "`{name}` of another source alone compares each token with itself: add \
             --attribution-kwargs '{{\"contrast_force_inputs\": true}}', which compares with what \
             the model predicts after that source, or give a contrast target too"
        )
    } else {
        return Ok(());
    };
    Err(Error::Specification { reason })
}

/// Fails if the request has a contrast that no function uses.
fn check_needless(spec: &AttributionSpec, has_contrast: bool) -> Result<(), Error> {
    if !has_contrast && !spec.contrast.contrast_force_inputs {
        return Ok(());
    }
    let name = spec.attributed_fn.label();
    Err(Error::Specification {
        reason: format!(
            "there is a contrast, but neither `{name}` nor a step score compares with it: add \
             `-fn contrast_prob_diff` or `--step-scores contrast_prob_diff`, or leave the contrast out"
        ),
    })
}

#[cfg(test)]
mod tests {
    use whence_schemas::FunctionSpec;

    use super::*;

    const NOTHING: GivenTexts = GivenTexts {
        generated: false,
        contrast_source: false,
        contrast_target: false,
    };

    fn refused(spec: &AttributionSpec, given: GivenTexts) -> Option<String> {
        check_request(spec, given)
            .err()
            .map(|error| error.to_string())
    }

    fn contrastive() -> AttributionSpec {
        let mut spec = AttributionSpec::of_method("saliency");
        spec.attributed_fn = FunctionSpec::named("pcxmi");
        spec
    }

    #[test]
    fn a_contrast_that_is_missing_is_asked_for_once() {
        let said = refused(&contrastive(), NOTHING).unwrap();
        assert!(said.contains("\"contrast_targets\""), "{said}");
        let given = GivenTexts {
            contrast_target: true,
            ..NOTHING
        };
        assert_eq!(refused(&contrastive(), given), None);
        let mut spec = contrastive();
        spec.contrast.contrast_targets = Some("other".to_owned());
        assert_eq!(refused(&spec, NOTHING), None);
        let mut scored = AttributionSpec::of_method("saliency");
        scored.step_scores = vec![FunctionSpec::named("kl_divergence")];
        assert!(
            refused(&scored, NOTHING)
                .unwrap()
                .contains("`kl_divergence`")
        );
    }

    #[test]
    fn a_source_alone_must_be_forced() {
        let given = GivenTexts {
            contrast_source: true,
            ..NOTHING
        };
        let said = refused(&contrastive(), given).unwrap();
        assert!(said.contains("contrast_force_inputs"), "{said}");
        let mut spec = contrastive();
        spec.contrast.contrast_force_inputs = true;
        assert_eq!(refused(&spec, given), None);
        let mut like_inseq = contrastive();
        like_inseq.compat = Compat::Inseq071;
        assert_eq!(refused(&like_inseq, given), None);
        // A step score is always computed after the contrast's source, with no need to force
        // inputs.
        let mut scored = AttributionSpec::of_method("saliency");
        scored.step_scores = vec![FunctionSpec::named("pcxmi")];
        assert_eq!(refused(&scored, given), None);
    }

    #[test]
    fn a_contrast_that_nothing_uses_is_named() {
        let given = GivenTexts {
            contrast_target: true,
            ..NOTHING
        };
        let spec = AttributionSpec::of_method("saliency");
        assert!(refused(&spec, given).unwrap().contains("`probability`"));
        assert_eq!(refused(&spec, NOTHING), None);
    }

    #[test]
    fn nothing_to_generate_is_refused_unless_the_text_is_given() {
        let mut spec = AttributionSpec::of_method("saliency");
        spec.generation.max_new_tokens = Some(0);
        assert!(
            refused(&spec, NOTHING)
                .unwrap()
                .contains("max_new_tokens is 0")
        );
        let given = GivenTexts {
            generated: true,
            ..NOTHING
        };
        assert_eq!(refused(&spec, given), None);
        spec.generation.max_new_tokens = None;
        spec.generation.max_length = Some(1);
        assert!(refused(&spec, NOTHING).unwrap().contains("max_length"));
    }
}
