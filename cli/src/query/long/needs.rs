//! Which columns of the slots a query on a long table reads.

use std::collections::BTreeSet;

use whence_schemas::context_output::{self, OUTPUT_TOKENS};
use whence_schemas::output;

use super::columns::text_of;
use super::contexts::Context;
use super::token_sums;
use crate::query::views::keys::KEYS;
use crate::query::views::view::LongTableKind;

/// Returns the columns of the slots that are read for the columns `wanted` of the parts `parts`, as
/// paths: `steps.token`.
pub(super) fn needs(
    kind: LongTableKind,
    wanted: &BTreeSet<&str>,
    parts: &[&str],
) -> BTreeSet<String> {
    let mut needs = Needs {
        wanted,
        paths: BTreeSet::new(),
    };
    for key in [output::EXAMPLE_ID, output::SAMPLE] {
        needs.read_if(&[key], key);
    }
    match kind {
        LongTableKind::Tokens => needs.of_tokens(parts),
        LongTableKind::Steps => {
            needs.read("steps.step");
            needs.of_step_fields(&[]);
        }
        LongTableKind::StepScores => {
            needs.of_step_fields(&[output::NAME, "score"]);
            // All step scores, although only some are asked for: a file that has none of the fields
            // of a struct cannot be read.
            needs.read("steps.step");
            needs.read("steps.step_scores");
        }
        LongTableKind::Attributions | LongTableKind::Alignments => needs.of_scores(parts),
        LongTableKind::TokenStats => {
            for side in parts {
                for list in token_sums::needs(|column| wanted.contains(column), side) {
                    needs.read(list);
                }
            }
        }
        LongTableKind::WordAttributions => needs.of_words(parts),
        LongTableKind::ContextSensitiveTokens => needs.of_context_sensitive_tokens(),
        LongTableKind::ContextAttributions => needs.of_context_scores(parts),
        LongTableKind::SequenceScores => {
            for column in [
                output::SEQUENCE_SCORES,
                output::SOURCE_TOKENS,
                output::TARGET_TOKENS,
            ] {
                needs.read(column);
            }
        }
    }
    needs.paths
}

/// The columns of the slots that are read.
struct Needs<'a> {
    wanted: &'a BTreeSet<&'a str>,
    paths: BTreeSet<String>,
}

impl Needs<'_> {
    fn read(&mut self, path: impl Into<String>) {
        self.paths.insert(path.into());
    }

    /// Reads `path` if one of `columns` is wanted.
    fn read_if(&mut self, columns: &[&str], path: impl Into<String>) {
        if columns.iter().any(|column| self.wanted.contains(column)) {
            self.read(path);
        }
    }

    fn of_tokens(&mut self, sides: &[&str]) {
        let of_places = ["char_start", "char_end", "word", "word_text"];
        for side in sides {
            self.read(format!("{side}_tokens"));
            self.read_if(&["token_id"], format!("{side}_token_ids"));
            self.read_if(&of_places, format!("{side}_token_offsets"));
            self.read_if(&["word_text"], text_of(side));
        }
    }

    fn of_scores(&mut self, sides: &[&str]) {
        for side in sides {
            self.read(format!("steps.{side}_scores"));
            self.read_if(&["source_token"], format!("{side}_tokens"));
            let places = format!("{side}_token_offsets");
            self.read_if(&["source_start", "source_end"], places);
        }
        self.of_shares();
        self.read_if(&["step"], "steps.step");
        self.read_if(&["target_pos"], "steps.target_pos");
        self.read_if(&["target_token"], "steps.token");
    }

    fn of_words(&mut self, sides: &[&str]) {
        self.read("steps.target_pos");
        self.read(output::TARGET_TOKENS);
        self.read(output::TARGET_TOKEN_OFFSETS);
        self.read_if(&["target_text"], output::GENERATED_TEXT);
        self.of_shares();
        for side in sides {
            self.read(format!("steps.{side}_scores"));
            self.read(format!("{side}_tokens"));
            self.read(format!("{side}_token_offsets"));
            self.read_if(&["source_text"], text_of(side));
        }
    }

    /// A share is a part of the scores of both sides.
    fn of_shares(&mut self) {
        self.read_if(&["share"], "steps.source_scores");
        self.read_if(&["share"], "steps.target_scores");
    }

    /// Reads the fields of a step that are wanted, which are all wanted columns but keys and
    /// `others`.
    fn of_step_fields(&mut self, others: &[&str]) {
        let wanted = self.wanted;
        for name in wanted
            .iter()
            .filter(|name| !KEYS.contains(name) && !others.contains(name))
        {
            self.read(format!("steps.{name}"));
        }
    }

    fn of_context_sensitive_tokens(&mut self) {
        self.read(path_of_cues(context_output::TOKEN_INDEX));
        self.read_if(&["token"], OUTPUT_TOKENS.texts);
        self.read_if(&["token_id"], OUTPUT_TOKENS.ids);
        self.read_if(&["char_start", "char_end"], OUTPUT_TOKENS.offsets);
        self.read_if(&["score"], context_output::CTI_SCORES);
        for field in &context_output::cue_fields() {
            self.read_if(&[field.name()], path_of_cues(field.name()));
        }
    }

    fn of_context_scores(&mut self, contexts: &[&str]) {
        self.read(path_of_cues(context_output::TOKEN_INDEX));
        self.read_if(&["target_token"], OUTPUT_TOKENS.texts);
        for context in contexts.iter().map(|name| Context::named(name)) {
            let tokens = context.tokens();
            self.read(path_of_cues(context.scores()));
            self.read_if(&["source_token"], tokens.texts);
            self.read_if(&["source_start", "source_end"], tokens.offsets);
            self.read_if(&["is_cue"], path_of_cues(context.cues()));
        }
    }
}

fn path_of_cues(field: &str) -> String {
    format!("{}.{field}", context_output::CUES)
}
