//! The line below heatmaps that says what the colors mean.

use super::style::Style;
use crate::viz::color::Colors;
use crate::viz::heatmap::{ColorScale, Heatmap, rounded};

/// Number of colored cells on each side of zero.
const CELLS: i32 = 4;

/// Returns the legend of the heatmaps of one example, with a newline; nothing where there are no
/// colors to explain.
pub(super) fn line(heatmaps: &[Heatmap], style: &Style) -> String {
    let has_scores = heatmaps.iter().any(|heatmap| !heatmap.rows.is_empty());
    if style.colors == Colors::None || !has_scores {
        return String::new();
    }
    let limit = match heatmaps {
        [one] if style.scale == ColorScale::Table => one.limits(style.scale).first().copied(),
        [first, ..] if style.scale == ColorScale::Example => Some(first.example_limit),
        _ => None,
    };
    let end = |sign: &str, otherwise: &str| match limit {
        Some(limit) => format!("{sign}{}", rounded(limit, 2)),
        None => otherwise.to_owned(),
    };
    let cells = |from: i32, to: i32| -> String {
        let share = |cell: i32| f64::from(cell) / f64::from(CELLS);
        let cells = (from..=to).filter(|cell| *cell != 0);
        cells
            .map(|cell| style.colors.paint("  ", share(cell)))
            .collect()
    };
    let negative = heatmaps.iter().any(Heatmap::has_negative);
    let cold = negative.then(|| format!("{} {} ", end("-", "lowest"), cells(-CELLS, -1)));
    format!(
        "{}0 {} {}, one scale per {}\n",
        cold.unwrap_or_default(),
        cells(1, CELLS),
        end("", "highest"),
        match style.scale {
            ColorScale::Example => "example",
            ColorScale::Table => "table",
            ColorScale::Column => "column",
        }
    )
}

#[cfg(test)]
mod tests {
    use super::super::style::{TokenText, View};
    use super::*;
    use crate::viz::color::Theme;
    use crate::viz::heatmap::{Axes, Column, HeatmapRow};
    use crate::viz::label::Label;

    #[test]
    fn a_legend_names_the_ends_of_the_scale() {
        let heatmap = |score: f32| Heatmap {
            title: String::new(),
            axes: Axes::Prefix,
            columns: vec![Column {
                token: Label::of_raw("c"),
                contrast: None,
                row: None,
            }],
            rows: vec![HeatmapRow {
                token: Label::of_raw("r"),
                scores: vec![Some(score)],
            }],
            step_scores: Vec::new(),
            example_limit: 0.5,
        };
        let legend = |score: f32, colors: Colors, scale: ColorScale| {
            let style = Style {
                view: View::Matrix,
                width: None,
                colors,
                scale,
                tokens: TokenText::Decoded,
            };
            let line = line(&[heatmap(score)], &style);
            console::strip_ansi_codes(&line).into_owned()
        };
        let dark = Colors::True(Theme::Dark);
        assert_eq!(
            legend(0.25, dark, ColorScale::Example),
            "0          0.5, one scale per example\n"
        );
        assert_eq!(
            legend(-0.25, dark, ColorScale::Table),
            "-0.25          0          0.25, one scale per table\n"
        );
        assert_eq!(
            legend(0.25, dark, ColorScale::Column),
            "0          highest, one scale per column\n"
        );
        assert_eq!(legend(0.25, Colors::None, ColorScale::Example), "");
    }
}
