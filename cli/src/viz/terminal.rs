//! Draws a heatmap as a table of colored numbers, in the style that `rich` gives Inseq's tables.
//!
//! A table wider than the terminal is folded into blocks of columns, one below the other, each with
//! the row tokens beside it. Widths are measured in terminal columns, not in bytes or characters.

use std::ops::Range;

use unicode_width::UnicodeWidthStr;

use super::cell::Cell;
use super::color::Colors;
use super::heatmap::{Heatmap, rounded};

/// A step score with at least this absolute value is bold.
const STRONG_STEP_SCORE: f32 = 0.5;

/// Draws `heatmap`, folded to `width` terminal columns if a width is given. Ends with a newline.
pub fn render(heatmap: &Heatmap, width: Option<usize>, colors: Colors) -> String {
    let table = Table::new(heatmap, colors);
    let mut text = String::new();
    for block in table.blocks(width) {
        table.draw(block, &mut text);
    }
    text
}

/// A line of cells. A horizontal rule follows it if it ends a section.
struct Line {
    index: Cell,
    token: Cell,
    cells: Vec<Cell>,
    ends_section: bool,
}

struct Table {
    title: String,
    legend: &'static str,
    header: Vec<[Cell; 2]>,
    lines: Vec<Line>,
    index_width: usize,
    token_width: usize,
    widths: Vec<usize>,
}

impl Table {
    fn new(heatmap: &Heatmap, colors: Colors) -> Self {
        let header: Vec<[Cell; 2]> = heatmap
            .columns
            .iter()
            .enumerate()
            .map(|(index, token)| {
                [index.to_string(), shown(token)].map(|text| Cell::new(&text, |t| colors.bold(t)))
            })
            .collect();
        let lines = lines(heatmap, colors);
        let column = |index: usize| {
            let cells = lines.iter().filter_map(|line| line.cells.get(index));
            header[index]
                .iter()
                .chain(cells)
                .map(|cell| cell.width)
                .max()
                .unwrap_or_default()
        };
        let widest = |cell: fn(&Line) -> &Cell| {
            let widths = lines.iter().map(|line| cell(line).width);
            widths.max().unwrap_or_default()
        };
        Self {
            title: heatmap.title.clone(),
            legend: heatmap.legend,
            index_width: widest(|line| &line.index),
            token_width: widest(|line| &line.token),
            widths: (0..header.len()).map(column).collect(),
            header,
            lines,
        }
    }

    /// Returns the columns of each block, chosen so that the block fits into `width`. A block has
    /// at least one column, even if that is too wide.
    fn blocks(&self, width: Option<usize>) -> Vec<Range<usize>> {
        let all = 0..self.widths.len();
        let Some(width) = width else {
            return vec![all];
        };
        let beside = self.width(0..0);
        let mut blocks = Vec::new();
        let (mut start, mut used) = (0, beside);
        for column in all.clone() {
            let needed = self.widths[column] + 3;
            if used + needed > width && column > start {
                blocks.push(start..column);
                (start, used) = (column, beside);
            }
            used += needed;
        }
        blocks.push(start..all.end);
        blocks
    }

    /// Returns the width of a block. Each cell has a blank on both sides and a vertical line after
    /// it, which makes 3 columns; one more line begins the row.
    fn width(&self, block: Range<usize>) -> usize {
        let cells: usize = self.widths[block].iter().map(|width| width + 3).sum();
        1 + self.index_width + 3 + self.token_width + 3 + cells
    }

    fn draw(&self, block: Range<usize>, text: &mut String) {
        let width = self.width(block.clone());
        let mut push = |line: &str| {
            text.push_str(line.trim_end());
            text.push('\n');
        };
        push(&centered(&self.title, width));
        push(&self.rule(block.clone(), ["┏", "━", "┳", "┓"]));
        for part in 0..2 {
            let cells = block.clone().map(|column| {
                let cell = &self.header[column][part];
                cell.centered(self.widths[column])
            });
            let beside = [self.index_width, self.token_width].map(|width| " ".repeat(width));
            push(&joined(beside.into_iter().chain(cells), "┃"));
        }
        push(&self.rule(block.clone(), ["┡", "━", "╇", "┩"]));
        for (number, line) in self.lines.iter().enumerate() {
            let cells = block
                .clone()
                .map(|column| line.cells[column].centered(self.widths[column]));
            let beside = [
                line.index.right(self.index_width),
                line.token.right(self.token_width),
            ];
            push(&joined(beside.into_iter().chain(cells), "│"));
            if line.ends_section && number + 1 < self.lines.len() {
                push(&self.rule(block.clone(), ["├", "─", "┼", "┤"]));
            }
        }
        push(&self.rule(block, ["└", "─", "┴", "┘"]));
        push(&centered(self.legend, width));
    }

    fn rule(&self, block: Range<usize>, [left, line, cross, right]: [&str; 4]) -> String {
        let widths = [self.index_width, self.token_width]
            .into_iter()
            .chain(self.widths[block].iter().copied());
        let parts: Vec<_> = widths.map(|width| line.repeat(width + 2)).collect();
        format!("{left}{}{right}", parts.join(cross))
    }
}

fn lines(heatmap: &Heatmap, colors: Colors) -> Vec<Line> {
    let score = |score: &Option<f32>| match score {
        Some(score) => Cell::new(&rounded(*score, 2), |text| {
            colors.paint(text, position(*score, heatmap.limit))
        }),
        None => Cell::default(),
    };
    let bold = |text: &str| Cell::new(text, |text| colors.bold(text));
    let last = heatmap.rows.len().saturating_sub(1);
    let rows = heatmap.rows.iter().enumerate().map(|(index, row)| Line {
        index: bold(&index.to_string()),
        token: bold(&shown(&row.token)),
        cells: row.scores.iter().map(score).collect(),
        ends_section: index == last,
    });
    let step_score = |value: &f32| {
        let text = format!("{value:.2}");
        if value.abs() >= STRONG_STEP_SCORE {
            bold(&text)
        } else {
            Cell::plain(&text)
        }
    };
    let step_scores = heatmap.step_scores.iter().map(|(name, values)| Line {
        index: Cell::default(),
        token: bold(name),
        cells: values.iter().map(step_score).collect(),
        ends_section: true,
    });
    rows.chain(step_scores).collect()
}

/// Returns the position of a score on the color map: 0 for `-limit`, 0.5 for zero, 1 for `limit`.
/// If the limit is zero, so is every score, and the position is 0.5.
pub(super) fn position(score: f32, limit: f32) -> f64 {
    if limit > 0.0 {
        f64::midpoint(f64::from(score) / f64::from(limit), 1.0)
    } else {
        0.5
    }
}

/// Returns a token as a single printable line. Control characters, which could move the cursor and
/// break the table, are escaped.
fn shown(token: &str) -> String {
    token
        .chars()
        .flat_map(|c| {
            let is_control = c.is_control();
            let written = is_control.then(|| c.escape_default());
            written
                .into_iter()
                .flatten()
                .chain((!is_control).then_some(c))
        })
        .collect()
}

fn joined(cells: impl Iterator<Item = String>, line: &str) -> String {
    let cells: Vec<_> = cells.collect();
    format!("{line} {} {line}", cells.join(&format!(" {line} ")))
}

fn centered(text: &str, width: usize) -> String {
    let free = width.saturating_sub(text.width());
    format!("{}{text}", " ".repeat(free / 2))
}

#[cfg(test)]
mod tests {
    use super::super::heatmap::{ATTRIBUTED, HeatmapRow};
    use super::*;

    fn heatmap() -> Heatmap {
        let row = |token: &str, scores: &[Option<f32>]| HeatmapRow {
            token: token.to_owned(),
            scores: scores.to_vec(),
        };
        Heatmap {
            title: "Target Saliency Heatmap".to_owned(),
            legend: ATTRIBUTED,
            columns: vec!["Ġon".to_owned(), "Ġthe".to_owned()],
            rows: vec![
                row("the", &[Some(0.387), Some(0.2)]),
                row("Ġon", &[None, Some(0.3)]),
            ],
            step_scores: vec![("probability".to_owned(), vec![0.001, 0.75])],
            limit: 0.387,
        }
    }

    #[test]
    fn the_table_is_the_one_inseq_draws() {
        let expected = "     Target Saliency Heatmap
┏━━━┳━━━━━━━━━━━━━┳━━━━━━┳━━━━━━┓
┃   ┃             ┃  0   ┃  1   ┃
┃   ┃             ┃ Ġon  ┃ Ġthe ┃
┡━━━╇━━━━━━━━━━━━━╇━━━━━━╇━━━━━━┩
│ 0 │         the │ 0.39 │ 0.2  │
│ 1 │         Ġon │      │ 0.3  │
├───┼─────────────┼──────┼──────┤
│   │ probability │ 0.00 │ 0.75 │
└───┴─────────────┴──────┴──────┘
";
        let drawn = render(&heatmap(), None, Colors::None);
        assert_eq!(
            drawn.strip_suffix(&format!("{ATTRIBUTED}\n")),
            Some(expected)
        );
    }

    #[test]
    fn a_wide_table_is_folded() {
        let drawn = render(&heatmap(), Some(27), Colors::None);
        assert_eq!(drawn.matches("probability").count(), 2);
        let table_lines = drawn.lines().filter(|line| line.contains(['│', '┃', '━']));
        assert!(table_lines.into_iter().all(|line| line.width() <= 27));
    }

    #[test]
    fn wide_glyphs_and_control_characters_keep_the_lines_straight() {
        let mut heatmap = heatmap();
        heatmap.columns[0] = "日本".to_owned();
        heatmap.rows[0].token = "a\nb".to_owned();
        let drawn = render(&heatmap, None, Colors::None);
        let table_lines = drawn.lines().filter(|line| line.contains(['│', '┃']));
        let widths: Vec<_> = table_lines.map(UnicodeWidthStr::width).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{drawn}");
        assert!(drawn.contains("a\\nb"));
    }

    #[test]
    fn color_changes_no_letter() {
        let plain = render(&heatmap(), None, Colors::None);
        for colors in [Colors::Sixteen, Colors::Palette, Colors::True] {
            let painted = render(&heatmap(), None, colors);
            assert_eq!(console::strip_ansi_codes(&painted), plain);
            assert_ne!(painted, plain);
        }
    }
}
