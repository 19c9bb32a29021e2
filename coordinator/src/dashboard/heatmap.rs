//! The heatmaps of a row of the attribution table, as tables of cells.
//!
//! A page must not have styles of its own, so a cell names one of the tints of the style sheet.

use arrow::array::{Array, AsArray, ListArray, RecordBatch, StructArray};
use arrow::datatypes::Float32Type;
use whence_schemas::output;

/// Tints of each sign, from the color of the paper to the strongest one.
const TINTS: f32 = 10.0;
/// Cells of a table, at most. More would not be read by anybody, and a browser would be slow.
const MOST_CELLS: usize = 40_000;

/// One table: a row per attributed token, a column per step.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Heatmap {
    pub(super) title: &'static str,
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<(String, Vec<Cell>)>,
}

/// A score.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell {
    /// Two digits; empty where the token comes after the step.
    pub(super) text: String,
    /// Class of its tint: `p7`, `n3`; empty for none.
    pub(super) tint: String,
}

/// Makes the heatmaps of a row. Fails with the reason if its scores cannot be drawn.
pub(super) fn of_row(batch: &RecordBatch, row: usize) -> Result<Vec<Heatmap>, String> {
    let missing = || "This table has no heatmaps; use `whence sql`.".to_owned();
    let list = |name: &str| {
        let column = batch.column_by_name(name);
        column.and_then(|column| column.as_list_opt::<i32>())
    };
    let steps = list(output::STEPS).filter(|steps| steps.is_valid(row));
    let steps = steps.ok_or_else(missing)?.value(row);
    let steps = steps.as_struct_opt().ok_or_else(missing)?;
    let columns = texts(steps.column_by_name(output::TOKEN)).ok_or_else(missing)?;
    let tokens = |name: &str| {
        let tokens = list(name).filter(|tokens| tokens.is_valid(row));
        tokens.and_then(|tokens| texts(Some(&tokens.value(row))))
    };
    let sides = [
        (
            "Source",
            output::SOURCE_SCORES,
            tokens(output::SOURCE_TOKENS),
        ),
        (
            "Prefix",
            output::TARGET_SCORES,
            tokens(output::TARGET_TOKENS),
        ),
    ];
    let sides = sides.map(|(title, name, tokens)| (title, scores(steps, name), tokens));
    let all = sides
        .iter()
        .flat_map(|(_, scores, _)| scores.iter().flatten());
    let limit = all
        .flatten()
        .map(|score| score.abs())
        .filter(|size| size.is_finite())
        .fold(0.0, f32::max);
    let mut heatmaps = Vec::new();
    for (title, scores, tokens) in sides {
        let Some((scores, tokens)) = scores.zip(tokens) else {
            continue;
        };
        heatmaps.push(Heatmap {
            title,
            rows: rows_of(&scores, tokens, limit)?,
            columns: columns.clone(),
        });
    }
    Ok(heatmaps)
}

/// The scores of each step.
type Scores = Vec<Vec<f32>>;

fn texts(column: Option<&arrow::array::ArrayRef>) -> Option<Vec<String>> {
    let column = column?.as_string_opt::<i32>()?;
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    Some(column.iter().map(text).collect())
}

/// Returns the scores of one side; `None` if no step has any.
fn scores(steps: &StructArray, name: &str) -> Option<Scores> {
    let lists: &ListArray = steps.column_by_name(name)?.as_list_opt()?;
    let of_step = |step: usize| {
        let list = lists.is_valid(step).then(|| lists.value(step))?;
        let values = list.as_primitive_opt::<Float32Type>()?.values().to_vec();
        Some(values)
    };
    let scores: Vec<_> = (0..lists.len()).map(of_step).collect();
    let has_any = scores.iter().any(Option::is_some);
    has_any.then(|| scores.into_iter().map(Option::unwrap_or_default).collect())
}

/// Returns a row per token, up to the last one that has a score.
fn rows_of(
    scores: &Scores,
    tokens: Vec<String>,
    limit: f32,
) -> Result<Vec<(String, Vec<Cell>)>, String> {
    let longest = scores.iter().map(Vec::len).max().unwrap_or_default();
    if longest > tokens.len() {
        return Err(
            "Its scores are not reduced to one per token; aggregate the job to see them."
                .to_owned(),
        );
    }
    if longest * scores.len() > MOST_CELLS {
        return Err(format!(
            "It has {longest} × {} scores, too many for a page; use `whence show`.",
            scores.len()
        ));
    }
    let row = |(index, token): (usize, String)| {
        let of_step = |scores: &Vec<f32>| cell(scores.get(index).copied(), limit);
        (token, scores.iter().map(of_step).collect())
    };
    Ok(tokens
        .into_iter()
        .take(longest)
        .enumerate()
        .map(row)
        .collect())
}

fn cell(score: Option<f32>, limit: f32) -> Cell {
    let Some(score) = score else {
        return Cell {
            text: String::new(),
            tint: String::new(),
        };
    };
    let share = if limit > 0.0 && !score.is_nan() {
        (score / limit).clamp(-1.0, 1.0)
    } else {
        0.0
    };
    let level = (share.abs() * TINTS).round() as u32;
    let sign = if share < 0.0 { 'n' } else { 'p' };
    Cell {
        text: format!("{score:.2}"),
        tint: if level == 0 {
            String::new()
        } else {
            format!("{sign}{level}")
        },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, Float32Builder, Int32Array, ListBuilder, StringArray, new_null_array,
    };
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::{DataType, Field, Fields, Schema};

    use super::*;

    fn tokens(texts: &[&str]) -> ArrayRef {
        let values = Arc::new(StringArray::from(texts.to_vec()));
        let offsets = OffsetBuffer::from_lengths([texts.len()]);
        Arc::new(ListArray::new(
            output::element(DataType::Utf8),
            offsets,
            values,
            None,
        ))
    }

    fn lists(scores: &[&[f32]]) -> ArrayRef {
        let mut builder =
            ListBuilder::new(Float32Builder::new()).with_field(output::element(DataType::Float32));
        for scores in scores {
            builder.values().append_slice(scores);
            builder.append(true);
        }
        Arc::new(builder.finish())
    }

    /// Returns a row of two steps whose prefix has these scores.
    fn row(target: &[&[f32]]) -> RecordBatch {
        let fields = output::step_fields(&[]);
        let column = |field: &Arc<Field>| -> ArrayRef {
            match field.name().as_str() {
                output::TOKEN => Arc::new(StringArray::from(vec!["c", "d"])),
                output::TARGET_SCORES => lists(target),
                _ if field.is_nullable() => new_null_array(field.data_type(), 2),
                output::STEP | output::TARGET_POS | output::TOKEN_ID => {
                    Arc::new(Int32Array::from(vec![0, 1]))
                }
                name => panic!("{name}"),
            }
        };
        let columns = fields.iter().map(column).collect();
        let steps: ArrayRef = Arc::new(StructArray::new(fields.clone(), columns, None));
        let steps = ListArray::new(
            output::element(DataType::Struct(fields)),
            OffsetBuffer::from_lengths([2]),
            steps,
            None,
        );
        let columns: Vec<(&str, ArrayRef)> = vec![
            (output::TARGET_TOKENS, tokens(&["a", "b", "c", "d"])),
            (output::STEPS, Arc::new(steps)),
        ];
        let fields = columns
            .iter()
            .map(|(name, column)| Field::new(*name, column.data_type().clone(), true));
        let schema = Schema::new(fields.collect::<Fields>());
        let columns = columns.into_iter().map(|(_, column)| column).collect();
        RecordBatch::try_new(Arc::new(schema), columns).unwrap()
    }

    #[test]
    fn cells_have_the_tint_of_their_part_of_the_largest_score() {
        let heatmaps = of_row(&row(&[&[0.5, -1.0], &[0.0, 0.25, f32::NAN]]), 0).unwrap();
        let [prefix] = &heatmaps[..] else {
            panic!("only the prefix has scores");
        };
        assert_eq!(
            (prefix.title, &prefix.columns[..]),
            ("Prefix", &["c".to_owned(), "d".to_owned()][..])
        );
        let cells: Vec<_> = prefix
            .rows
            .iter()
            .map(|(token, cells)| {
                let cells = cells
                    .iter()
                    .map(|cell| (cell.text.as_str(), cell.tint.as_str()));
                (token.as_str(), cells.collect::<Vec<_>>())
            })
            .collect();
        assert_eq!(
            cells,
            [
                ("a", vec![("0.50", "p5"), ("0.00", "")]),
                ("b", vec![("-1.00", "n10"), ("0.25", "p3")]),
                ("c", vec![("", ""), ("NaN", "")]),
            ]
        );
    }

    #[test]
    fn what_cannot_be_drawn_says_why() {
        let raw = of_row(&row(&[&[0.5; 9], &[0.5; 9]]), 0).unwrap_err();
        assert!(raw.contains("one per token"), "{raw}");
        let schema = Arc::new(Schema::new(Vec::<Field>::new()));
        let other = of_row(&RecordBatch::new_empty(schema), 0).unwrap_err();
        assert!(other.contains("no heatmaps"), "{other}");
    }
}
