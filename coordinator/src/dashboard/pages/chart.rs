//! The picture of a job's throughput.

use std::fmt::Write;

use crate::dashboard::figures;
use crate::dashboard::history::SAMPLED_EVERY;

/// Size of the picture of the throughput.
const CHART: (f64, f64) = (600.0, 80.0);

/// The throughput as a line.
#[derive(Debug, PartialEq)]
pub(super) struct Chart {
    /// Its corners, as SVG writes them.
    pub(super) points: String,
    /// The highest speed.
    pub(super) most: String,
    /// How long it was watched.
    pub(super) minutes: u64,
}

impl Chart {
    /// Draws the throughput; `None` if there is too little to draw.
    pub(super) fn of(speeds: &[f64]) -> Option<Self> {
        let most = speeds.iter().copied().fold(0.0, f64::max);
        if speeds.len() < 2 || most <= 0.0 {
            return None;
        }
        let (width, height) = CHART;
        let step = width / (speeds.len() - 1) as f64;
        let mut points = String::new();
        for (index, speed) in speeds.iter().enumerate() {
            let (x, y) = (step * index as f64, height * (1.0 - speed / most));
            // Writing to a string cannot fail.
            let _ = write!(points, "{x:.1},{y:.1} ");
        }
        let watched = SAMPLED_EVERY * speeds.len() as u32;
        Some(Self {
            points: points.trim_end().to_owned(),
            most: figures::speed(most),
            minutes: watched.as_secs().div_ceil(60),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chart_has_its_highest_point_at_the_top() {
        let drawn = Chart::of(&[0.0, 50.0, 100.0]).unwrap();
        let expected = Chart {
            points: "0.0,80.0 300.0,40.0 600.0,0.0".to_owned(),
            most: "100".to_owned(),
            minutes: 1,
        };
        assert_eq!(drawn, expected);
        assert_eq!(Chart::of(&[1.0]), None);
        assert_eq!(Chart::of(&[0.0, 0.0]), None);
    }
}
