//! The input of step functions: the named quantities of one step.
//!
//! A step has the model's prediction and the token that was produced, and also a second prediction
//! and token, the *contrast*. Without a contrast the second pair equals the first, so that a
//! function is written once for both cases. Everything is in double precision, whatever precision
//! the model computes in. In a saturated step, the normalizer differs from the largest logit by
//! less than single precision can represent.

use std::cell::OnceCell;

use whence_schemas::Compat;

use crate::kernels::softmax_in_place;

/// One step: what the model predicts, what was produced, and what that is contrasted with.
#[derive(Debug)]
pub struct Step<'a> {
    prediction: Prediction<'a>,
    /// The token that was produced.
    pub target: usize,
    contrast: Option<Prediction<'a>>,
    contrast_target: Option<usize>,
    dropped: &'a [f64],
    /// Whether Inseq's definition applies where it differs from the usual one.
    pub compat: Compat,
}

/// What a step is contrasted with.
#[derive(Debug, Clone, Copy)]
pub struct StepContrast<'a> {
    /// Logits after the contrast's own prefix; the step's own logits when absent.
    pub logits: Option<&'a [f64]>,
    /// The token of the contrast.
    pub target: usize,
}

impl<'a> Step<'a> {
    /// Wraps the logits of the step that produced `target`.
    pub fn new(logits: &'a [f64], target: usize) -> Self {
        Self {
            prediction: Prediction::new(logits),
            target,
            contrast: None,
            contrast_target: None,
            dropped: &[],
            compat: Compat::None,
        }
    }

    /// Returns the step with what it is contrasted with.
    #[must_use]
    pub fn with_contrast(self, contrast: StepContrast<'a>) -> Self {
        Self {
            contrast: contrast.logits.map(Prediction::new),
            contrast_target: Some(contrast.target),
            ..self
        }
    }

    /// Returns the step with the log-probabilities of its token in the passes with dropout.
    #[must_use]
    pub fn with_dropped(self, log_probabilities: &'a [f64]) -> Self {
        Self {
            dropped: log_probabilities,
            ..self
        }
    }

    /// Returns the step with functions defined as `compat` says.
    #[must_use]
    pub fn with_compat(self, compat: Compat) -> Self {
        Self { compat, ..self }
    }

    /// Returns what the model predicts.
    pub fn prediction(&self) -> &Prediction<'a> {
        &self.prediction
    }

    /// Returns the prediction for the contrast; it is [`Step::prediction`] if the contrast has no
    /// prefix of its own.
    pub fn contrast(&self) -> &Prediction<'a> {
        self.contrast.as_ref().unwrap_or(&self.prediction)
    }

    /// Returns the log-probability of the produced token in each pass with dropout. There are at
    /// least as many passes as the evaluated function asks for.
    pub fn dropped(&self) -> &[f64] {
        self.dropped
    }

    /// Returns the token of the contrast; [`Step::target`] if there is none.
    pub fn contrast_target(&self) -> usize {
        self.contrast_target.unwrap_or(self.target)
    }

    /// Returns slopes that are all zero, to add gradients to.
    pub fn slopes(&self) -> Slopes {
        let zeros = |prediction: &Prediction<'_>| vec![0.0; prediction.logits().len()];
        Slopes {
            own: zeros(&self.prediction),
            contrast: self.contrast.as_ref().map(zeros),
            dropped: vec![0.0; self.dropped.len()],
        }
    }
}

/// Logits, with the quantities that several functions derive from them.
#[derive(Debug)]
pub struct Prediction<'a> {
    logits: &'a [f64],
    probabilities: OnceCell<Vec<f64>>,
    log_normalizer: OnceCell<f64>,
}

impl<'a> Prediction<'a> {
    fn new(logits: &'a [f64]) -> Self {
        Self {
            logits,
            probabilities: OnceCell::new(),
            log_normalizer: OnceCell::new(),
        }
    }

    /// Returns one logit per token.
    pub fn logits(&self) -> &'a [f64] {
        self.logits
    }

    /// Returns the softmax of the logits.
    pub fn probabilities(&self) -> &[f64] {
        self.probabilities.get_or_init(|| {
            let mut probabilities = self.logits.to_vec();
            softmax_in_place(&mut probabilities);
            probabilities
        })
    }

    /// Returns the logarithm of the sum of the exponentials of the logits.
    pub fn log_normalizer(&self) -> f64 {
        *self.log_normalizer.get_or_init(|| {
            let logits = self.logits.iter().copied();
            let largest = logits.clone().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = logits.map(|z| (z - largest).exp()).sum();
            sum.ln() + largest
        })
    }

    /// Returns the natural logarithm of the probability of `token`.
    pub fn log_probability(&self, token: usize) -> f64 {
        self.logits[token] - self.log_normalizer()
    }

    /// Adds `factor` times the gradient of the probability of `token` to `slopes`.
    ///
    /// `∂p_y/∂z = p_y (e_y − p)`. The entry at `y` is computed as the negated sum of the others,
    /// which stays accurate where `p_y` is nearly 1.
    pub fn add_probability_slope(&self, token: usize, factor: f64, slopes: &mut [f64]) {
        self.add_log_probability_slope(token, factor * self.probabilities()[token], slopes);
    }

    /// Adds `factor` times the gradient of the log-probability of `token`, `e_y − p`, to `slopes`.
    pub fn add_log_probability_slope(&self, token: usize, factor: f64, slopes: &mut [f64]) {
        let mut sum = 0.0;
        for (other, (slope, p)) in slopes.iter_mut().zip(self.probabilities()).enumerate() {
            if other != token {
                *slope -= factor * p;
                sum += factor * p;
            }
        }
        slopes[token] += sum;
    }
}

/// The gradient of a step function with respect to what it reads.
#[derive(Debug, Clone, PartialEq)]
pub struct Slopes {
    own: Vec<f64>,
    contrast: Option<Vec<f64>>,
    dropped: Vec<f64>,
}

impl Slopes {
    /// Returns the slopes with respect to the logits of [`Step::prediction`].
    pub fn logits(&mut self) -> &mut [f64] {
        &mut self.own
    }

    /// Returns the slopes with respect to the logits of [`Step::contrast`]: the step's own slopes
    /// if the contrast has no prediction of its own.
    pub fn contrast_logits(&mut self) -> &mut [f64] {
        self.contrast.as_mut().unwrap_or(&mut self.own)
    }

    /// Returns the slopes with respect to the log-probabilities of [`Step::dropped`].
    pub fn dropped(&mut self) -> &mut [f64] {
        &mut self.dropped
    }

    /// Returns the slopes with respect to the step's own logits, and to the contrast's if it has
    /// its own.
    pub fn into_parts(self) -> (Vec<f64>, Option<Vec<f64>>) {
        (self.own, self.contrast)
    }
}
