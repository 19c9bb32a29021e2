//! Context attribution against Inseq's `attribute-context`, and what is refused.
//!
//! Goldens are made by `tests/context/generate.py`.

#![allow(
    clippy::unwrap_used,
    reason = "a suite stops where a fixture is not what it must be"
)]

mod golden;

use std::fs;

use serde_json::Value;
use whence_engine::context::{
    ContextAttribution, ContextAttributor, ContextExample, ContextSpec, GivenContexts, NobodyToAsk,
    Templates, TokenCues,
};
use whence_engine::{Engine, Token};
use whence_schemas::job::Dtype;
use whence_schemas::{Compat, ContextTemplates, FunctionSpec, OutputContextStrategy};

use golden::{ContextScores, Cue, Golden, Saved, golden, names, tests};

/// Loads the model `name`. `with_bos` gives it a tokenizer that begins every text with the start
/// token, as Llama's does.
fn load(name: &str, with_bos: bool) -> Engine {
    let own = tests().join("models").join(name);
    if !with_bos {
        return Engine::load(&own, Dtype::Float32).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(&own).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let path = folder.path().join("tokenizer.json");
    let mut tokenizer: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    tokenizer["post_processor"] = serde_json::json!({
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<bos>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {"<bos>": {"id": "<bos>", "ids": [2], "tokens": ["<bos>"]}},
    });
    fs::write(path, tokenizer.to_string()).unwrap();
    Engine::load(folder.path(), Dtype::Float32).unwrap()
}

fn attribute(engine: &Engine, golden: &Golden, compat: Compat) -> ContextAttribution {
    let attributor = ContextAttributor::new(engine, &golden.spec(compat)).unwrap();
    attributor
        .attribute(&golden.example(), &NobodyToAsk)
        .unwrap()
        .result
}

/// Collects what differs.
struct Differences<'a> {
    case: &'a str,
    found: Vec<String>,
}

impl Differences<'_> {
    fn compare<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, ours: &T, inseqs: &T) {
        if ours != inseqs {
            self.found
                .push(format!("{}: {what}: {ours:?}, Inseq {inseqs:?}", self.case));
        }
    }

    /// Compares scores to three decimals, and to three digits of the largest.
    fn scores(&mut self, what: &str, ours: Option<&[f32]>, inseqs: Option<&[f32]>) {
        let (Some(ours), Some(inseqs)) = (ours, inseqs) else {
            return self.compare(what, &ours, &inseqs);
        };
        let largest = inseqs
            .iter()
            .fold(0.0_f32, |largest, score| largest.max(score.abs()));
        let tolerance = 5e-4_f32.min(1e-3 * largest);
        let pairs = ours.iter().zip(inseqs);
        let is_near = pairs.clone().all(|(a, b)| (a - b).abs() <= tolerance);
        if ours.len() != inseqs.len() || !is_near {
            self.compare(what, &ours, &inseqs);
        }
    }

    fn tokens(&mut self, what: &str, ours: Option<&[Token]>, inseqs: Option<&[String]>) {
        // Inseq lists the tokens of a text by itself, which has no blank before it.
        let bare = |text: &str| text.trim_start_matches(['Ġ', '▁']).to_owned();
        let ours = ours.map(|tokens| tokens.iter().map(|token| bare(&token.text)));
        let inseqs = inseqs.map(|tokens| tokens.iter().map(|token| bare(token)));
        self.compare(
            what,
            &ours.map(Iterator::collect::<Vec<_>>),
            &inseqs.map(Iterator::collect),
        );
    }

    fn output(&mut self, ours: &ContextAttribution, golden: &Golden) {
        let theirs = &golden.output;
        self.compare("output", &ours.output_current.text, &theirs.output_current);
        let context = ours.output_context.as_ref();
        self.compare(
            "output context",
            &context.map(|context| context.text.clone()),
            &theirs.output_context,
        );
        // Inseq counts the blank before a misplaced output as its first token.
        let skipped = usize::from(golden.misplaced);
        self.tokens(
            "output tokens",
            Some(&ours.output_current.tokens),
            Some(&theirs.output_current_tokens[skipped..]),
        );
        self.scores(
            "CTI",
            Some(&ours.cti_scores),
            Some(&theirs.cti_scores[skipped..]),
        );
    }

    fn contexts(&mut self, ours: &ContextAttribution, theirs: &Saved) {
        let contexts = [
            (&ours.input_context, &theirs.input_context_tokens),
            (&ours.output_context, &theirs.output_context_tokens),
        ];
        for (ours, theirs) in contexts {
            let tokens = ours.as_ref().map(|context| context.tokens.as_slice());
            self.tokens("context", tokens, theirs.as_deref());
        }
        let ours: Vec<_> = ours.cues.iter().map(|cue| cue.index).collect();
        let theirs: Vec<_> = theirs.cci_scores.iter().map(|cue| cue.cti_idx).collect();
        self.compare("selection", &ours, &theirs);
    }

    fn cue(&mut self, ours: &TokenCues, theirs: &Cue, scores: &ContextScores) {
        let alternative = ours.alternative.as_ref();
        self.compare(
            "contextual output",
            &ours.contextual_output,
            &theirs.contextual_output,
        );
        self.compare(
            "contrast token",
            &alternative.map(|other| other.token.clone()),
            &theirs.contrast_token,
        );
        self.compare(
            "contextless output",
            &alternative.map(|other| other.output.clone()),
            &theirs.contextless_output,
        );
        self.scores(
            "input scores",
            ours.input_context_scores.as_deref(),
            scores.input.as_deref(),
        );
        self.scores(
            "output scores",
            ours.output_context_scores.as_deref(),
            scores.output.as_deref(),
        );
    }
}

fn differences(name: &str, compat: Compat) -> Vec<String> {
    let golden = golden(name);
    let ours = attribute(&load(&golden.model, golden.with_bos), &golden, compat);
    let mut differences = Differences {
        case: name,
        found: Vec::new(),
    };
    differences.output(&ours, &golden);
    if golden.misplaced {
        return differences.found;
    }
    differences.contexts(&ours, &golden.output);
    let scores = golden.scores(compat);
    for ((ours, theirs), scores) in ours.cues.iter().zip(&golden.output.cci_scores).zip(&scores) {
        differences.cue(ours, theirs, scores);
    }
    differences.found
}

#[test]
fn scores_are_inseqs_rightly_read() {
    let names = names();
    let own: Vec<_> = names
        .iter()
        .filter(|name| golden(name).compat == Compat::None)
        .collect();
    assert!(own.len() > 8, "{own:?}");
    let found: Vec<_> = own
        .iter()
        .flat_map(|name| differences(name, Compat::None))
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn with_compat_scores_are_inseqs_as_it_reads_them() {
    let found: Vec<_> = names()
        .iter()
        .flat_map(|name| differences(name, Compat::Inseq071))
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

fn refusal(
    engine: &Engine,
    name: &str,
    change: impl FnOnce(&mut ContextSpec, &mut ContextExample),
) -> String {
    let golden = golden(name);
    let (mut spec, mut example) = (golden.spec(Compat::None), golden.example());
    change(&mut spec, &mut example);
    let refused = match ContextAttributor::new(engine, &spec) {
        Ok(attributor) => attributor.attribute(&example, &NobodyToAsk).map(|_| ()),
        Err(error) => Err(error),
    };
    refused.map_or_else(
        |error| error.to_string(),
        |()| format!("{spec:?} is served"),
    )
}

#[test]
fn what_cannot_be_analyzed_is_refused_with_the_next_step() {
    let llama = load("glass-en", false);
    let refused = |change: &dyn Fn(&mut ContextSpec, &mut ContextExample)| {
        refusal(&llama, "llama-forced", |spec, example| {
            change(spec, example);
        })
    };
    let cases = [
        (
            refused(&|spec, _| spec.options.metric = FunctionSpec::named("entropy")),
            "take one of contrast_logits,",
        ),
        (
            refused(&|spec, _| spec.options.special_tokens_to_keep = vec!["<brk>".to_owned()]),
            "`<brk>` is not a special token",
        ),
        (
            refused(&|spec, _| spec.attribution.contrast.contrast_targets = Some("x".to_owned())),
            "--contextless-output-next-tokens",
        ),
        (
            refused(&|_, example| example.next_tokens = vec!["a".to_owned()]),
            "words: 1, tokens: 2",
        ),
        (
            refused(&|_, example| example.output_current = Some(" ".to_owned())),
            "output text is empty",
        ),
        (
            refused(&|spec, example| {
                spec.attribution.attributed_fn = FunctionSpec::named("probability");
                example.next_tokens = vec!["a".to_owned()];
            }),
            "`probability` is none",
        ),
        (
            refused(&|spec, _| {
                spec.attribution.aggregators = Some(vec![
                    FunctionSpec::named("vnorm"),
                    FunctionSpec::named("subwords"),
                ]);
            }),
            "without merging",
        ),
        (
            refused(&|spec, _| {
                spec.templates =
                    Templates::new(&ContextTemplates::default(), GivenContexts::default()).unwrap();
            }),
            "there is no context",
        ),
    ];
    for (refused, told) in cases {
        assert!(refused.contains(told), "{refused}");
    }
}

#[test]
fn a_generated_context_must_be_split() {
    let marian = load("lo-en-fr-tiny", false);
    let template = |output: &str| {
        let templates = ContextTemplates {
            output: Some(output.to_owned()),
            ..ContextTemplates::default()
        };
        let contexts = GivenContexts {
            input: true,
            output: false,
        };
        Templates::new(&templates, contexts).unwrap()
    };
    let refused = |strategy, output| {
        refusal(&marian, "marian-split", |spec, _| {
            spec.options.strategy = strategy;
            spec.templates = template(output);
        })
    };
    let manual = refused(OutputContextStrategy::Manual, "{context} {current}");
    assert!(
        manual.contains("--handle-output-context-strategy auto"),
        "{manual}"
    );
    let auto = refused(OutputContextStrategy::Auto, "{context} {current}");
    assert!(auto.contains("give the output context"), "{auto}");
    let pre = refused(OutputContextStrategy::Pre, "{context} {current}");
    assert!(pre.contains("give an output context"), "{pre}");
    let framed = refused(OutputContextStrategy::Auto, "<{context} {current}");
    assert!(framed.contains("does not begin with \"<\""), "{framed}");
}
