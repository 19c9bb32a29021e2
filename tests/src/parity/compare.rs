//! Measures how far the engine and Inseq are from the truth, which is Inseq in double precision.

use std::fmt;

use whence_engine::{Attribution, ScoreRows, SequenceScores};

use super::golden::{Pair, PeerScores};

/// Tolerance in single precision, relative to the step's largest score. It applies even if Inseq
/// happens to be closer to the truth. It is the noise of some thousand roundings of 6e-8 each;
/// Inseq's own saturated steps are off by 1e-4 to 1e-3.
const SINGLE: f64 = 5e-5;

/// Tolerance in double precision, relative to the step's largest score. The engine still rounds its
/// scores to single precision once.
const DOUBLE: f64 = 1.2e-7;

/// The precision in which the engine computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits.
    Single,
    /// 64 bits: the truth.
    Double,
}

/// The distances of one step's scores from the truth, relative to the step's largest score.
#[derive(Debug)]
pub struct Distance {
    what: String,
    ours: f64,
    inseqs: f64,
}

impl Distance {
    /// Returns whether the engine is close enough to the truth.
    pub fn is_near(&self, precision: Precision) -> bool {
        match precision {
            Precision::Single => self.ours <= self.inseqs.max(SINGLE),
            Precision::Double => self.ours <= DOUBLE,
        }
    }
}

impl fmt::Display for Distance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, ours, inseqs } = self;
        write!(f, "{what} is {ours:.1e} from the truth, Inseq {inseqs:.1e}")
    }
}

/// Returns the distance of every step's scores.
pub(super) fn scores(attribution: &Attribution, peer: &PeerScores<'_>) -> Vec<Distance> {
    let steps = attribution.steps.iter();
    let mut source = Cursor::new(peer.source.as_ref());
    let mut target = Cursor::new(peer.target.as_ref());
    let distances: Vec<_> = steps
        .map(|step| {
            let mut largest = Largest::default();
            source.take(step.source.as_ref(), &mut largest);
            target.take(step.target.as_ref(), &mut largest);
            largest.distance(format!("step {}", step.target_pos))
        })
        .collect();
    source.assert_exhausted();
    target.assert_exhausted();
    distances
}

/// Returns the distance of every column of the sequence scores.
pub(super) fn sequence_scores(
    attribution: &Attribution,
    peer: &[(String, Pair<'_>)],
) -> Vec<Distance> {
    let ours = &attribution.sequence_scores;
    let names = |scores: &SequenceScores| scores.name.clone();
    let peers: Vec<_> = peer.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(ours.iter().map(names).collect::<Vec<_>>(), peers);
    let of_sequence = |(scores, (name, pair)): (&SequenceScores, &(String, Pair<'_>))| {
        let mut cursor = Cursor::new(Some(pair));
        let column = |(index, column): (usize, &ScoreRows)| {
            let mut largest = Largest::default();
            cursor.take(Some(column), &mut largest);
            largest.distance(format!("{name}, column {index}"))
        };
        let distances: Vec<_> = scores.columns.iter().enumerate().map(column).collect();
        cursor.assert_exhausted();
        distances
    };
    ours.iter().zip(peer).flat_map(of_sequence).collect()
}

/// Returns the distance of a step score, with all steps taken together.
pub(super) fn step_scores(attribution: &Attribution, index: usize, peer: &Pair<'_>) -> Distance {
    let ours: Vec<_> = attribution
        .steps
        .iter()
        .map(|step| step.step_scores[index])
        .collect();
    assert_eq!(ours.len(), peer.truth.len(), "one step score a step");
    let mut largest = Largest::default();
    largest.compare(&ours, peer.inseq, peer.truth);
    largest.distance(format!("step score {index}"))
}

/// The largest distances met so far, and the largest true score.
#[derive(Default)]
struct Largest {
    ours: f64,
    inseqs: f64,
    score: f64,
}

impl Largest {
    fn compare(&mut self, ours: &[f32], inseq: &[f64], truth: &[f64]) {
        for ((&ours, &inseq), &truth) in ours.iter().zip(inseq).zip(truth) {
            self.ours = self.ours.max((f64::from(ours) - truth).abs());
            self.inseqs = self.inseqs.max((inseq - truth).abs());
            self.score = self.score.max(truth.abs());
        }
    }

    fn distance(self, what: String) -> Distance {
        // Equal scores have distance 0, even if the largest score is 0 or there are none.
        let share = |distance: f64| {
            if distance == 0.0 {
                0.0
            } else {
                distance / self.score
            }
        };
        Distance {
            ours: share(self.ours),
            inseqs: share(self.inseqs),
            what,
        }
    }
}

/// A position in the peer's scores of one side, which are stored step after step.
struct Cursor<'g> {
    pair: Option<&'g Pair<'g>>,
    next: usize,
}

impl<'g> Cursor<'g> {
    fn new(pair: Option<&'g Pair<'g>>) -> Self {
        Self { pair, next: 0 }
    }

    /// Compares the next scores with those of a step.
    fn take(&mut self, ours: Option<&ScoreRows>, largest: &mut Largest) {
        let (Some(pair), Some(ours)) = (self.pair, ours) else {
            assert!(
                self.pair.is_none() && ours.is_none(),
                "one of the two attributes a side the other does not"
            );
            return;
        };
        let cells = self.next..self.next + ours.values.len();
        largest.compare(
            &ours.values,
            &pair.inseq[cells.clone()],
            &pair.truth[cells.clone()],
        );
        self.next = cells.end;
    }

    fn assert_exhausted(&self) {
        assert_eq!(
            self.next,
            self.pair.map_or(0, |pair| pair.truth.len()),
            "both have as many scores"
        );
    }
}
