//! Heatmaps as one HTML page that needs nothing else: no network, no script to be readable.
//!
//! Each example is a section; browsers lay out only those in view, so that a page of a thousand
//! examples opens at once. A small script marks the column or row that is clicked. Colours are
//! Inseq's blue and red, whose strength is their opacity, so that they suit a light and a dark page.

use std::fmt::Write as _;
use std::io::{self, Write};

use whence_schemas::RowId;

use super::heatmap::{Heatmap, rounded};
use super::terminal::position;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Colours of the most negative and the most positive score.
const NEGATIVE: &str = "33,102,172";
const POSITIVE: &str = "178,24,43";
/// A step score at least this far from zero is bold.
const STRONG_STEP_SCORE: f32 = 0.5;

/// A page that is being written.
#[derive(Debug)]
pub struct Page<W> {
    out: W,
}

/// What stands above an example's heatmaps.
#[derive(Debug, Clone, Copy)]
pub struct Caption<'a> {
    /// Example and sequence.
    pub id: RowId,
    /// The input text.
    pub input_text: &'a str,
    /// The target text.
    pub generated_text: &'a str,
}

impl<W: Write> Page<W> {
    /// Begins a page called `title`; `facts` say where its numbers come from.
    pub fn begin(mut out: W, title: &str, facts: &[(&str, String)]) -> io::Result<Self> {
        let title = escaped(title);
        write!(
            out,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
             <style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n<dl>\n"
        )?;
        for (name, value) in facts {
            writeln!(out, "<dt>{}</dt><dd>{}</dd>", escaped(name), escaped(value))?;
        }
        writeln!(out, "</dl>")?;
        Ok(Self { out })
    }

    /// Adds an example.
    pub fn add(&mut self, caption: Caption<'_>, heatmaps: &[Heatmap]) -> io::Result<()> {
        let name = caption.id.to_string();
        let anchor = name.replace(", ", "-").replace(' ', "-");
        writeln!(
            self.out,
            "<section id=\"{anchor}\">\n<h2>{name}</h2>\n\
             <p class=\"text\">{}</p>\n<p class=\"text\">{}</p>",
            escaped(caption.input_text),
            escaped(caption.generated_text)
        )?;
        for heatmap in heatmaps {
            self.out.write_all(table(heatmap).as_bytes())?;
        }
        writeln!(self.out, "</section>")
    }

    /// Ends the page.
    pub fn finish(mut self) -> io::Result<()> {
        write!(self.out, "<script>\n{SCRIPT}</script>\n</body>\n</html>\n")?;
        self.out.flush()
    }
}

fn table(heatmap: &Heatmap) -> String {
    let mut html = String::new();
    let (title, legend) = (escaped(&heatmap.title), heatmap.legend);
    let _ = write!(
        html,
        "<div class=\"scroll\"><table>\n<caption>{title} \
         <small>{legend}</small></caption>\n<thead><tr><th></th><th></th>"
    );
    for index in 0..heatmap.columns.len() {
        let _ = write!(html, "<th>{index}</th>");
    }
    html.push_str("</tr>\n<tr><th></th><th></th>");
    for token in &heatmap.columns {
        let _ = write!(html, "<th scope=\"col\">{}</th>", escaped(token));
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for (index, row) in heatmap.rows.iter().enumerate() {
        let token = escaped(&row.token);
        let _ = write!(html, "<tr><th>{index}</th><th scope=\"row\">{token}</th>");
        for (column, score) in row.scores.iter().enumerate() {
            let cell = score.map(|score| {
                let to = escaped(&heatmap.columns[column]);
                format!(
                    "<td style=\"background:{}\" title=\"{token} → {to}: {score}\">{}</td>",
                    background(score, heatmap.limit),
                    rounded(score, 3)
                )
            });
            html.push_str(cell.as_deref().unwrap_or("<td></td>"));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n<tfoot>\n");
    for (name, values) in &heatmap.step_scores {
        let _ = write!(
            html,
            "<tr><th></th><th scope=\"row\">{}</th>",
            escaped(name)
        );
        for value in values {
            let text = rounded(*value, 3);
            let strong = value.abs() >= STRONG_STEP_SCORE;
            let _ = if strong {
                write!(html, "<td><b>{text}</b></td>")
            } else {
                write!(html, "<td>{text}</td>")
            };
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tfoot>\n</table></div>\n");
    html
}

/// Returns the colour behind a score: the stronger, the more opaque.
fn background(score: f32, limit: f32) -> String {
    let distance = 2.0 * position(score, limit) - 1.0;
    let color = if distance < 0.0 { NEGATIVE } else { POSITIVE };
    format!("rgba({color},{:.2})", distance.abs().min(1.0))
}

fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            c => html.push(c),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::super::heatmap::{ATTRIBUTED, HeatmapRow};
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
        assert!(html.contains("<td style=\"background:rgba(178,24,43,0.50)\" title=\"&lt;/s&gt; → &lt;b&gt;: 0.25\">0.25</td>"));
        assert!(html.contains("<td><b>0.875</b></td>"));
        assert!(html.contains("<p class=\"text\">&quot;c&quot; &amp; d</p>"));
        assert!(!html.contains("http"), "a page refers to nothing outside");
    }
}
