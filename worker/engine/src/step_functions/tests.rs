//! Properties of every step function in the table, and exact values of some.

use serde_json::json;
use whence_schemas::Compat;

use super::*;

/// A step with a spread-out distribution and a nearly saturated one, each with a contrast.
const STEPS: [([f64; 5], [f64; 5]); 2] = [
    ([0.3, -1.2, 2.0, 0.9, 0.1], [0.4, 0.8, -0.6, 1.1, 0.2]),
    ([9.0, -3.0, 0.0, 1.0, 2.5], [2.0, -2.0, 6.0, 0.5, 1.5]),
];
/// Log-probabilities of the target in passes with dropout.
const DROPPED: [f64; 5] = [-0.3, -1.1, -0.7, -0.2, -2.0];
const TARGET: usize = 2;
const CONTRAST_TARGET: usize = 3;

/// Parameters with which a function takes a different code path.
fn variants(name: &str) -> Vec<Map<String, Value>> {
    let parameters = match name {
        "probability" | "contrast_prob" | "contrast_prob_diff" => json!({"logprob": true}),
        "expression" => json!({"expression": "p[target] * contrast_logp[contrast]"}),
        "mc_dropout_prob_avg" => json!({"n_mcd_steps": 3, "logprob": true}),
        "kl_divergence" => json!({"top_k": 3, "top_p": 0.95}),
        _ => json!({}),
    };
    let Value::Object(parameters) = parameters else {
        unreachable!("an object was written")
    };
    vec![Map::new(), parameters]
}

fn with_contrast<'a>(own: &'a [f64], contrast: Option<&'a [f64]>, compat: Compat) -> Step<'a> {
    let contrast = StepContrast {
        logits: contrast,
        target: CONTRAST_TARGET,
    };
    Step::new(own, TARGET)
        .with_contrast(contrast)
        .with_dropped(&DROPPED)
        .with_compat(compat)
}

/// Asserts that `gradient` equals the central differences of `value` at `logits`.
fn assert_slopes(gradient: &[f64], logits: &[f64], value: impl Fn(&[f64]) -> f64, what: &str) {
    const STEP: f64 = 1e-6;
    for index in 0..logits.len() {
        let value_at = |offset: f64| {
            let mut moved = logits.to_vec();
            moved[index] += offset;
            value(&moved)
        };
        let slope = (value_at(STEP) - value_at(-STEP)) / (2.0 * STEP);
        let error = (slope - gradient[index]).abs() / value(logits).abs().max(1.0);
        assert!(
            error < 1e-8,
            "{what} at logit {index}: {slope} against {}",
            gradient[index]
        );
    }
}

#[test]
fn every_gradient_is_the_slope_of_its_value() {
    for entry in STEP_FUNCTIONS {
        for (parameters, compat) in variants(entry.name)
            .iter()
            .flat_map(|p| [(p, Compat::None), (p, Compat::Inseq071)])
        {
            let function = build(entry.name, parameters).unwrap();
            if !function.is_differentiable() {
                continue;
            }
            for (own, contrast) in &STEPS {
                let what = format!("{} {parameters:?}", entry.name);
                let step = with_contrast(own, Some(contrast), compat);
                let mut slopes = step.slopes();
                function.add_gradient(&step, &mut slopes);
                let at_dropped = slopes.dropped().to_vec();
                let (at_own, at_contrast) = slopes.into_parts();
                let value = |own: &[f64], contrast: &[f64]| {
                    function.value(&with_contrast(own, Some(contrast), compat))
                };
                assert_slopes(&at_own, own, |own| value(own, contrast), &what);
                let at_contrast = at_contrast.unwrap();
                assert_slopes(&at_contrast, contrast, |moved| value(own, moved), &what);
                let value = |dropped: &[f64]| {
                    let step = with_contrast(own, Some(contrast), compat);
                    function.value(&step.with_dropped(dropped))
                };
                assert_slopes(&at_dropped, &DROPPED, value, &format!("{what}, dropped"));

                let step = with_contrast(own, None, compat);
                let mut slopes = step.slopes();
                function.add_gradient(&step, &mut slopes);
                let (at_both, none) = slopes.into_parts();
                assert!(none.is_none());
                let value = |own: &[f64]| function.value(&with_contrast(own, None, compat));
                assert_slopes(&at_both, own, value, &format!("{what}, shared logits"));
            }
        }
    }
}

#[test]
fn only_contrastive_functions_read_the_contrast() {
    for entry in STEP_FUNCTIONS {
        let function = build(entry.name, &Map::new()).unwrap();
        let (own, contrast) = &STEPS[0];
        let value = |step: Step<'_>| function.value(&step.with_dropped(&[-1.0; 5]));
        let alone = value(Step::new(own, TARGET));
        let beside = value(with_contrast(own, Some(contrast), Compat::None));
        assert_eq!(alone != beside, function.is_contrastive(), "{}", entry.name);
    }
}

#[test]
fn values_are_those_worked_out_by_hand() {
    // Two tokens with probabilities 3/4 and 1/4; in the contrast both have 1/2.
    let (own, contrast) = ([3.0_f64.ln(), 0.0], [0.0, 0.0]);
    let value = |name: &str, compat: Compat| {
        let contrast = StepContrast {
            logits: Some(&contrast),
            target: 1,
        };
        let step = Step::new(&own, 0)
            .with_contrast(contrast)
            .with_compat(compat);
        build(name, &Map::new()).unwrap().value(&step)
    };
    let expected = [
        ("logit", 3.0_f64.ln()),
        ("probability", 0.75),
        ("entropy", -(0.75 * 0.75_f64.ln() + 0.25 * 0.25_f64.ln())),
        ("crossentropy", -(0.75_f64.ln())),
        ("perplexity", 4.0 / 3.0),
        ("contrast_logits", 0.0),
        ("contrast_prob", 0.5),
        ("contrast_logits_diff", 3.0_f64.ln()),
        ("contrast_prob_diff", 0.25),
        ("pcxmi", -(1.5_f64.log2())),
        ("in_context_pvi", -(1.5_f64.ln())),
        ("kl_divergence", 0.75 * 1.5_f64.ln() + 0.25 * 0.5_f64.ln()),
        ("top_p_size", 2.0),
    ];
    for (name, expected) in expected {
        let value = value(name, Compat::None);
        assert!((value - expected).abs() < 1e-14, "{name}: {value}");
    }
    let inseqs = value("perplexity", Compat::Inseq071);
    assert!((inseqs - (-(0.75_f64.ln())).exp2()).abs() < 1e-14);
}

#[test]
fn the_average_over_dropout_is_one_of_probabilities() {
    let own = [3.0_f64.ln(), 0.0];
    let dropped = [0.5_f64.ln(), 0.25_f64.ln(), 0.75_f64.ln(), 0.1_f64.ln()];
    let value = |parameters: Value, compat: Compat| {
        let parameters = parameters.as_object().unwrap();
        let step = Step::new(&own, 0)
            .with_dropped(&dropped)
            .with_compat(compat);
        build("mc_dropout_prob_avg", parameters)
            .unwrap()
            .value(&step)
    };
    // A function that asks for three passes ignores a fourth that another function asked for.
    let three = json!({"n_mcd_steps": 3});
    assert!((value(three.clone(), Compat::None) - 0.5).abs() < 1e-15);
    assert!((value(three, Compat::Inseq071) - 1.0).abs() < 1e-14);
    let logarithms = json!({"n_mcd_steps": 2, "logprob": true});
    assert!((value(logarithms, Compat::None) - 0.5 * 0.125_f64.ln()).abs() < 1e-15);
    let none = json!({"n_mcd_steps": 0});
    let error = build("mc_dropout_prob_avg", none.as_object().unwrap()).unwrap_err();
    assert!(error.to_string().contains("an average needs a pass"));
}

#[test]
fn a_token_without_probability_leaves_everything_finite() {
    let logits = [0.0, -1e5, 1.0];
    for entry in STEP_FUNCTIONS {
        let function = build(entry.name, &Map::new()).unwrap();
        let step = Step::new(&logits, 2).with_dropped(&[-1.0; 5]);
        let mut slopes = step.slopes();
        function.add_gradient(&step, &mut slopes);
        assert!(function.value(&step).is_finite(), "{}", entry.name);
        assert!(slopes.logits().iter().all(|slope| slope.is_finite()));
    }
}

#[test]
fn a_share_that_is_none_is_refused() {
    let parameters = Map::from_iter([("top_p".to_owned(), json!(1.5))]);
    for name in ["top_p_size", "kl_divergence"] {
        let error = build(name, &parameters).unwrap_err().to_string();
        assert!(error.contains("`top_p` is 1.5"), "{error}");
    }
}

#[test]
fn an_alias_names_the_same_function() {
    assert_eq!(
        format!("{:?}", build("logits", &Map::new()).unwrap()),
        "Logit"
    );
}
