//! Context attributions as an HTML page in one file, in light and dark.
//!
//! Tokens are tinted by their scores, which show up under the pointer. Context-sensitive tokens of
//! the output lead to their cues. A page of a dataset is written as its examples arrive, so memory
//! holds one of them; each folds away behind a line. The page is complete without its script, which
//! lets the reader choose between light and dark and search the examples. Tints are classes of its
//! style, because the security policy forbids styles at elements.

mod example;
mod tints;

use std::io::{self, Write};
use std::sync::LazyLock;

use askama::Template;
use whence_schemas::RowId;

use super::view::{ContextView, Description, in_words};
use crate::viz::html::policy;
use example::Example;

const SCRIPT: &str = concat!(
    "\"use strict\";\n{\n",
    include_str!("../../../../templates/page/theme.js"),
    include_str!("../../../../templates/context/list.js"),
    "startTheme(() => {});\nstartList();\n}\n"
);

static STYLE: LazyLock<String> = LazyLock::new(|| {
    let layout = concat!(
        include_str!("../../../../templates/page/base.css"),
        include_str!("../../../../templates/context/page.css")
    );
    format!("{layout}{}", tints::rules())
});

#[derive(Template)]
#[template(path = "context/head.html")]
struct Head {
    policy: String,
    style: &'static str,
    title: &'static str,
    facts: Vec<(&'static str, String)>,
    has_list: bool,
}

#[derive(Template)]
#[template(path = "context/tail.html")]
struct Tail {
    script: &'static str,
}

/// Writes a page that shows `view`.
pub fn write_page(mut out: impl Write, view: &ContextView) -> io::Result<()> {
    write_head(&mut out, &view.description, false)?;
    Example::new(None, view).write_into(&mut out)?;
    write_tail(&mut out)
}

/// A page with the examples of a dataset that is being written.
#[derive(Debug)]
pub struct Page<W> {
    out: W,
}

impl<W: Write> Page<W> {
    /// Begins a page. `description` says what was asked for; the text in it is that of no example.
    pub fn begin(mut out: W, description: &Description) -> io::Result<Self> {
        write_head(&mut out, description, true)?;
        Ok(Self { out })
    }

    /// Adds an example.
    pub fn add(&mut self, id: RowId, view: &ContextView) -> io::Result<()> {
        Example::new(Some(id), view).write_into(&mut self.out)
    }

    /// Writes the end of the page and returns the underlying writer.
    pub fn finish(mut self) -> io::Result<W> {
        write_tail(&mut self.out)?;
        Ok(self.out)
    }
}

fn write_head(mut out: impl Write, description: &Description, has_list: bool) -> io::Result<()> {
    let head = Head {
        policy: policy(&STYLE, SCRIPT),
        style: &STYLE,
        title: if has_list {
            "Context attributions"
        } else {
            "Context attribution"
        },
        facts: facts(description),
        has_list,
    };
    head.write_into(&mut out)
}

fn write_tail(mut out: impl Write) -> io::Result<()> {
    Tail { script: SCRIPT }.write_into(&mut out)?;
    out.flush()
}

/// Returns what was asked for, by name.
fn facts(described: &Description) -> Vec<(&'static str, String)> {
    vec![
        ("Model", described.model.clone()),
        ("Context sensitivity metric", described.metric.clone()),
        ("Attribution method", described.method.clone()),
        ("Attributed function", described.function.clone()),
        ("Context-sensitive tokens", in_words(&described.sensitivity)),
        ("Contextual cues", in_words(&described.cues)),
        ("Program", format!("whence {}", env!("CARGO_PKG_VERSION"))),
    ]
}
