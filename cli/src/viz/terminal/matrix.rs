//! Draws a heatmap as a table of colored numbers.
//!
//! A table wider than the terminal is folded into blocks of columns, one below the other, each with
//! the row tokens beside it. Widths are measured in terminal columns, not in bytes or characters.

use std::ops::Range;

use unicode_width::UnicodeWidthStr;

use super::cell::{Cell, shortened};
use super::style::Style;
use crate::viz::color::Colors;
use crate::viz::heatmap::{Heatmap, rounded, share};

/// A step score with at least this absolute value is bold.
const STRONG_STEP_SCORE: f32 = 0.5;

/// The widest token where lines are folded, as a share of the line: 1 / 3.
const WIDEST_TOKEN: usize = 3;

/// Draws `heatmap`. Ends with a newline.
pub(super) fn draw(heatmap: &Heatmap, style: &Style) -> String {
    let table = Table::new(heatmap, style);
    let mut text = String::new();
    for block in table.blocks(style.width) {
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
    colors: Colors,
    header: Vec<[Cell; 2]>,
    lines: Vec<Line>,
    index_width: usize,
    token_width: usize,
    widths: Vec<usize>,
}

impl Table {
    fn new(heatmap: &Heatmap, style: &Style) -> Self {
        let columns = heatmap.columns.iter().enumerate();
        let header: Vec<[Cell; 2]> = columns
            .map(|(index, column)| {
                let token = column.heading(|label| style.tokens.of(label));
                [index.to_string(), fitting(&token, style)].map(|text| Cell::bold(&text))
            })
            .collect();
        let lines = lines(heatmap, style);
        let column = |index: usize| {
            let cells = lines.iter().filter_map(|line| line.cells.get(index));
            let cells = header[index].iter().chain(cells);
            cells.map(|cell| cell.width).max().unwrap_or_default()
        };
        let widest = |cell: fn(&Line) -> &Cell| {
            let widths = lines.iter().map(|line| cell(line).width);
            widths.max().unwrap_or_default()
        };
        Self {
            title: heatmap.title.clone(),
            legend: heatmap.axes.legend(),
            colors: style.colors,
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
                cell.centered(self.widths[column], self.colors)
            });
            let beside = [self.index_width, self.token_width].map(|width| " ".repeat(width + 2));
            push(&joined(beside.into_iter().chain(cells), "┃"));
        }
        push(&self.rule(block.clone(), ["┡", "━", "╇", "┩"]));
        for (number, line) in self.lines.iter().enumerate() {
            let cells = (block.clone())
                .map(|column| line.cells[column].centered(self.widths[column], self.colors));
            let beside = [
                line.index.right(self.index_width, self.colors),
                line.token.right(self.token_width, self.colors),
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

fn lines(heatmap: &Heatmap, style: &Style) -> Vec<Line> {
    let limits = heatmap.limits(style.scale);
    let score = |(score, limit): (&Option<f32>, &f32)| match score {
        Some(score) => Cell::shaded(&rounded(*score, 2), share(*score, *limit)),
        None => Cell::default(),
    };
    let last = heatmap.rows.len().saturating_sub(1);
    let rows = heatmap.rows.iter().enumerate().map(|(index, row)| Line {
        index: Cell::bold(&index.to_string()),
        token: Cell::bold(&fitting(&style.tokens.of(&row.token), style)),
        cells: row.scores.iter().zip(&limits).map(score).collect(),
        ends_section: index == last,
    });
    let step_score = |value: &f32| {
        let text = format!("{value:.2}");
        if value.abs() >= STRONG_STEP_SCORE {
            Cell::bold(&text)
        } else {
            Cell::plain(&text)
        }
    };
    let step_scores = heatmap.step_scores.iter().map(|(name, values)| Line {
        index: Cell::default(),
        token: Cell::bold(name),
        cells: values.iter().map(step_score).collect(),
        ends_section: true,
    });
    rows.chain(step_scores).collect()
}

/// Shortens a token so that it leaves room for others on its line. Where lines are not folded, nothing
/// is shortened.
fn fitting(token: &str, style: &Style) -> String {
    match style.width {
        Some(width) => shortened(token, (width / WIDEST_TOKEN).max(8)),
        None => token.to_owned(),
    }
}

fn joined(cells: impl Iterator<Item = String>, line: &str) -> String {
    let cells: Vec<_> = cells.collect();
    format!("{line}{}{line}", cells.join(line))
}

fn centered(text: &str, width: usize) -> String {
    let free = width.saturating_sub(text.width());
    format!("{}{text}", " ".repeat(free / 2))
}

#[cfg(test)]
mod tests {
    use super::super::style::{TokenText, View};
    use super::*;
    use crate::viz::color::Theme;
    use crate::viz::heatmap::{Axes, ColorScale, Column, HeatmapRow};
    use crate::viz::label::Label;

    fn heatmap() -> Heatmap {
        let row = |token: &str, scores: &[Option<f32>]| HeatmapRow {
            token: label(token),
            scores: scores.to_vec(),
        };
        let column = |text: &str| Column {
            token: label(text),
            contrast: None,
            row: None,
        };
        Heatmap {
            title: "Target Saliency Heatmap".to_owned(),
            axes: Axes::Prefix,
            columns: vec![column("Ġon"), column("Ġthe")],
            rows: vec![
                row("the", &[Some(0.387), Some(0.2)]),
                row("Ġon", &[None, Some(0.3)]),
            ],
            step_scores: vec![("probability".to_owned(), vec![0.001, 0.75])],
            example_limit: 0.387,
        }
    }

    fn label(text: &str) -> Label {
        Label::of_raw(text)
    }

    fn style(width: Option<usize>, colors: Colors) -> Style {
        Style {
            view: View::Matrix,
            width,
            colors,
            scale: ColorScale::Example,
            tokens: TokenText::Decoded,
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
→ : Generated tokens, ↓ : Attributed tokens
";
        assert_eq!(draw(&heatmap(), &style(None, Colors::None)), expected);
    }

    #[test]
    fn a_wide_table_is_folded() {
        let drawn = draw(&heatmap(), &style(Some(27), Colors::None));
        assert_eq!(drawn.matches("probability").count(), 2);
        let table_lines = drawn.lines().filter(|line| line.contains(['│', '┃', '━']));
        assert!(table_lines.into_iter().all(|line| line.width() <= 27));
    }

    #[test]
    fn wide_glyphs_and_control_characters_keep_the_lines_straight() {
        let mut heatmap = heatmap();
        heatmap.columns[0].token = label("日本");
        heatmap.rows[0].token = label("a\nb");
        let drawn = draw(&heatmap, &style(None, Colors::None));
        let table_lines = drawn.lines().filter(|line| line.contains(['│', '┃']));
        let widths: Vec<_> = table_lines.map(UnicodeWidthStr::width).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{drawn}");
        assert!(drawn.contains("a\\nb"));
    }

    #[test]
    fn a_long_token_leaves_room_for_the_scores() {
        let mut heatmap = heatmap();
        heatmap.rows[0].token = label(&"日本".repeat(40));
        let drawn = draw(&heatmap, &style(Some(60), Colors::None));
        assert!(drawn.contains("日本日本日本日本日…"), "{drawn}");
        let table_lines = drawn.lines().filter(|line| line.contains(['│', '┃', '━']));
        assert!(table_lines.into_iter().all(|line| line.width() <= 60));
        let whole = draw(&heatmap, &style(None, Colors::None));
        assert!(!whole.contains('…'), "nothing is cut in a pipe");
    }

    #[test]
    fn color_changes_no_letter() {
        let plain = draw(&heatmap(), &style(None, Colors::None));
        let all =
            [Theme::Light, Theme::Dark].map(|theme| [Colors::Palette(theme), Colors::True(theme)]);
        for colors in all.concat().into_iter().chain([Colors::Sixteen]) {
            let painted = draw(&heatmap(), &style(None, colors));
            assert_eq!(console::strip_ansi_codes(&painted), plain);
            assert_ne!(painted, plain);
        }
    }
}
