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
            // `--flag[=<VALUE>]` and `--flag=value` show a flag with its value.
            .filter_map(|word| word.split(['[', '=']).next())
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

#[test]
fn completions_know_methods_functions_and_aggregators() {
    let script = whence(&["completions", "bash"]).succeeded();
    for name in ["integrated_gradients", "contrast_prob_diff", "subwords"] {
        assert!(script.contains(name), "{name}");
    }
}

#[test]
fn every_example_of_the_help_can_be_typed() {
    let commands = ["attribute", "attribute-context", "attribute-dataset"];
    let others = ["attribute-context-dataset", "submit"];
    let mut count = 0;
    for command in commands.iter().chain(&others) {
        let help = whence(&[command, "--help"]).succeeded();
        // Long commands are folded to the width of the help.
        let (_, examples) = help.split_once("Examples:").unwrap();
        let paragraphs = examples.split("\n\n").map(|text| {
            let lines: Vec<_> = text.lines().map(str::trim).collect();
            lines.join(" ")
        });
        for example in paragraphs.filter_map(|text| {
            let (_, command) = text.split_once(": whence ")?;
            Some(command.to_owned())
        }) {
            let words = shlex::split(&format!("whence {example}")).unwrap();
            // Asks for the help of the command after all flags are read.
            let words: Vec<_> = words[1..].iter().map(String::as_str).collect();
            let ran = whence(&[&words[..], &["--no-such-flag"]].concat());
            ran.is_refused_with(&["unexpected argument '--no-such-flag'"]);
            count += 1;
        }
    }
    assert!(count >= 10, "{count}");
}

#[test]
fn manual_pages_are_printed_and_written() {
    let page = whence(&["man", "attribute-dataset"]).succeeded();
    assert!(page.contains(".TH") && page.contains("dataset"), "{page}");
    assert!(page.contains("dry"), "{page}");
    whence(&["man", "atribute"]).is_refused_with(&["`atribute`", "whence man attribute"]);
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    whence(&["man", "--all", &pages.display().to_string()]).succeeded();
    let names = crate::run::names(&pages);
    assert!(names.contains(&"whence.1".to_owned()), "{names:?}");
    assert!(names.contains(&"whence-sql.1".to_owned()), "{names:?}");
    let nested = "whence-doctor-storage.1".to_owned();
    assert!(names.contains(&nested), "{names:?}");
}
