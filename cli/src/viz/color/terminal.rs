//! The colors that a terminal has, and the escape codes that paint with them.
//!
//! A score is painted as a background together with the text on it, so that it is readable whatever
//! the terminal's own colors are.

use std::io::IsTerminal;

use super::theme::{Hue, Rgb, Shade, Theme};

/// The range of colors that can be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colors {
    /// No escape codes at all, not even bold.
    None,
    /// The eight basic ANSI colors, each normal and bright.
    Sixteen,
    /// The 256-color palette.
    Palette(Theme),
    /// 24-bit color.
    True(Theme),
}

/// Terminals that have 24-bit color and may not say so in `COLORTERM`: parts of their `TERM`.
const TRUE_COLOR_TERMS: [&str; 7] = [
    "direct",
    "truecolor",
    "kitty",
    "alacritty",
    "wezterm",
    "ghostty",
    "foot",
];

/// A share of the largest score below which a cell keeps the terminal's own colors.
const UNPAINTED: f64 = 0.02;

impl Colors {
    /// Returns the colors that standard output supports: none under `NO_COLOR` or `TERM=dumb`, and
    /// none outside a terminal unless `CLICOLOR_FORCE` is set.
    pub fn of_stdout() -> Self {
        let variable = |name: &str| std::env::var(name).unwrap_or_default();
        Self::decide(std::io::stdout().is_terminal(), variable)
    }

    fn decide(is_terminal: bool, variable: impl Fn(&str) -> String) -> Self {
        let is_forced = !matches!(variable("CLICOLOR_FORCE").as_str(), "" | "0");
        let (term, color_term) = (variable("TERM"), variable("COLORTERM"));
        if !variable("NO_COLOR").is_empty() || (!is_terminal && !is_forced) || term == "dumb" {
            return Self::None;
        }
        // `foreground;background`, as numbers of the 16 colors. White and light gray are light;
        // where it is not set, most terminals are dark.
        let background = variable("COLORFGBG");
        let theme = match background.rsplit(';').next() {
            Some("7" | "15") => Theme::Light,
            _ => Theme::Dark,
        };
        if matches!(color_term.as_str(), "truecolor" | "24bit")
            || TRUE_COLOR_TERMS.iter().any(|name| term.contains(name))
        {
            Self::True(theme)
        } else if term.contains("256") {
            Self::Palette(theme)
        } else {
            Self::Sixteen
        }
    }

    /// Returns `text` in the colors of a score that has this share of the largest one, from -1 to 1.
    pub(in crate::viz) fn paint(self, text: &str, share: f64) -> String {
        if share.abs() < UNPAINTED {
            return text.to_owned();
        }
        let code = match self {
            Self::None => return text.to_owned(),
            Self::Sixteen => match basic(share) {
                Some(code) => code.to_owned(),
                None => return text.to_owned(),
            },
            Self::Palette(theme) => palette_code(theme.shade(share)),
            Self::True(theme) => true_code(theme.shade(share)),
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// Returns `text` in bold, on the strongest color of `hue`.
    pub(in crate::viz) fn mark(self, text: &str, hue: Hue) -> String {
        let code = match self {
            Self::None => return text.to_owned(),
            Self::Sixteen => match hue {
                Hue::Negative => NEGATIVE.to_owned(),
                Hue::Positive => POSITIVE.to_owned(),
                Hue::Sensitive => SENSITIVE.to_owned(),
                Hue::Cue => CUE.to_owned(),
            },
            Self::Palette(theme) => palette_code(theme.tint(hue, 1.0)),
            Self::True(theme) => true_code(theme.tint(hue, 1.0)),
        };
        format!("\x1b[1;{code}m{text}\x1b[0m")
    }

    /// Returns `text` in bold.
    pub fn bold(self, text: &str) -> String {
        match self {
            Self::None => text.to_owned(),
            _ => format!("\x1b[1m{text}\x1b[0m"),
        }
    }
}

/// The strongest of the 16 colors for each hue: white on blue, and black on bright red, bright green and
/// bright cyan.
const NEGATIVE: &str = "97;44";
const POSITIVE: &str = "30;101";
const SENSITIVE: &str = "30;102";
const CUE: &str = "30;106";

/// Returns the codes of a share in the 16 colors, whose exact values each terminal chooses: white on
/// blue, black on bright cyan, bright yellow or bright red. White on red would be less readable.
fn basic(share: f64) -> Option<&'static str> {
    match share {
        s if s <= -0.5 => Some(NEGATIVE),
        s if s <= -0.2 => Some("30;106"),
        s if s < 0.2 => None,
        s if s < 0.5 => Some("30;103"),
        _ => Some(POSITIVE),
    }
}

/// Returns the codes of a shade in 24-bit color.
fn true_code(Shade { background, ink }: Shade) -> String {
    let [r, g, b] = ink;
    let [br, bg, bb] = background;
    format!("38;2;{r};{g};{b};48;2;{br};{bg};{bb}")
}

/// Returns the codes of the nearest color of the palette, with the ink that is best on that color.
fn palette_code(shade: Shade) -> String {
    let index = nearest_of_palette(shade.background);
    let shade = Shade::with_best_ink(of_palette(index));
    let ink = if shade.ink == [0; 3] { 16 } else { 231 };
    format!("38;5;{ink};48;5;{index}")
}

/// First of the grays at the end of the 256-color palette.
const FIRST_GRAY: u8 = 232;

/// Returns the index of the nearest color among those of the 256-color palette that every terminal
/// shows alike: the 6×6×6 cube and the grays.
fn nearest_of_palette(color: Rgb) -> u8 {
    let distance = |index: &u8| -> u32 {
        let other = of_palette(*index);
        let channels = color.iter().zip(other);
        channels.map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum()
    };
    (16..=255).min_by_key(distance).unwrap_or(16)
}

/// Returns the color of an index from 16 on in the 256-color palette.
fn of_palette(index: u8) -> Rgb {
    const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    if index >= FIRST_GRAY {
        return [8 + 10 * (index - FIRST_GRAY); 3];
    }
    let cube = usize::from(index.saturating_sub(16));
    [cube / 36, cube / 6 % 6, cube % 6].map(|level| LEVELS[level])
}

#[cfg(test)]
mod tests {
    use super::super::theme::contrast;
    use super::*;

    fn with(pairs: &'static [(&'static str, &'static str)]) -> impl Fn(&str) -> String {
        move |name: &str| {
            let found = pairs.iter().find(|(key, _)| *key == name);
            found.map_or(String::new(), |(_, value)| (*value).to_owned())
        }
    }

    #[test]
    fn colors_are_what_the_terminal_has() {
        let dark = Colors::True(Theme::Dark);
        let truecolor = &[("COLORTERM", "truecolor"), ("TERM", "xterm-256color")];
        assert_eq!(Colors::decide(true, with(truecolor)), dark);
        assert_eq!(Colors::decide(false, with(truecolor)), Colors::None);
        let forced = &[("COLORTERM", "24bit"), ("CLICOLOR_FORCE", "1")];
        assert_eq!(Colors::decide(false, with(forced)), dark);
        for term in [&[("TERM", "xterm-kitty")], &[("TERM", "tmux-direct")]] {
            assert_eq!(Colors::decide(true, with(term)), dark);
        }
        let palette = &[("TERM", "screen-256color")];
        let dark = Colors::Palette(Theme::Dark);
        assert_eq!(Colors::decide(true, with(palette)), dark);
        let light = &[("TERM", "rxvt-256color"), ("COLORFGBG", "0;default;15")];
        let expected = Colors::Palette(Theme::Light);
        assert_eq!(Colors::decide(true, with(light)), expected);
        let forbidden = &[("NO_COLOR", "1"), ("COLORTERM", "truecolor")];
        assert_eq!(Colors::decide(true, with(forbidden)), Colors::None);
        assert_eq!(
            Colors::decide(true, with(&[("TERM", "dumb")])),
            Colors::None
        );
        assert_eq!(
            Colors::decide(true, with(&[("TERM", "xterm")])),
            Colors::Sixteen
        );
    }

    #[test]
    fn text_is_readable_on_every_color_of_the_palette() {
        for index in 16..=255 {
            let background = of_palette(index);
            let shade = Shade::with_best_ink(background);
            let found = contrast(background, shade.ink);
            assert!(found >= 4.5, "{index}: {found:.2}");
            let nearest = nearest_of_palette(background);
            assert_eq!(of_palette(nearest), background);
        }
    }

    /// The colors that terminals give to the basic codes: xterm, the VGA console, Terminal.app and
    /// Windows.
    #[test]
    fn text_is_readable_on_every_basic_color() {
        let (black, white) = ([0, 0, 0], [229, 229, 229]);
        for (code, inks, backgrounds) in [
            (
                "97;44",
                white,
                [[0, 0, 238], [0, 0, 170], [73, 46, 225], [0, 55, 218]],
            ),
            (
                "30;106",
                black,
                [
                    [0, 255, 255],
                    [85, 255, 255],
                    [20, 240, 240],
                    [97, 214, 214],
                ],
            ),
            (
                "30;103",
                black,
                [
                    [255, 255, 0],
                    [255, 255, 85],
                    [234, 236, 35],
                    [249, 241, 165],
                ],
            ),
            (
                "30;102",
                black,
                [[0, 255, 0], [85, 255, 85], [49, 231, 34], [22, 198, 12]],
            ),
            (
                "30;101",
                black,
                [[255, 0, 0], [255, 85, 85], [252, 57, 31], [231, 72, 86]],
            ),
        ] {
            for background in backgrounds {
                let found = contrast(background, inks);
                assert!(found >= 4.5, "{code} {background:?}: {found:.2}");
            }
        }
        let used: Vec<_> = [-1.0, -0.3, 0.0, 0.3, 1.0].map(basic).to_vec();
        let expected = [
            Some("97;44"),
            Some("30;106"),
            None,
            Some("30;103"),
            Some("30;101"),
        ];
        assert_eq!(used, expected);
    }

    #[test]
    fn a_share_is_painted_with_its_ink() {
        let painted = Colors::True(Theme::Light).paint("1.0", 1.0);
        assert_eq!(painted, "\x1b[38;2;255;255;255;48;2;178;24;43m1.0\x1b[0m");
        assert_eq!(Colors::True(Theme::Dark).paint("0", 0.0), "0");
        assert_eq!(Colors::None.paint("1.0", 1.0), "1.0");
    }
}
