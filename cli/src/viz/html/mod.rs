//! Heatmaps as a self-contained HTML page.
//!
//! A page is written as its examples arrive, so memory holds one of them. Each example is a block of
//! JSON (see `data`); a script at the end of the page draws the one that is on display. The page
//! therefore opens at once, however many examples it has. It needs no network, and its content
//! security policy forbids it to use one: only the page's own script and style, by their hashes, are
//! accepted.

mod data;
mod entry;
mod shell;

use std::io::{self, Write};

use super::heatmap::Heatmap;

pub use entry::{Caption, Entry, Picture};
pub(in crate::viz) use shell::policy;

/// An HTML page that is being written.
#[derive(Debug)]
pub struct Page<W> {
    out: W,
}

impl<W: Write> Page<W> {
    /// Begins a page called `title`. `facts` are names and values shown at its top: model, method
    /// and so on.
    pub fn begin(mut out: W, title: &str, facts: &[(&str, String)]) -> io::Result<Self> {
        shell::write_head(&mut out, title, facts)?;
        Ok(Self { out })
    }

    /// Adds an example with its heatmaps.
    pub fn add(&mut self, caption: Caption<'_>, heatmaps: &[Heatmap]) -> io::Result<()> {
        let pictures = heatmaps.iter().map(|heatmap| Picture { run: "", heatmap });
        self.add_entry(&Entry {
            id: caption.id,
            texts: &[
                ("Input", caption.input_text),
                ("Output", caption.generated_text),
            ],
            measures: &[],
            pictures: &pictures.collect::<Vec<_>>(),
        })
    }

    /// Adds an example with texts, numbers and heatmaps of one or several runs.
    pub fn add_entry(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        data::write(&mut self.out, entry)
    }

    /// Writes the end of the page and returns the underlying writer.
    pub fn finish(mut self) -> io::Result<W> {
        shell::write_tail(&mut self.out)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

#[cfg(test)]
mod tests {
    use whence_schemas::RowId;

    use super::*;
    use crate::viz::heatmap::{Axes, Column, HeatmapRow};
    use crate::viz::label::Label;

    fn page() -> String {
        let label = Label::of_raw;
        let heatmap = Heatmap {
            title: "Source Saliency Heatmap".to_owned(),
            axes: Axes::Source,
            columns: vec![Column {
                token: label("<b>"),
                contrast: None,
                row: None,
            }],
            rows: vec![HeatmapRow {
                token: label("</script>"),
                scores: vec![Some(0.25)],
            }],
            step_scores: vec![("probability".to_owned(), vec![0.875])],
            example_limit: 0.5,
        };
        let caption = Caption {
            id: RowId::first_of(3),
            input_text: "a </script><img src=x> b",
            generated_text: "\"c\" & d <!-- e",
        };
        let facts = [("Model", "<m>".to_owned())];
        let mut page = Page::begin(Vec::new(), "saliency & more", &facts).unwrap();
        page.add(caption, &[heatmap]).unwrap();
        String::from_utf8(page.finish().unwrap()).unwrap()
    }

    #[test]
    fn what_a_page_shows_is_escaped() {
        let html = page();
        assert!(html.contains("<title>saliency &#38; more</title>"));
        assert!(html.contains("<dd>&#60;m&#62;</dd>"));
        let block = html.split("class=\"example\">").nth(1).unwrap();
        let block = block.split("</script>").next().unwrap();
        assert!(!block.contains('<'), "{block}");
        let read: serde_json::Value = serde_json::from_str(block).unwrap();
        assert_eq!(read["texts"][0][1], "a </script><img src=x> b");
        assert_eq!(read["texts"][1][1], "\"c\" & d <!-- e");
        assert_eq!(read["maps"][0]["rows"]["tokens"][0], "</script>");
    }

    #[test]
    fn a_page_stands_alone() {
        let html = page();
        for outside in ["src=\"", "href=\"", "@import", "url("] {
            assert!(!html.contains(outside), "{outside}");
        }
        assert_eq!(html.matches("<style>").count(), 1);
        // The ramps, the example, and the page's own script.
        assert_eq!(html.matches("</script>").count(), 3);
        assert!(html.contains("content=\"default-src &#39;none&#39;;"));
    }
}
