//! The tints of tokens, as classes of the page's style.

use std::fmt::Write;

use crate::viz::color::{Hue, Shade, Theme};

/// Number of tints between none and the strongest.
pub(super) const TINTS: u8 = 20;

/// Returns the rules of the tints in both themes.
pub(super) fn rules() -> String {
    let mut style = String::new();
    for (root, theme) in [
        (":root", Theme::Light),
        (":root[data-theme=\"dark\"]", Theme::Dark),
    ] {
        style.push_str(&tints(root, theme));
    }
    let system = tints(":root:not([data-theme=\"light\"])", Theme::Dark);
    let _ = writeln!(style, "@media (prefers-color-scheme: dark) {{\n{system}}}");
    style
}

/// Returns the rules of the tints below `root`.
fn tints(root: &str, theme: Theme) -> String {
    let hex = |[r, g, b]: [u8; 3]| format!("#{r:02x}{g:02x}{b:02x}");
    let mut rules = String::new();
    for hue in [Hue::Sensitive, Hue::Cue] {
        for tint in 0..=TINTS {
            let weight = f64::from(tint) / f64::from(TINTS);
            let Shade { background, ink } = theme.tint(hue, weight);
            let (class, background, ink) = (class(hue, tint), hex(background), hex(ink));
            // Writing to a string cannot fail.
            let _ = writeln!(
                rules,
                "{root} .{class} {{ background: {background}; color: {ink}; }}"
            );
        }
    }
    rules
}

/// Returns the name of the class of a tint.
pub(super) fn class(hue: Hue, tint: u8) -> String {
    match hue {
        Hue::Cue => format!("c{tint}"),
        _ => format!("s{tint}"),
    }
}
