//! What is done to each example: the step scores of a joined run, then the aggregators.

use arrow::array::{Array, AsArray, StructArray};
use whence_engine::aggregate::{ColumnValue, Context, Pipeline, Reduction};
use whence_engine::{Attribution, ErrorScope, Side, Token};
use whence_schemas::{RowError, chain};
use whence_worker::table::TableRow;

use super::join::Join;
use crate::Failure;

/// The aggregators of a request, ready to run.
#[derive(Debug)]
pub(crate) struct Stages {
    pub(super) pipeline: Pipeline,
    pub(super) join: Option<Join>,
    /// The step scores of the examples, those of a joined run included.
    pub(super) scores: Vec<(String, Reduction)>,
    /// The step scores of the run that is compared with.
    pub(super) partner_scores: Vec<(String, Reduction)>,
}

/// The carried columns of a slot, and the row that is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Columns<'c> {
    /// The columns; `None` if the table has none.
    pub(crate) of_slot: Option<&'c StructArray>,
    /// The index of the row in them.
    pub(crate) row: usize,
}

impl Columns<'_> {
    fn value(&self, name: &str) -> ColumnValue {
        let column = self
            .of_slot
            .and_then(|columns| columns.column_by_name(name));
        let Some(texts) = column.and_then(|column| column.as_string_opt::<i32>()) else {
            return ColumnValue::Missing;
        };
        if texts.is_valid(self.row) {
            ColumnValue::Text(texts.value(self.row).to_owned())
        } else {
            ColumnValue::Null
        }
    }
}

/// The rows of the other runs with the same id as a row.
#[derive(Debug, Clone, Default)]
pub(crate) struct Partners {
    /// That of the run whose step scores are added.
    pub(crate) joined: Option<TableRow>,
    /// That of the run that is compared with.
    pub(crate) compared: Option<TableRow>,
}

impl Stages {
    /// Returns the row with its scores aggregated. An example that cannot be aggregated becomes an
    /// error row.
    ///
    /// Fails if no example could be aggregated so.
    pub(crate) fn apply(
        &self,
        row: TableRow,
        partners: Partners,
        columns: Columns<'_>,
    ) -> Result<TableRow, Failure> {
        let TableRow {
            id,
            input_text,
            forced,
            result,
        } = row;
        let result = match result {
            Ok(attribution) => {
                self.aggregate(attribution, partners, input_text.as_deref(), columns)?
            }
            Err(error) => Err(error),
        };
        Ok(TableRow {
            id,
            input_text,
            forced,
            result,
        })
    }

    fn aggregate(
        &self,
        attribution: Attribution,
        partners: Partners,
        source_text: Option<&str>,
        columns: Columns<'_>,
    ) -> Result<Result<Attribution, RowError>, Failure> {
        let attribution = match (self.join, partners.joined) {
            (None, _) => Ok(attribution),
            (Some(join), row) => {
                of_partner(row).and_then(|second| join.apply(attribution, &second))
            }
        };
        let attribution = match attribution {
            Ok(attribution) => attribution,
            Err(error) => return Ok(Err(error)),
        };
        let located = Located::of(&attribution);
        let is_special = |side: Side, token: &Token| located.is_special(side, token);
        let column = |name: &str| columns.value(name);
        let context = |scores| Context {
            step_scores: scores,
            is_special: &is_special,
            source_text,
            column: Some(&column),
            defaults: self.pipeline.defaults(),
        };
        let aggregated = if self.pipeline.needs_partner() {
            let second = match of_partner(partners.compared) {
                Ok(second) => second,
                Err(error) => return Ok(Err(error)),
            };
            let contexts = (&context(&self.scores), &context(&self.partner_scores));
            self.pipeline
                .aggregate_pair((attribution, second), contexts)
        } else {
            self.pipeline.aggregate(attribution, &context(&self.scores))
        };
        match aggregated {
            Ok(attribution) => Ok(Ok(attribution)),
            Err(error) if error.scope() == ErrorScope::Example => {
                Ok(Err(RowError::new(error.code(), chain(&error))))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Returns the attribution of a row of another run.
fn of_partner(row: Option<TableRow>) -> Result<Attribution, RowError> {
    let row =
        row.ok_or_else(|| RowError::new("unpaired", "the other run does not have this example"))?;
    row.result.map_err(|error| {
        let message = format!("the other run could not attribute it: {}", error.message);
        RowError::new("unpaired", message)
    })
}

/// The sides of an example on which it is known which characters the tokens cover.
#[derive(Debug, Clone, Copy)]
struct Located {
    source: bool,
    target: bool,
}

impl Located {
    fn of(attribution: &Attribution) -> Self {
        let is_known = |tokens: &[Token]| tokens.iter().any(|token| token.offsets.is_some());
        Self {
            source: is_known(&attribution.source),
            target: is_known(&attribution.target),
        }
    }

    /// Returns whether a token is special. Such a token comes from no text, so it has no characters.
    /// Its name tells it where no token's characters are known, and in a chat, whose special tokens
    /// are part of the text.
    fn is_special(self, side: Side, token: &Token) -> bool {
        let is_known = match side {
            Side::Source => self.source,
            Side::Target => self.target,
        };
        let text = token.text.as_str();
        let is_in = |start, end| text.starts_with(start) && text.ends_with(end);
        if is_known {
            return token.offsets.is_none() || is_in("<|", "|>");
        }
        let is_byte = text.starts_with("<0x");
        (is_in("<", ">") && !is_byte) || (is_in("[", "]") && text.len() > 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_tokens_are_those_without_characters() {
        let token = |text: &str, offsets| Token {
            id: Some(1),
            text: text.to_owned(),
            offsets,
        };
        let known = Located {
            source: true,
            target: true,
        };
        let unknown = Located {
            source: false,
            target: true,
        };
        for (text, offsets, expected, by_name) in [
            ("</s>", None, true, true),
            ("eng_Latn", None, true, false),
            ("▁le", Some((0, 2)), false, false),
            ("<b>", Some((0, 3)), false, true),
            ("<|im_end|>", Some((0, 10)), true, true),
            ("<0x0A>", Some((3, 4)), false, false),
            ("[SEP]", None, true, true),
            ("[]", Some((0, 2)), false, false),
        ] {
            let token = token(text, offsets);
            assert_eq!(known.is_special(Side::Source, &token), expected, "{text}");
            assert_eq!(unknown.is_special(Side::Source, &token), by_name, "{text}");
        }
    }
}
