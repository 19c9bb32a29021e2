//! Words: which tokens make up one, and its text.
//!
//! A word is a run of tokens with nothing between them in the text. A token that has no place in the
//! text, such as `</s>`, is a word of its own.

use arrow::array::{
    Array, ArrayRef, AsArray, Int32Array, ListArray, RecordBatch, StringViewArray,
    StringViewBuilder, StructArray, UInt32Array,
};
use arrow::compute::take;
use arrow::datatypes::Int32Type;
use arrow::error::ArrowError;
use whence_schemas::output;

use super::columns::text_of;
use super::nested::{lists, span, wrong};

/// The words of one example's side.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// Number of each token's word.
    pub(super) of_token: Vec<u32>,
    /// First character of each word and the one after its last; none if it has no place.
    places: Vec<Option<(i32, i32)>>,
    /// Position of each word's first token.
    first_tokens: Vec<usize>,
}

impl Words {
    /// Returns how many words there are.
    pub(super) fn count(&self) -> usize {
        self.places.len()
    }

    /// Adds a token at `place`, after those that were added before.
    fn push(&mut self, place: Option<(i32, i32)>) {
        let position = self.of_token.len();
        match (place, self.places.last_mut()) {
            (Some((start, end)), Some(Some(word))) if start <= word.1 => word.1 = word.1.max(end),
            _ => {
                self.places.push(place);
                self.first_tokens.push(position);
            }
        }
        self.of_token.push(self.places.len() as u32 - 1);
    }
}

/// The tokens of one side of all examples of a batch.
pub(super) struct Side<'a> {
    tokens: &'a ListArray,
    token_texts: &'a StringViewArray,
    place_lists: &'a ListArray,
    places: &'a StructArray,
    starts: &'a Int32Array,
    ends: &'a Int32Array,
    texts: Option<&'a StringViewArray>,
}

impl<'a> Side<'a> {
    /// Takes the columns of `side` from a batch. Its text may be missing if no word's text is asked
    /// for.
    pub(super) fn new(slots: &'a RecordBatch, side: &str) -> Result<Self, ArrowError> {
        let tokens_name = format!("{side}_tokens");
        let tokens = lists(slots, &tokens_name)?;
        let token_texts = tokens.values().as_string_view_opt();
        let name = format!("{side}_token_offsets");
        let place_lists = lists(slots, &name)?;
        let places = place_lists
            .values()
            .as_struct_opt()
            .ok_or_else(|| wrong(&name))?;
        let bound = |field: &str| -> Result<&'a Int32Array, ArrowError> {
            let values: Option<&ArrayRef> = places.column_by_name(field);
            let values = values.and_then(|values| values.as_primitive_opt::<Int32Type>());
            values.ok_or_else(|| wrong(&name))
        };
        let texts = slots.column_by_name(text_of(side));
        Ok(Self {
            tokens,
            token_texts: token_texts.ok_or_else(|| wrong(&tokens_name))?,
            place_lists,
            places,
            starts: bound(output::START)?,
            ends: bound(output::END)?,
            texts: texts.and_then(|texts| texts.as_string_view_opt()),
        })
    }

    /// Returns the words of the example at `row`.
    pub(super) fn words(&self, row: usize) -> Words {
        let mut words = Words::default();
        for index in span(self.place_lists, row) {
            let place = self.places.is_valid(index);
            words.push(place.then(|| (self.starts.value(index), self.ends.value(index))));
        }
        words
    }

    /// Appends the texts of the words of the example at `row`.
    fn append_texts(&self, row: usize, words: &Words, to: &mut StringViewBuilder) {
        let text = self.texts.filter(|texts| texts.is_valid(row));
        let text = text.map(|texts| Characters::new(texts.value(row)));
        let first = span(self.tokens, row).start;
        for (place, token) in words.places.iter().zip(&words.first_tokens) {
            let of_place = place.and_then(|place| text.as_ref()?.between(place));
            to.append_value(of_place.unwrap_or_else(|| self.token_texts.value(first + token)));
        }
    }
}

/// The texts of the words of all examples, and each row's index among them.
#[derive(Default)]
pub(super) struct WordTexts {
    texts: StringViewBuilder,
    count: u32,
    indices: Vec<u32>,
}

impl WordTexts {
    /// Adds the words of the example at `row`, and the rows that name them: `of_rows` has the number
    /// of each row's word.
    pub(super) fn add(
        &mut self,
        (side, words): (&Side, &Words),
        row: usize,
        of_rows: impl Iterator<Item = u32>,
    ) {
        self.indices.extend(of_rows.map(|word| self.count + word));
        side.append_texts(row, words, &mut self.texts);
        self.count += words.count() as u32;
    }

    /// Builds the column of the rows' texts.
    pub(super) fn build(mut self) -> Result<ArrayRef, ArrowError> {
        let texts = self.texts.finish();
        take(&texts, &UInt32Array::from(self.indices), None)
    }
}

/// A text whose characters are found by their number.
struct Characters<'a> {
    text: &'a str,
    /// Where each character starts, and the end; empty if every character is one byte.
    starts: Vec<usize>,
}

impl<'a> Characters<'a> {
    fn new(text: &'a str) -> Self {
        let starts = if text.is_ascii() {
            Vec::new()
        } else {
            let starts = text.char_indices().map(|(start, _)| start);
            starts.chain([text.len()]).collect()
        };
        Self { text, starts }
    }

    fn between(&self, (start, end): (i32, i32)) -> Option<&'a str> {
        let byte = |position: i32| {
            let position = usize::try_from(position).ok()?;
            if self.starts.is_empty() {
                Some(position)
            } else {
                self.starts.get(position).copied()
            }
        };
        self.text.get(byte(start)?..byte(end)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(places: &[Option<(i32, i32)>]) -> Words {
        let mut words = Words::default();
        for place in places {
            words.push(*place);
        }
        words
    }

    #[test]
    fn a_space_or_a_special_token_ends_a_word() {
        // `Don't go.` and `</s>`.
        let places = [Some((0, 3)), Some((3, 5)), Some((6, 8)), Some((8, 9)), None];
        let words = words(&places);
        assert_eq!(words.of_token, [0, 0, 1, 1, 2]);
        assert_eq!(words.places, [Some((0, 5)), Some((6, 9)), None]);
    }

    #[test]
    fn pieces_of_one_character_are_one_word() {
        let words = words(&[None, Some((0, 1)), Some((0, 1)), Some((0, 1)), Some((1, 2))]);
        assert_eq!(words.of_token, [0, 1, 1, 1, 1]);
    }

    #[test]
    fn characters_are_counted_not_bytes() {
        assert_eq!(Characters::new("à l'été").between((4, 7)), Some("été"));
        assert_eq!(Characters::new("a word").between((2, 6)), Some("word"));
        assert_eq!(Characters::new("été").between((2, 9)), None);
    }
}
