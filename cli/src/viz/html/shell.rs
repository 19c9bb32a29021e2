//! What every page has: its head with the style and the security policy, and its script.

use std::io::{self, Write};
use std::sync::LazyLock;

use askama::Template;
use data_encoding::BASE64;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::viz::color::{Shade, Theme};

/// Variables, texts and legends, which all pages share, then the layout of this one.
const STYLE: &str = concat!(
    include_str!("../../../templates/page/base.css"),
    include_str!("../../../templates/page/page.css")
);

/// The page's script, in one block, so that its names are its own.
const SCRIPT: &str = concat!(
    "\"use strict\";\n{\n",
    include_str!("../../../templates/page/theme.js"),
    include_str!("../../../templates/page/data.js"),
    include_str!("../../../templates/page/matrix.js"),
    include_str!("../../../templates/page/text.js"),
    include_str!("../../../templates/page/sources.js"),
    include_str!("../../../templates/page/list.js"),
    include_str!("../../../templates/page/export.js"),
    include_str!("../../../templates/page/main.js"),
    "}\n"
);

#[derive(Template)]
#[template(path = "page/head.html")]
struct Head<'a> {
    title: &'a str,
    facts: &'a [(&'a str, String)],
    policy: &'a str,
    style: &'static str,
    ramps: &'a str,
}

#[derive(Template)]
#[template(path = "page/tail.html")]
struct Tail {
    script: &'static str,
}

/// Writes everything before the first example.
pub(super) fn write_head(
    mut out: impl Write,
    title: &str,
    facts: &[(&str, String)],
) -> io::Result<()> {
    static POLICY: LazyLock<String> = LazyLock::new(|| policy(STYLE, SCRIPT));
    static RAMPS: LazyLock<String> = LazyLock::new(ramps);
    let head = Head {
        title,
        facts,
        policy: &POLICY,
        style: STYLE,
        ramps: &RAMPS,
    };
    head.write_into(&mut out)
}

/// Writes everything after the last example.
pub(super) fn write_tail(mut out: impl Write) -> io::Result<()> {
    Tail { script: SCRIPT }.write_into(&mut out)
}

/// Returns the content security policy of a page with this style and script: nothing is loaded, and
/// nothing else runs. Pictures that the script makes itself (`blob:`) are allowed.
pub(in crate::viz) fn policy(style: &str, script: &str) -> String {
    let hash = |text: &str| format!("'sha256-{}'", BASE64.encode(&Sha256::digest(text)));
    format!(
        "default-src 'none'; style-src {}; script-src {}; img-src blob:; base-uri 'none'; form-action 'none'",
        hash(style),
        hash(script)
    )
}

/// Returns the shades of both themes as JSON: background and ink, from the lowest score to the
/// highest.
fn ramps() -> String {
    let hex = |[r, g, b]: [u8; 3]| format!("#{r:02x}{g:02x}{b:02x}");
    let ramp = |theme: Theme| -> Vec<_> {
        let shades = theme.ramp().into_iter();
        shades
            .map(|Shade { background, ink }| [hex(background), hex(ink)])
            .collect()
    };
    json!({"light": ramp(Theme::Light), "dark": ramp(Theme::Dark)}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cells without a score and the middle of the ramp have the color of the paper.
    #[test]
    fn the_style_and_the_ramp_have_the_same_paper() {
        for theme in [Theme::Light, Theme::Dark] {
            let [r, g, b] = theme.paper();
            let paper = format!("--paper: #{r:02x}{g:02x}{b:02x};");
            assert!(STYLE.contains(&paper), "{paper}");
        }
    }

    #[test]
    fn the_policy_names_what_the_page_holds() {
        let mut page = Vec::new();
        write_head(&mut page, "t", &[]).unwrap();
        write_tail(&mut page).unwrap();
        let page = String::from_utf8(page).unwrap();
        let between = |from: &str, to: &str| {
            let (_, rest) = page.rsplit_once(from).unwrap();
            rest.split_once(to).unwrap().0.to_owned()
        };
        let policy = policy(
            &between("<style>", "</style>"),
            &between("<script>", "</script>"),
        );
        assert!(page.contains(&policy.replace('\'', "&#39;")), "{policy}");
    }

    #[test]
    fn the_script_cannot_end_its_element() {
        assert!(!SCRIPT.contains("</script") && !SCRIPT.contains("<!--"));
    }
}
