//! The color map for scores, from blue through gray to red, and the colors a terminal supports.
//!
//! This is Moreland's diverging color map ("Diverging Color Maps for Scientific Visualization",
//! 2009), called `coolwarm` in matplotlib, which Inseq uses. It interpolates linearly between three
//! colors in Msh space, a polar form of CIELAB. Lightness rises up to the middle and then falls.

use std::io::IsTerminal;

/// Red, green, blue.
pub type Rgb = [u8; 3];

/// The colors at the two ends of the map.
const COLD: Rgb = [59, 76, 192];
const WARM: Rgb = [180, 4, 38];
/// Magnitude (`M` in Msh) of the gray in the middle, (221, 221, 221).
const MIDDLE_MAGNITUDE: f64 = 88.0;
/// A color with a saturation up to this counts as gray: its hue can be chosen freely.
const GRAY_SATURATION: f64 = 0.05;
/// XYZ coordinates of the reference white D65.
const WHITE: [f64; 3] = [0.95047, 1.0, 1.08883];

/// The range of colors that can be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colors {
    /// No escape codes at all, not even bold.
    None,
    /// The eight basic ANSI colors, each normal and bright.
    Sixteen,
    /// The 256-color palette.
    Palette,
    /// 24-bit color.
    True,
}

impl Colors {
    /// Returns the colors that standard output supports: none under `NO_COLOR` or `TERM=dumb`, and
    /// none outside a terminal unless `CLICOLOR_FORCE` is set.
    pub fn of_stdout() -> Self {
        let variable = |name: &str| std::env::var(name).unwrap_or_default();
        Self::decide(std::io::stdout().is_terminal(), variable)
    }

    fn decide(is_terminal: bool, variable: impl Fn(&str) -> String) -> Self {
        let is_forced = !matches!(variable("CLICOLOR_FORCE").as_str(), "" | "0");
        let term = variable("TERM");
        if !variable("NO_COLOR").is_empty() || (!is_terminal && !is_forced) || term == "dumb" {
            Self::None
        } else if matches!(variable("COLORTERM").as_str(), "truecolor" | "24bit") {
            Self::True
        } else if term.contains("256") {
            Self::Palette
        } else {
            Self::Sixteen
        }
    }

    /// Returns `text` in the color at `position` on the map, from 0 (blue) to 1 (red).
    pub fn paint(self, text: &str, position: f64) -> String {
        match self {
            Self::None => text.to_owned(),
            Self::Sixteen => match position {
                p if p < 0.25 => format!("\x1b[34m{text}\x1b[0m"),
                p if p < 0.45 => format!("\x1b[94m{text}\x1b[0m"),
                p if p <= 0.6 => text.to_owned(),
                p if p <= 0.8 => format!("\x1b[91m{text}\x1b[0m"),
                _ => format!("\x1b[31m{text}\x1b[0m"),
            },
            Self::Palette => format!("\x1b[38;5;{}m{text}\x1b[0m", of_palette(coolwarm(position))),
            Self::True => {
                let [r, g, b] = coolwarm(position);
                format!("\x1b[38;2;{r};{g};{b}m{text}\x1b[0m")
            }
        }
    }

    /// Returns `text` in bold.
    pub fn bold(self, text: &str) -> String {
        match self {
            Self::None => text.to_owned(),
            _ => format!("\x1b[1m{text}\x1b[0m"),
        }
    }
}

/// Returns the index of the nearest color in the 6×6×6 color cube of the 256-color palette.
fn of_palette(rgb: Rgb) -> u8 {
    const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let nearest = |value: u8| {
        let levels = LEVELS.iter().enumerate();
        let nearest = levels.min_by_key(|(_, level)| level.abs_diff(value));
        nearest.map_or(0, |(index, _)| index as u8)
    };
    let [r, g, b] = rgb.map(nearest);
    16 + 36 * r + 6 * g + b
}

/// Returns the color at `position`, from 0 (cold) through 0.5 (gray) to 1 (warm).
pub(super) fn coolwarm(position: f64) -> Rgb {
    let position = position.clamp(0.0, 1.0);
    let gray = [MIDDLE_MAGNITUDE, 0.0, 0.0];
    let (from, to, weight) = if position < 0.5 {
        (msh(COLD), gray, 2.0 * position)
    } else {
        (gray, msh(WARM), 2.0 * position - 1.0)
    };
    let (from, to) = (with_hue(from, to), with_hue(to, from));
    let mixed = [0, 1, 2].map(|axis| (1.0 - weight) * from[axis] + weight * to[axis]);
    rgb(mixed)
}

/// Gives a gray the hue that makes the transition to `other` look even; other colors keep theirs.
/// This is `AdjustHue` in Moreland's paper.
fn with_hue(color: [f64; 3], other: [f64; 3]) -> [f64; 3] {
    let [magnitude, saturation, _] = color;
    let [other_magnitude, other_saturation, other_hue] = other;
    if saturation > GRAY_SATURATION {
        return color;
    }
    if other_magnitude >= magnitude {
        return [magnitude, saturation, other_hue];
    }
    let spin = other_saturation * (magnitude.powi(2) - other_magnitude.powi(2)).sqrt()
        / (other_magnitude * other_saturation.sin());
    let hue = if other_hue > -std::f64::consts::FRAC_PI_3 {
        other_hue + spin
    } else {
        other_hue - spin
    };
    [magnitude, saturation, hue]
}

/// Converts a color to Msh: magnitude, saturation and hue, both angles in radians.
fn msh(color: Rgb) -> [f64; 3] {
    let [l, a, b] = lab(color);
    let magnitude = (l * l + a * a + b * b).sqrt();
    [magnitude, (l / magnitude).acos(), b.atan2(a)]
}

/// Converts Msh to sRGB, by way of CIELAB, XYZ and linear RGB.
fn rgb([magnitude, saturation, hue]: [f64; 3]) -> Rgb {
    let l = magnitude * saturation.cos();
    let a = magnitude * saturation.sin() * hue.cos();
    let b = magnitude * saturation.sin() * hue.sin();
    let y = (l + 16.0) / 116.0;
    // The inverse of the CIELAB function, which is a cube root above a linear part near zero.
    let linear = [y + a / 500.0, y, y - b / 200.0].map(|t| {
        if t > 6.0 / 29.0 {
            t.powi(3)
        } else {
            3.0 * (6.0_f64 / 29.0).powi(2) * (t - 4.0 / 29.0)
        }
    });
    let [x, y, z] = [0, 1, 2].map(|axis| linear[axis] * WHITE[axis]);
    // XYZ to linear RGB, by the inverse of the matrix in `lab`.
    let channels = [
        3.240_454 * x - 1.537_139 * y - 0.498_531 * z,
        -0.969_266 * x + 1.876_011 * y + 0.041_556 * z,
        0.055_643 * x - 0.204_026 * y + 1.057_225 * z,
    ];
    channels.map(|linear| {
        // The sRGB transfer function.
        let encoded = if linear > 0.003_130_8 {
            1.055 * linear.powf(1.0 / 2.4) - 0.055
        } else {
            12.92 * linear
        };
        (encoded * 255.0).round().clamp(0.0, 255.0) as u8
    })
}

/// Converts sRGB to CIELAB, by way of linear RGB and XYZ.
fn lab(color: Rgb) -> [f64; 3] {
    let [r, g, b] = color.map(|channel| {
        let encoded = f64::from(channel) / 255.0;
        if encoded > 0.040_45 {
            ((encoded + 0.055) / 1.055).powf(2.4)
        } else {
            encoded / 12.92
        }
    });
    let xyz = [
        0.412_456 * r + 0.357_576 * g + 0.180_438 * b,
        0.212_673 * r + 0.715_152 * g + 0.072_175 * b,
        0.019_334 * r + 0.119_192 * g + 0.950_304 * b,
    ];
    let [x, y, z] = [0, 1, 2].map(|axis| {
        let ratio: f64 = xyz[axis] / WHITE[axis];
        if ratio > (6.0_f64 / 29.0).powi(3) {
            ratio.cbrt()
        } else {
            ratio * (29.0_f64 / 6.0).powi(2) / 3.0 + 4.0 / 29.0
        }
    });
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values are from matplotlib 3.11: `plt.get_cmap("coolwarm")(u, bytes=True)`.
    #[test]
    fn the_map_is_matplotlibs() {
        let known: [(f64, Rgb); 5] = [
            (0.0, [58, 76, 192]),
            (0.25, [141, 175, 253]),
            (0.5, [221, 220, 219]),
            (0.75, [243, 152, 121]),
            (1.0, [179, 3, 38]),
        ];
        for (position, expected) in known {
            let found = coolwarm(position);
            for (found, expected) in found.iter().zip(expected) {
                assert!(
                    found.abs_diff(expected) <= 2,
                    "{position}: {found} {expected}"
                );
            }
        }
    }

    #[test]
    fn colors_are_what_the_terminal_has() {
        let with = |pairs: &'static [(&'static str, &'static str)]| {
            move |name: &str| {
                let found = pairs.iter().find(|(key, _)| *key == name);
                found.map_or(String::new(), |(_, value)| (*value).to_owned())
            }
        };
        let truecolor = &[("COLORTERM", "truecolor"), ("TERM", "xterm-256color")];
        assert_eq!(Colors::decide(true, with(truecolor)), Colors::True);
        assert_eq!(Colors::decide(false, with(truecolor)), Colors::None);
        let plain = &[("TERM", "xterm-256color")];
        assert_eq!(Colors::decide(true, with(plain)), Colors::Palette);
        let forbidden = &[("NO_COLOR", "1"), ("COLORTERM", "truecolor")];
        assert_eq!(Colors::decide(true, with(forbidden)), Colors::None);
        assert_eq!(
            Colors::decide(true, with(&[("TERM", "xterm")])),
            Colors::Sixteen
        );
    }
}
