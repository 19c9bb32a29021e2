//! Heatmaps as a self-contained HTML page. It needs no network, and is readable without scripts.
//!
//! Each example is a section. Browsers lay out only the sections in view, so a page with a thousand
//! examples opens at once. A small script highlights the column or row that is clicked. Colors are
//! Inseq's blue and red; their opacity grows with the score, so they suit light and dark pages.

use std::io::{self, Write};

use askama::Template;
use whence_schemas::RowId;

use super::heatmap::{Heatmap, HeatmapRow, rounded};
use super::terminal::position;

/// Color (red, green, blue) of negative scores. That of positive scores is [`POSITIVE`].
const NEGATIVE: &str = "33,102,172";
const POSITIVE: &str = "178,24,43";
/// A step score with at least this absolute value is bold.
const STRONG_STEP_SCORE: f32 = 0.5;
/// Decimals shown in a cell; its tooltip shows the full value.
const DIGITS: usize = 3;

/// An HTML page that is being written.
#[derive(Debug)]
pub struct Page<W> {
    out: W,
}

/// The text above an example's heatmaps.
#[derive(Debug, Clone, Copy)]
pub struct Caption<'a> {
    /// The number of the example and of the sequence.
    pub id: RowId,
    /// The input text.
    pub input_text: &'a str,
    /// The generated or forced target text.
    pub generated_text: &'a str,
}

#[derive(Template)]
#[template(path = "page_head.html")]
struct Head<'a> {
    title: &'a str,
    facts: &'a [(&'a str, String)],
}

#[derive(Template)]
#[template(path = "page_tail.html")]
struct Tail;

/// The section of one example.
#[derive(Template)]
#[template(path = "page_example.html")]
struct Example<'a> {
    name: String,
    anchor: String,
    caption: Caption<'a>,
    heatmaps: &'a [Heatmap],
}

/// A cell of the table, with one score.
struct Cell<'a> {
    background: String,
    /// The token at the head of its column.
    column: &'a str,
    score: f32,
    text: String,
}

impl Example<'_> {
    /// Returns the cells of a row; `None` where a column has no score for this token.
    #[allow(clippy::unused_self, reason = "templates call methods")]
    fn cells<'h>(&self, row: &HeatmapRow, heatmap: &'h Heatmap) -> Vec<Option<Cell<'h>>> {
        let cells = row.scores.iter().zip(&heatmap.columns);
        cells
            .map(|(score, column)| {
                score.map(|score| Cell {
                    background: background(score, heatmap.limit),
                    column,
                    score,
                    text: rounded(score, DIGITS),
                })
            })
            .collect()
    }

    #[allow(
        clippy::unused_self,
        clippy::trivially_copy_pass_by_ref,
        reason = "templates call methods, and pass references"
    )]
    fn is_strong(&self, step_score: &f32) -> bool {
        step_score.abs() >= STRONG_STEP_SCORE
    }

    #[allow(
        clippy::unused_self,
        clippy::trivially_copy_pass_by_ref,
        reason = "templates call methods, and pass references"
    )]
    fn rounded(&self, score: &f32) -> String {
        rounded(*score, DIGITS)
    }
}

impl<W: Write> Page<W> {
    /// Begins a page called `title`. `facts` are names and values shown at its top: model, method
    /// and so on.
    pub fn begin(mut out: W, title: &str, facts: &[(&str, String)]) -> io::Result<Self> {
        Head { title, facts }.write_into(&mut out)?;
        Ok(Self { out })
    }

    /// Adds an example with its heatmaps.
    pub fn add(&mut self, caption: Caption<'_>, heatmaps: &[Heatmap]) -> io::Result<()> {
        let name = caption.id.to_string();
        let example = Example {
            anchor: name.replace(", ", "-").replace(' ', "-"),
            name,
            caption,
            heatmaps,
        };
        example.write_into(&mut self.out)
    }

    /// Writes the end of the page and returns the underlying writer.
    pub fn finish(mut self) -> io::Result<W> {
        Tail.write_into(&mut self.out)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Returns the CSS background color of a score. The larger its absolute value, the more opaque.
fn background(score: f32, limit: f32) -> String {
    let distance = 2.0 * position(score, limit) - 1.0;
    let color = if distance < 0.0 { NEGATIVE } else { POSITIVE };
    format!("rgba({color},{:.2})", distance.abs().min(1.0))
}

#[cfg(test)]
mod tests {
    use super::super::heatmap::ATTRIBUTED;
    use super::*;

    #[test]
    fn a_page_stands_alone_and_escapes_what_it_shows() {
        let heatmap = Heatmap {
            title: "Source Saliency Heatmap".to_owned(),
            legend: ATTRIBUTED,
            columns: vec!["<b>".to_owned()],
            rows: vec![HeatmapRow {
                token: "</s>".to_owned(),
                scores: vec![Some(0.25)],
            }],
            step_scores: vec![("probability".to_owned(), vec![0.875])],
            limit: 0.5,
        };
        let caption = Caption {
            id: RowId::first_of(3),
            input_text: "a < b",
            generated_text: "\"c\" & d",
        };
        let mut bytes = Vec::new();
        let mut page = Page::begin(&mut bytes, "saliency", &[("model", "m".to_owned())]).unwrap();
        page.add(caption, &[heatmap]).unwrap();
        page.finish().unwrap();
        let html = String::from_utf8(bytes).unwrap();
        assert!(html.contains("<td style=\"background:rgba(178,24,43,0.50)\" title=\"&#60;/s&#62; → &#60;b&#62;: 0.25\">0.25</td>"));
        assert!(html.contains("<td><b>0.875</b></td>"));
        assert!(html.contains("<p class=\"text\">&#34;c&#34; &#38; d</p>"));
        assert!(!html.contains("http"), "a page refers to nothing outside");
    }
}
