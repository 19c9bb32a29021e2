//! Unnests what depends on a context: `context_sensitive_tokens` and `context_attributions`.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Float32Array, Int32Array, ListArray, RecordBatch, UInt32Array,
};
use arrow::compute::take;
use arrow::datatypes::{Int32Type, SchemaRef};
use arrow::error::ArrowError;
use whence_schemas::context_output::{
    self, CTI_SCORES, CUES, INPUT_CONTEXT_TOKENS, OUTPUT_CONTEXT_TOKENS, OUTPUT_TOKENS,
    TokenColumns,
};
use whence_schemas::output;

use super::nested::{Elements, span, wrong};
use super::positions::{Tokens, strength_order};
use super::rows::{LongRows, constant};

/// The column that names a context.
pub(super) const CONTEXT: &str = "context";

/// One of the two contexts of an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Context {
    Input,
    Output,
}

impl Context {
    pub(super) const ALL: [Self; 2] = [Self::Input, Self::Output];

    /// Returns the context that [`Self::name`] returns `name` for.
    pub(super) fn named(name: &str) -> Self {
        if name == Self::Input.name() {
            Self::Input
        } else {
            Self::Output
        }
    }

    /// Returns its name in the column [`CONTEXT`].
    pub(super) fn name(self) -> String {
        match self {
            Self::Input => "input".to_owned(),
            Self::Output => "output".to_owned(),
        }
    }

    /// Returns the columns with its tokens.
    pub(super) fn tokens(self) -> TokenColumns {
        match self {
            Self::Input => INPUT_CONTEXT_TOKENS,
            Self::Output => OUTPUT_CONTEXT_TOKENS,
        }
    }

    /// Returns the field of a context-sensitive token with the scores of its tokens.
    pub(super) fn scores(self) -> &'static str {
        match self {
            Self::Input => context_output::INPUT_CONTEXT_SCORES,
            Self::Output => context_output::OUTPUT_CONTEXT_SCORES,
        }
    }

    /// Returns the field of a context-sensitive token with the positions of its cues.
    pub(super) fn cues(self) -> &'static str {
        match self {
            Self::Input => context_output::INPUT_CUES,
            Self::Output => context_output::OUTPUT_CUES,
        }
    }
}

/// Returns one row per context-sensitive token.
pub(super) fn unnest_tokens(
    slots: &RecordBatch,
    schema: &SchemaRef,
) -> Result<RecordBatch, ArrowError> {
    let cues = Elements::new(slots, CUES)?;
    let (mut examples, mut indices, mut ranks) = (Vec::new(), Vec::new(), Vec::new());
    for example in 0..slots.num_rows() {
        let of_example = cues.of(example);
        examples.resize(examples.len() + of_example.len(), example as u32);
        ranks.extend(1..=of_example.len() as i32);
        indices.extend(of_example.map(|index| index as u32));
    }
    let (examples, indices) = (UInt32Array::from(examples), UInt32Array::from(indices));
    let ranks = Int32Array::from(ranks);
    let positions = positions(&cues, &indices)?;
    let tokens = Tokens {
        slots,
        examples: &examples,
        positions: &positions,
    };
    let own = |name: &str| -> Result<Option<ArrayRef>, ArrowError> {
        Ok(Some(match name {
            "position" => Arc::new(positions.clone()),
            "token" => tokens.values(OUTPUT_TOKENS.texts)?,
            "token_id" => tokens.values(OUTPUT_TOKENS.ids)?,
            "char_start" => tokens.places(OUTPUT_TOKENS.offsets, output::START)?,
            "char_end" => tokens.places(OUTPUT_TOKENS.offsets, output::END)?,
            "score" => tokens.values(CTI_SCORES)?,
            "rank" => Arc::new(ranks.clone()),
            _ => return Ok(None),
        }))
    };
    let rows = LongRows {
        slots,
        examples: &examples,
        elements: Some((cues.all, &indices)),
    };
    rows.build(schema, own)
}

/// Returns one row per context-sensitive token and token of `context`.
pub(super) fn unnest_scores(
    slots: &RecordBatch,
    context: Context,
    schema: &SchemaRef,
) -> Result<RecordBatch, ArrowError> {
    let cues = Elements::new(slots, CUES)?;
    let scores = cues.scores(context.scores())?;
    let selected = match schema.column_with_name("is_cue") {
        Some(_) => Some(Selected::new(&cues, context)?),
        None => None,
    };
    let mut found = Found::default();
    for example in 0..slots.num_rows() {
        for index in cues.of(example) {
            let cues_of_token = selected.as_ref().map(|selected| selected.of(index));
            found.add((example, index), scores.of(index), cues_of_token);
        }
    }
    found.build(slots, &cues, context, schema)
}

/// Returns the position in the output of each context-sensitive token that is indexed.
fn positions(cues: &Elements, indices: &UInt32Array) -> Result<Int32Array, ArrowError> {
    let name = context_output::TOKEN_INDEX;
    let positions = take(cues.field(name)?, indices, None)?;
    let positions = positions.as_primitive_opt::<Int32Type>();
    Ok(positions.ok_or_else(|| wrong(name))?.clone())
}

/// The positions of the cues of each context-sensitive token.
struct Selected<'a> {
    lists: &'a ListArray,
    positions: &'a [i32],
}

impl<'a> Selected<'a> {
    fn new(cues: &Elements<'a>, context: Context) -> Result<Self, ArrowError> {
        let name = context.cues();
        let lists: &ListArray = cues.field(name)?.as_list_opt().ok_or_else(|| wrong(name))?;
        let positions = lists.values().as_primitive_opt::<Int32Type>();
        let positions = positions.ok_or_else(|| wrong(name))?.values();
        Ok(Self { lists, positions })
    }

    fn of(&self, index: usize) -> &'a [i32] {
        &self.positions[span(self.lists, index)]
    }
}

/// The scores found so far, column by column.
#[derive(Default)]
struct Found {
    examples: Vec<u32>,
    /// Index of the context-sensitive token.
    indices: Vec<u32>,
    positions: Vec<i32>,
    scores: Vec<f32>,
    ranks: Vec<i32>,
    are_cues: Vec<bool>,
    /// Reused for each list of scores.
    order: Vec<u32>,
}

impl Found {
    fn add(&mut self, (example, index): (usize, usize), scores: &[f32], cues: Option<&[i32]>) {
        let first = self.scores.len();
        let end = first + scores.len();
        self.examples.resize(end, example as u32);
        self.indices.resize(end, index as u32);
        self.positions.extend(0..scores.len() as i32);
        self.scores.extend_from_slice(scores);
        self.ranks.resize(end, 0);
        strength_order(scores, &mut self.order);
        for (place, position) in self.order.iter().enumerate() {
            self.ranks[first + *position as usize] = place as i32 + 1;
        }
        self.are_cues.resize(end, false);
        for position in cues.into_iter().flatten() {
            self.are_cues[first + *position as usize] = true;
        }
    }

    fn build(
        self,
        slots: &RecordBatch,
        cues: &Elements,
        context: Context,
        schema: &SchemaRef,
    ) -> Result<RecordBatch, ArrowError> {
        let examples = UInt32Array::from(self.examples);
        let indices = UInt32Array::from(self.indices);
        let source_positions = Int32Array::from(self.positions);
        let target_positions = positions(cues, &indices)?;
        let scores = Float32Array::from(self.scores);
        let ranks = Int32Array::from(self.ranks);
        let are_cues = BooleanArray::from(self.are_cues);
        let tokens_at = |positions| Tokens {
            slots,
            examples: &examples,
            positions,
        };
        let sources = tokens_at(&source_positions);
        let targets = tokens_at(&target_positions);
        let TokenColumns { texts, offsets, .. } = context.tokens();
        let own = |name: &str| -> Result<Option<ArrayRef>, ArrowError> {
            Ok(Some(match name {
                CONTEXT => constant(&context.name(), examples.len()),
                "target_position" => Arc::new(target_positions.clone()),
                "target_token" => targets.values(OUTPUT_TOKENS.texts)?,
                "source_position" => Arc::new(source_positions.clone()),
                "source_token" => sources.values(texts)?,
                "source_start" => sources.places(offsets, output::START)?,
                "source_end" => sources.places(offsets, output::END)?,
                "score" => Arc::new(scores.clone()),
                "rank" => Arc::new(ranks.clone()),
                "is_cue" => Arc::new(are_cues.clone()),
                _ => return Ok(None),
            }))
        };
        let rows = LongRows {
            slots,
            examples: &examples,
            elements: Some((cues.all, &indices)),
        };
        rows.build(schema, own)
    }
}
