//! `gradient_shap`: gradients at random points between baseline and input.
//!
//! `A = E[(x′ − b) ⊙ ∂F/∂x (b + c (x′ − b))]`, where c is uniform on `[0, 1)` and x′ is the input
//! plus normal noise of standard deviation `stdevs`; the expectation is the mean over `n_samples`
//! draws. Source: Lundberg & Lee 2017, <https://arxiv.org/abs/1705.07874>; Erion et al. 2021,
//! <https://arxiv.org/abs/1906.10670>.
//!
//! All steps of an example share its draws. Each step's estimate still has the same expectation and
//! variance as with draws of its own, and one forward pass per draw serves all steps. Inseq draws
//! again for every step, and with several examples in a batch it uses the baseline of a random one
//! of them, which we do not. Given Inseq's draws in `samples`, the scores equal Inseq's.
//!
//! Cost: `n_samples` forward passes for the batch, `n_samples` backward passes per step. With
//! `samples`, the forward passes run separately over every step's own prefix.

use serde::{Deserialize, Serialize};
use whence_schemas::Compat;

use super::method::{Method, Requirements, Sink, wrong_parameters};
use super::support::path::{PathEndpoints, Point, Weight, times};
use crate::Error;
use crate::aggregate::RawScores;
use crate::batch::Batch;
use crate::instance::Instance;
use crate::kernels::{host, rows};
use crate::model::{Embedded, Inputs};
use crate::random::Random;
use crate::registry::Describe;

/// Gradients at random points between baseline and input.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct GradientShap {
    /// Number of draws.
    pub n_samples: usize,
    /// Standard deviation of the noise added to the inputs.
    pub stdevs: f64,
    /// Multiply by the difference from the baseline.
    pub multiply_by_inputs: bool,
    /// Record the convergence delta of each step.
    pub return_convergence_delta: bool,
    /// For each step, the values of c to use instead of random draws; for comparisons with Inseq.
    /// One example only.
    pub samples: Option<Vec<Vec<f64>>>,
}

impl Default for GradientShap {
    fn default() -> Self {
        Self {
            n_samples: 5,
            stdevs: 0.0,
            multiply_by_inputs: true,
            return_convergence_delta: false,
            samples: None,
        }
    }
}

impl Describe for GradientShap {
    const NAME: &'static str = "gradient_shap";
    const SUMMARY: &'static str =
        "mean of gradients at random points between a baseline and the input";
}

impl Method for GradientShap {
    fn attribute(&self, batch: &Batch<'_>, sink: &dyn Sink) -> Result<(), Error> {
        self.check_samples(batch)?;
        let Some(samples) = &self.samples else {
            let draw = |sample: usize, instance: &Instance| {
                // One stream per sample: more samples do not change the draws of the first ones.
                let purpose = format!("gradient_shap coefficient {sample}");
                Random::new(batch.seed, instance.id, &purpose).uniform()
            };
            let coefficients = (0..self.n_samples).map(|sample| {
                let instances = batch.instances.iter();
                instances.map(|instance| draw(sample, instance)).collect()
            });
            return self.attribute_at(&coefficients.collect::<Vec<_>>(), batch, sink);
        };
        let instances = batch.one_instance_a_step();
        let by_step = Batch {
            instances: &instances,
            ..*batch
        };
        let of_sample = |sample: usize| samples.iter().map(|step| step[sample]).collect();
        let coefficients: Vec<_> = (0..self.n_samples).map(of_sample).collect();
        self.attribute_at(&coefficients, &by_step, sink)
    }

    fn validate(&self) -> Result<(), String> {
        if self.n_samples == 0 {
            return Err("`n_samples` must be at least 1".to_owned());
        }
        if !(self.stdevs >= 0.0 && self.stdevs.is_finite()) {
            let given = self.stdevs;
            return Err(format!(
                "`stdevs` is {given}, it must be a finite number of at least 0"
            ));
        }
        Ok(())
    }

    fn default_aggregators(&self) -> &'static [&'static str] {
        &["vnorm"]
    }

    fn requirements(&self, _: Compat) -> Requirements<'_> {
        Requirements::GRADIENTS.with_deltas(self.return_convergence_delta)
    }
}

impl GradientShap {
    fn check_samples(&self, batch: &Batch<'_>) -> Result<(), Error> {
        let Some(samples) = &self.samples else {
            return Ok(());
        };
        let steps = batch.steps().len();
        if samples.len() != steps || samples.iter().any(|step| step.len() != self.n_samples) {
            let reason = format!(
                "`samples` must have `n_samples` = {} values for each of the {steps} steps",
                self.n_samples
            );
            return Err(wrong_parameters(Self::NAME, reason));
        }
        Ok(())
    }

    /// Attributes with c = `coefficients[sample][instance]`.
    fn attribute_at(
        &self,
        coefficients: &[Vec<f64>],
        batch: &Batch<'_>,
        sink: &dyn Sink,
    ) -> Result<(), Error> {
        let ends = PathEndpoints::new(batch)?;
        let distance = ends.distance()?;
        let equal = 1.0 / coefficients.len() as f64;
        let point = |sample: usize| {
            let input = self.noisy(batch, sample, &ends.input)?;
            // The factor x′ − b differs between draws once there is noise, so each gradient is
            // multiplied by its own. Without noise one multiplication of the sum is enough.
            let weight = if self.stdevs > 0.0 && self.multiply_by_inputs {
                Weight::Each(towards(&ends.baseline, &input, |_| equal, Origin::Zero)?)
            } else {
                Weight::Same(equal)
            };
            let coefficient = |instance: usize| coefficients[sample][instance];
            let at = towards(&ends.baseline, &input, coefficient, Origin::Baseline)?;
            let target_moves = batch.attributes_target();
            Ok(Point {
                at: Inputs {
                    source: at.source,
                    target: if target_moves {
                        at.target
                    } else {
                        ends.input.target.clone()
                    },
                },
                weight,
            })
        };
        let totals = ends.integrate(
            coefficients.len(),
            point,
            |step, sum| {
                if self.multiply_by_inputs && self.stdevs == 0.0 {
                    return times(sum, &distance, step);
                }
                Ok(RawScores {
                    source: sum.source,
                    target: sum.target,
                })
            },
            sink,
        )?;
        if self.return_convergence_delta {
            ends.record_deltas(&totals, sink)?;
        }
        Ok(())
    }

    /// Adds the noise of one sample to the inputs.
    fn noisy(&self, batch: &Batch<'_>, sample: usize, input: &Inputs) -> Result<Inputs, Error> {
        if self.stdevs == 0.0 {
            return Ok(input.clone());
        }
        let side = |embedded: &Embedded, side: &str| -> Result<Embedded, Error> {
            let hidden = embedded.rows.dim(1)?;
            let mut noise = Vec::with_capacity(embedded.rows.elem_count());
            for (rows, instance) in embedded.sequences.iter().zip(batch.instances) {
                let purpose = format!("gradient_shap {side} noise {sample}");
                let mut random = Random::new(batch.seed, instance.id, &purpose);
                noise.extend((0..rows.len() * hidden).map(|_| self.stdevs * random.normal()));
            }
            let noise = host::upload_as(noise, embedded.rows.shape(), embedded.rows.dtype())?;
            Ok(Embedded {
                rows: rows::add(&embedded.rows, &noise)?,
                sequences: embedded.sequences.clone(),
            })
        };
        Ok(Inputs {
            source: input
                .source
                .as_ref()
                .map(|e| side(e, "source"))
                .transpose()?,
            target: side(&input.target, "target")?,
        })
    }
}

/// What [`towards`] adds the scaled difference to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Baseline,
    Zero,
}

/// Returns `origin + c (input − baseline)`, where c is the coefficient of the row's instance.
fn towards(
    baseline: &Inputs,
    input: &Inputs,
    coefficient: impl Fn(usize) -> f64,
    origin: Origin,
) -> Result<Inputs, Error> {
    let side = |input: &Embedded, baseline: &Embedded| -> Result<Embedded, Error> {
        let lengths = input.sequences.lengths().enumerate();
        let coefficients: Vec<f64> = lengths
            .flat_map(|(instance, len)| std::iter::repeat_n(coefficient(instance), len))
            .collect();
        let step = rows::subtract(&input.rows, &baseline.rows)?;
        let step = rows::scale_each(&step, &coefficients)?;
        Ok(Embedded {
            rows: match origin {
                Origin::Baseline => rows::add(&baseline.rows, &step)?,
                Origin::Zero => step,
            },
            sequences: input.sequences.clone(),
        })
    };
    let source = match (&input.source, &baseline.source) {
        (Some(input), Some(baseline)) => Some(side(input, baseline)?),
        _ => None,
    };
    Ok(Inputs {
        source,
        target: side(&input.target, &baseline.target)?,
    })
}
