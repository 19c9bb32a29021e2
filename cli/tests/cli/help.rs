//! The help pages, and that both spellings of a flag mean the same.

use crate::run::{assert_snapshot, whence};

/// The overview, and the commands whose flags users of Inseq already know and rely on.
const PAGES: &[&[&str]] = &[
    &["--help"],
    &["attribute", "-h"],
    &["attribute-context", "--help"],
    &["attribute-dataset", "--help"],
    &["submit", "-h"],
    &["aggregate", "--help"],
    &["sql", "--help"],
];

#[test]
fn help_says_what_it_said() {
    for page in PAGES {
        let help = whence(page).succeeded();
        let name = page.join("_").replace('-', "");
        assert_snapshot(&format!("help_{name}"), &help);
    }
}

#[test]
fn every_flag_has_both_spellings() {
    for command in ["attribute-dataset", "attribute-context"] {
        let help = whence(&[command, "--help"]).succeeded();
        let flags = help
            .split_whitespace()
            .filter(|word| word.starts_with("--") && word[2..].contains('-'))
            .map(|word| word.trim_end_matches([',', ']', '.', ')', '`', ';', ':']));
        let mut count = 0;
        for flag in flags {
            let underscored = format!("--{}", flag[2..].replace('-', "_"));
            let [dashed, underscored] =
                [flag, &underscored].map(|flag| whence(&[command, flag]).stderr);
            assert_eq!(dashed, underscored, "{flag}");
            assert!(!dashed.contains("unexpected argument"), "{flag}: {dashed}");
            count += 1;
        }
        assert!(count > 20, "the help lists its flags");
    }
}

#[test]
fn lists_come_from_the_tables_of_the_engine() {
    let methods = whence(&["list", "methods"]).succeeded();
    for entry in whence_engine::methods::METHODS {
        assert!(methods.contains(entry.name) && methods.contains(entry.summary));
    }
    assert!(methods.contains("n_steps = 50"), "{methods}");
    let one = whence(&["list", "step-functions", "logits"]).succeeded();
    assert!(
        one.starts_with("logit ") && one.lines().count() == 1,
        "{one}"
    );
    for what in ["aggregators", "models"] {
        assert!(!whence(&["list", what]).succeeded().is_empty());
    }
}

#[test]
fn an_unknown_name_is_answered_with_the_nearest() {
    whence(&["list", "methods", "salience"])
        .is_refused_with(&["there is no `salience`", "did you mean `saliency`?"]);
    whence(&["list", "method"]).is_refused_with(&["methods"]);
}

#[test]
fn completions_know_the_commands() {
    let script = whence(&["completions", "bash"]).succeeded();
    assert!(script.contains("attribute-dataset"));
}
