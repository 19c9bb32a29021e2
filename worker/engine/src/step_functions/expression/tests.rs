//! Properties of all expressions, and expressions that equal functions of the table.

use proptest::prelude::*;
use serde_json::{Map, json};

use super::super::{StepContrast, build};
use super::*;

const OWN: [f64; 5] = [0.3, -1.2, 2.0, 0.9, 0.1];
const CONTRAST: [f64; 5] = [0.4, 0.8, -0.6, 1.1, 0.2];

fn step<'a>(own: &'a [f64], contrast: &'a [f64]) -> Step<'a> {
    Step::new(own, 2).with_contrast(StepContrast {
        logits: Some(contrast),
        target: 3,
    })
}

fn expression(text: &str) -> Box<dyn StepFunction> {
    build(&format!("{PREFIX}{text}"), &Map::new()).unwrap()
}

/// Generates the texts of scalar expressions in which every function is smooth and has values of
/// moderate size.
fn arbitrary_text() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        Just("p[target]".to_owned()),
        Just("logp[contrast]".to_owned()),
        Just("contrast_logp[contrast]".to_owned()),
        Just("logits[0]".to_owned()),
        Just("sum(p * logp)".to_owned()),
        Just("mean(contrast_logits * p)".to_owned()),
        Just("(p - contrast_p)[4]".to_owned()),
        (1_u32..50).prop_map(|n| (f64::from(n) / 8.0).to_string()),
    ];
    scalar.prop_recursive(4, 24, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} + {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} - ({b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) * ({b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) / (1 + abs({b}))")),
            inner.clone().prop_map(|a| format!("exp(-({a}) ^ 2)")),
            inner.clone().prop_map(|a| format!("log(1 + ({a}) ^ 2)")),
            inner.clone().prop_map(|a| format!("sqrt(2 + ({a}) ^ 2)")),
            inner.clone().prop_map(|a| format!("sum(p * ({a}))")),
            inner
                .clone()
                .prop_map(|a| format!("(1 + p[1]) ^ -({a} / 20)")),
            inner.prop_map(|a| format!("-({a})")),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_printed_reads_the_same(text in arbitrary_text()) {
        let tree = parse(&format!("{text} + p[target]")).unwrap();
        let printed = tree.to_string();
        prop_assert_eq!(parse(&printed).unwrap(), tree, "{}", printed);
    }

    #[test]
    fn no_text_is_a_panic(text in "[ -~é]{0,40}") {
        if let Ok(tree) = parse(&text) {
            prop_assert_eq!(parse(&tree.to_string()).unwrap(), tree);
        }
    }

    #[test]
    fn every_gradient_is_the_slope_of_its_value(text in arbitrary_text()) {
        const STEP: f64 = 1e-5;
        let function = expression(&format!("{text} + p[target]"));
        let at = step(&OWN, &CONTRAST);
        let value = function.value(&at);
        prop_assume!(value.abs() < 1e6);
        let mut slopes = at.slopes();
        function.add_gradient(&at, &mut slopes);
        let (own, contrast) = slopes.into_parts();
        let contrast = contrast.unwrap();
        let moved = |logits: [f64; 5], index: usize, by: f64| {
            let mut moved = logits;
            moved[index] += by;
            moved
        };
        let scale = own.iter().chain(&contrast).fold(value.abs().max(1.0), |s, g| s.max(g.abs()));
        for index in 0..OWN.len() {
            let of_own = |by| function.value(&step(&moved(OWN, index, by), &CONTRAST));
            let of_contrast = |by| function.value(&step(&OWN, &moved(CONTRAST, index, by)));
            let slope = (of_own(STEP) - of_own(-STEP)) / (2.0 * STEP);
            prop_assert!((slope - own[index]).abs() < 1e-5 * scale, "{}: {} {}", text, slope, own[index]);
            let slope = (of_contrast(STEP) - of_contrast(-STEP)) / (2.0 * STEP);
            prop_assert!((slope - contrast[index]).abs() < 1e-5 * scale, "{}: {} {}", text, slope, contrast[index]);
        }
    }
}

#[test]
fn formulas_of_the_table_are_those_functions() {
    let logprob = Map::from_iter([("logprob".to_owned(), json!(true))]);
    let plain = Map::new();
    for (text, name, parameters) in [
        ("logits[target]", "logit", &plain),
        ("p[target]", "probability", &plain),
        ("-sum(p * logp)", "entropy", &plain),
        ("1 / p[target]", "perplexity", &plain),
        ("contrast_logits[contrast]", "contrast_logits", &plain),
        ("contrast_p[contrast]", "contrast_prob", &plain),
        (
            "logp[target] - contrast_logp[contrast]",
            "contrast_prob_diff",
            &logprob,
        ),
        (
            "-(logp[target] - contrast_logp[contrast]) / log(2)",
            "pcxmi",
            &plain,
        ),
        ("sum(p * (logp - contrast_logp))", "kl_divergence", &plain),
    ] {
        let (written, of_table) = (expression(text), build(name, parameters).unwrap());
        let at = step(&OWN, &CONTRAST);
        assert!((written.value(&at) - of_table.value(&at)).abs() < 1e-14);
        let gradient = |function: &dyn StepFunction| {
            let mut slopes = at.slopes();
            function.add_gradient(&at, &mut slopes);
            let (own, contrast) = slopes.into_parts();
            [own, contrast.unwrap()].concat()
        };
        let pairs = gradient(written.as_ref());
        for (a, b) in pairs.iter().zip(gradient(of_table.as_ref())) {
            assert!((a - b).abs() < 1e-14, "{text}: {a} against {b}");
        }
        assert_eq!(written.is_contrastive(), of_table.is_contrastive());
    }
}

#[test]
fn the_extremes_have_the_slope_of_what_they_choose() {
    let at = step(&OWN, &CONTRAST);
    for (text, expected) in [
        ("max(logits)", [0.0, 0.0, 1.0, 0.0, 0.0]),
        ("min(logits)", [0.0, 1.0, 0.0, 0.0, 0.0]),
        ("min(logits[0], logits[4])", [0.0, 0.0, 0.0, 0.0, 1.0]),
        ("sum(max(logits, 0.5))", [0.0, 0.0, 1.0, 1.0, 0.0]),
        ("abs(logits[1])", [0.0, -1.0, 0.0, 0.0, 0.0]),
    ] {
        let mut slopes = at.slopes();
        expression(text).add_gradient(&at, &mut slopes);
        assert_eq!(slopes.logits(), expected, "{text}");
    }
}

#[test]
fn a_token_beyond_the_vocabulary_has_no_number() {
    let at = step(&OWN, &CONTRAST);
    let function = expression("p[99]");
    assert!(function.value(&at).is_nan());
    function.add_gradient(&at, &mut at.slopes());
}

#[test]
fn a_wrong_expression_is_a_wrong_parameter() {
    let parameters = Map::from_iter([("expression".to_owned(), json!("p[target"))]);
    let error = build("expression", &parameters).unwrap_err().to_string();
    assert!(error.contains("step function `expression`"), "{error}");
    assert!(error.contains("column 9"), "{error}");
}
