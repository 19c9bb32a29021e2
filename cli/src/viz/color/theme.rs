//! The colors of scores on light and on dark paper, and the contrast of the text on them.

/// Red, green, blue.
pub type Rgb = [u8; 3];

/// Number of steps from the paper's color to the strongest one.
pub(in crate::viz) const LEVELS: usize = 50;

const BLACK: Rgb = [0, 0, 0];
const WHITE: Rgb = [255, 255, 255];

/// What pictures are drawn on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Theme {
    /// Dark text on white.
    Light,
    /// Light text on nearly black.
    Dark,
}

/// What a color says of a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::viz) enum Hue {
    /// It is negative.
    Negative,
    /// It is positive.
    Positive,
    /// How much a token of the output depends on a context.
    Sensitive,
    /// How much a token of a context is a cue.
    Cue,
}

/// The background of a score, and the color of the text on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::viz) struct Shade {
    pub(in crate::viz) background: Rgb,
    pub(in crate::viz) ink: Rgb,
}

impl Theme {
    /// Returns the color of what has no score.
    pub(in crate::viz) fn paper(self) -> Rgb {
        match self {
            Self::Light => WHITE,
            Self::Dark => [23, 25, 29],
        }
    }

    /// Returns the strongest color of a hue. On dark paper it is brighter, because what stands out there
    /// is what is bright.
    fn end(self, hue: Hue) -> Rgb {
        match (self, hue) {
            (Self::Light, Hue::Negative | Hue::Cue) => [33, 102, 172],
            (Self::Dark, Hue::Negative | Hue::Cue) => [92, 164, 240],
            (Self::Light, Hue::Positive) => [178, 24, 43],
            (Self::Dark, Hue::Positive) => [242, 106, 92],
            (Self::Light, Hue::Sensitive) => [46, 125, 50],
            (Self::Dark, Hue::Sensitive) => [102, 196, 118],
        }
    }

    /// Returns the shade of a score that has this share of the largest one, from -1 to 1.
    pub(in crate::viz) fn shade(self, share: f64) -> Shade {
        let hue = if share < 0.0 {
            Hue::Negative
        } else {
            Hue::Positive
        };
        self.tint(hue, share.abs())
    }

    /// Returns the paper's color mixed with that of `hue`, whose weight is from 0 to 1.
    pub(in crate::viz) fn tint(self, hue: Hue, weight: f64) -> Shade {
        let (paper, end) = (self.paper(), self.end(hue));
        let weight = weight.clamp(0.0, 1.0);
        let background = [0, 1, 2].map(|channel| {
            let [from, to] = [paper[channel], end[channel]].map(f64::from);
            (from + (to - from) * weight).round() as u8
        });
        Shade::with_best_ink(background)
    }

    /// Returns all shades, from -1 to 1.
    pub(in crate::viz) fn ramp(self) -> Vec<Shade> {
        let levels = 0..=2 * LEVELS;
        let share = |level: usize| level as f64 / LEVELS as f64 - 1.0;
        levels.map(|level| self.shade(share(level))).collect()
    }
}

impl Shade {
    /// Chooses the ink for a background.
    pub(in crate::viz) fn with_best_ink(background: Rgb) -> Self {
        let is_white_better = contrast(background, WHITE) > contrast(background, BLACK);
        Self {
            background,
            ink: if is_white_better { WHITE } else { BLACK },
        }
    }
}

/// Returns the contrast ratio of two colors, from 1 to 21, as WCAG 2 defines it.
pub(in crate::viz) fn contrast(one: Rgb, other: Rgb) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

/// Returns the relative luminance of a color, from 0 to 1, as WCAG 2 defines it.
fn luminance(color: Rgb) -> f64 {
    let [r, g, b] = color.map(|channel| {
        let encoded = f64::from(channel) / 255.0;
        if encoded > 0.040_45 {
            ((encoded + 0.055) / 1.055).powf(2.4)
        } else {
            encoded / 12.92
        }
    });
    0.2126 * r + 0.7152 * g + 0.0722 * b
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The least contrast of text that WCAG 2 accepts (level AA).
    const READABLE: f64 = 4.5;

    #[test]
    fn contrast_is_that_of_wcag() {
        assert!((contrast(BLACK, WHITE) - 21.0).abs() < 1e-9);
        // The example of the guidelines: #777 on white misses 4.5 by a hair.
        assert!((contrast([0x77; 3], WHITE) - 4.48).abs() < 0.005);
    }

    #[test]
    fn text_is_readable_on_every_color() {
        for theme in [Theme::Light, Theme::Dark] {
            let ramp = theme.ramp();
            assert_eq!(ramp.len(), 2 * LEVELS + 1);
            for Shade { background, ink } in ramp {
                let found = contrast(background, ink);
                assert!(found >= READABLE, "{theme:?} {background:?}: {found:.2}");
            }
            for hue in [Hue::Sensitive, Hue::Cue] {
                for weight in 0..=100 {
                    let Shade { background, ink } = theme.tint(hue, f64::from(weight) / 100.0);
                    let found = contrast(background, ink);
                    assert!(found >= READABLE, "{theme:?} {hue:?} {weight}: {found:.2}");
                }
            }
        }
    }

    #[test]
    fn larger_scores_stand_out_more() {
        for theme in [Theme::Light, Theme::Dark] {
            for sign in [-1.0, 1.0] {
                let distance =
                    |share: f64| contrast(theme.shade(sign * share).background, theme.paper());
                let distances: Vec<_> = (0..=20)
                    .map(|step| distance(f64::from(step) / 20.0))
                    .collect();
                assert!(distances.is_sorted(), "{theme:?} {sign}: {distances:?}");
                assert!(distances[20] > 5.0, "{distances:?}");
            }
        }
    }
}
