//! Unnests the tokens of one side: `tokens`.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int32Array, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use whence_schemas::output;

use super::columns::text_of;
use super::nested::{bound, lists, span, wrong};
use super::rows::{LongRows, constant};
use super::words::{Side, WordTexts, Words};

/// Returns one row per token of `side`.
pub(super) fn unnest(
    slots: &RecordBatch,
    side: &'static str,
    schema: &SchemaRef,
) -> Result<RecordBatch, ArrowError> {
    let tokens = lists(slots, &format!("{side}_tokens"))?;
    let wants = |names: &[&str]| {
        names
            .iter()
            .any(|name| schema.column_with_name(name).is_some())
    };
    let words = wants(&["word", "word_text"])
        .then(|| Side::new(slots, side))
        .transpose()?;
    let has_text = wants(&["word_text"]).then(|| text_of(side));
    let mut rows = Rows::default();
    for example in 0..slots.num_rows() {
        let span = span(tokens, example);
        rows.examples
            .resize(rows.examples.len() + span.len(), example as u32);
        rows.indices.extend(span.clone().map(|index| index as u32));
        rows.positions.extend(0..span.len() as i32);
        if let Some(side) = &words {
            rows.add_words(&side.words(example), side, (example, has_text.is_some()));
        }
    }
    rows.build(slots, side, schema)
}

#[derive(Default)]
struct Rows {
    examples: Vec<u32>,
    indices: Vec<u32>,
    positions: Vec<i32>,
    words: Vec<i32>,
    texts: WordTexts,
}

impl Rows {
    fn add_words(&mut self, words: &Words, side: &Side, (example, with_text): (usize, bool)) {
        self.words
            .extend(words.of_token.iter().map(|word| *word as i32));
        if with_text {
            let of_token = words.of_token.iter().copied();
            self.texts.add((side, words), example, of_token);
        }
    }

    fn build(
        self,
        slots: &RecordBatch,
        side: &'static str,
        schema: &SchemaRef,
    ) -> Result<RecordBatch, ArrowError> {
        let examples = UInt32Array::from(self.examples);
        let indices = UInt32Array::from(self.indices);
        let (positions, words) = (
            Int32Array::from(self.positions),
            Int32Array::from(self.words),
        );
        let texts = self.texts.build()?;
        let of_list = |name: &str| take(lists(slots, name)?.values(), &indices, None);
        let place = |field: &str| -> Result<ArrayRef, ArrowError> {
            let name = format!("{side}_token_offsets");
            let places = lists(slots, &name)?.values().as_struct_opt();
            take(
                &bound(places.ok_or_else(|| wrong(&name))?, field)?,
                &indices,
                None,
            )
        };
        let own = |name: &str| -> Result<Option<ArrayRef>, ArrowError> {
            Ok(Some(match name {
                "side" => constant(side, indices.values().len()),
                "position" => Arc::new(positions.clone()),
                "token" => of_list(&format!("{side}_tokens"))?,
                "token_id" => of_list(&format!("{side}_token_ids"))?,
                "char_start" => place(output::START)?,
                "char_end" => place(output::END)?,
                "word" => Arc::new(words.clone()),
                "word_text" => Arc::clone(&texts),
                _ => return Ok(None),
            }))
        };
        let rows = LongRows {
            slots,
            examples: &examples,
            elements: None,
        };
        rows.build(schema, own)
    }
}
