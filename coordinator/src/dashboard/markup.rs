//! Text that a template has made, which other templates take over as it is.

use std::fmt;

use askama::Template;
use askama::filters::HtmlSafe;

use crate::Error;

/// HTML that came out of a template, where every text of a user was escaped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Markup(String);

impl Markup {
    /// Renders a template.
    pub(super) fn of(template: &impl Template) -> Result<Self, Error> {
        let rendered = template.render();
        let failed = |error| Error::Internal(format!("render a page: {error}"));
        Ok(Self(rendered.map_err(failed)?))
    }

    /// Returns the HTML.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Markup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HtmlSafe for Markup {}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Template)]
    #[template(source = "<p>{{ text }}</p>{{ made }}", ext = "html")]
    struct Paragraph<'a> {
        text: &'a str,
        made: Markup,
    }

    #[test]
    fn texts_are_escaped_once() {
        let inner = Paragraph {
            text: "<b>&\"'",
            made: Markup::default(),
        };
        let inner = Markup::of(&inner).unwrap();
        let outer = Paragraph {
            text: "",
            made: inner.clone(),
        };
        assert_eq!(inner.as_str(), "<p>&#60;b&#62;&#38;&#34;&#39;</p>");
        assert_eq!(
            Markup::of(&outer).unwrap().to_string(),
            format!("<p></p>{inner}")
        );
    }
}
