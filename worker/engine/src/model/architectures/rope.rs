//! Rotary frequencies, with the ways to stretch them to longer texts.
//!
//! `rope_theta` stands at the top level in files of transformers 4 and inside `rope_parameters` in
//! those of 5, the stretching in `rope_scaling` or in `rope_parameters`; all are read. Frequencies
//! are computed in single precision, in transformers' order of operations: models were trained
//! with them.
//!
//! `longrope` turns *all* tokens otherwise once a text is longer than the model's original length: see
//! [`LongRotary`]. `dynamic` turns them otherwise at every length beyond it, in transformers by what
//! the longest text was that the process has seen: there is no one answer to give, so the model's
//! length ends there, and a longer text is refused as too long.

use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{LongRotary, Pairing, RotarySpec};

/// What transformers assumes where a file says nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct RopeDefaults {
    /// Base of the wavelengths.
    pub(super) theta: f64,
    /// How much of a head is turned; `None` where the architecture always turns all of it.
    pub(super) partial: Option<f64>,
}

/// The rotary part of a configuration.
pub(super) struct Rope {
    /// The rotation.
    pub(super) rotary: RotarySpec,
    /// Where the rotation would change with every token; `None` where it never does.
    pub(super) valid_positions: Option<usize>,
}

/// What a configuration says about its rotation.
struct Parameters {
    fields: ConfigFile,
    theta: f64,
    /// Entries of a head that are turned.
    dim: usize,
}

/// Reads the rotation of heads of `head_dim` entries. Fails on a rope type we do not have.
pub(super) fn rope(
    config: &ConfigFile,
    head_dim: usize,
    defaults: RopeDefaults,
) -> Result<Rope, Error> {
    let fields = match config.object("rope_parameters")? {
        Some(fields) => fields,
        None => config
            .object("rope_scaling")?
            .unwrap_or_else(|| config.empty()),
    };
    from_fields(config, fields, head_dim, defaults)
}

/// Returns the rotation of whole heads of `head_dim` entries without any stretching.
pub(super) fn plain(head_dim: usize, theta: f64) -> RotarySpec {
    RotarySpec {
        inverse_frequencies: inverse_frequencies(head_dim, theta),
        pairing: Pairing::Halves,
        magnitude: 1.0,
        long: None,
    }
}

/// Returns `theta^(−2j / dim)` of every plane.
pub(super) fn inverse_frequencies(dim: usize, theta: f64) -> Vec<f32> {
    wavelengths(dim, theta)
        .into_iter()
        .map(f32::recip)
        .collect()
}

/// Returns how long texts can be once the rotation is stretched.
fn max_positions(config: &ConfigFile) -> Result<usize, Error> {
    config.size("max_position_embeddings")
}

fn wavelengths(dim: usize, theta: f64) -> Vec<f32> {
    let exponent = |plane: usize| f64::from((2 * plane) as f32 / dim as f32);
    (0..dim / 2)
        .map(|plane| theta.powf(exponent(plane)) as f32)
        .collect()
}

/// Reads the rotation `fields` describe.
pub(super) fn from_fields(
    config: &ConfigFile,
    fields: ConfigFile,
    head_dim: usize,
    defaults: RopeDefaults,
) -> Result<Rope, Error> {
    let parameters = Parameters::read(config, fields, head_dim, defaults)?;
    let kind = match parameters.fields.optional_text("rope_type")? {
        Some(kind) => kind.to_owned(),
        None => parameters
            .fields
            .optional_text("type")?
            .unwrap_or("default")
            .to_owned(),
    };
    let plain = inverse_frequencies(parameters.dim, parameters.theta);
    let (mut valid_positions, mut long) = (None, None);
    let (inverse_frequencies, magnitude) = match kind.as_str() {
        "default" => (plain, 1.0),
        "linear" => (parameters.linear(&plain)?, 1.0),
        "llama3" => (parameters.llama3(config, &plain)?, 1.0),
        "yarn" => parameters.yarn(config)?,
        "dynamic" => {
            valid_positions = Some(parameters.original_positions(config)?);
            (plain, 1.0)
        }
        "longrope" | "su" => {
            long = Some(LongRotary {
                beyond: parameters.original_positions(config)?,
                inverse_frequencies: parameters.divided_by(config, "long_factor")?,
            });
            let short = parameters.divided_by(config, "short_factor")?;
            (short, parameters.longrope_magnitude(config)?)
        }
        _ => {
            return Err(config.refused(format!(
                "rope type `{kind}` is not supported, only `default`, `linear`, `dynamic`, `llama3`, `yarn` and `longrope`"
            )));
        }
    };
    Ok(Rope {
        rotary: RotarySpec {
            inverse_frequencies,
            pairing: Pairing::Halves,
            magnitude,
            long,
        },
        valid_positions,
    })
}

impl Parameters {
    /// Reads theta and the number of rotated entries per head, from `fields` or beside them.
    fn read(
        config: &ConfigFile,
        fields: ConfigFile,
        head_dim: usize,
        defaults: RopeDefaults,
    ) -> Result<Self, Error> {
        let number = |name: &str| -> Result<Option<f64>, Error> {
            Ok(fields
                .optional_number(name)?
                .or(config.optional_number(name)?))
        };
        let partial = match (number("partial_rotary_factor")?, defaults.partial) {
            (Some(partial), None) if partial != 1.0 => {
                return Err(config.refused(format!(
                    "`partial_rotary_factor` is {partial}, but this architecture rotates whole heads"
                )));
            }
            (given, default) => given.or(default).unwrap_or(1.0),
        };
        Ok(Self {
            theta: number("rope_theta")?.unwrap_or(defaults.theta),
            dim: (head_dim as f64 * partial) as usize,
            fields,
        })
    }

    fn number(&self, name: &str) -> Result<f64, Error> {
        let number = self.fields.optional_number(name)?;
        number.ok_or_else(|| {
            self.fields
                .refused(format!("the rope parameters lack `{name}`"))
        })
    }

    /// Returns how long texts were before the rotation was stretched.
    fn original_positions(&self, config: &ConfigFile) -> Result<usize, Error> {
        const NAME: &str = "original_max_position_embeddings";
        // Where both places say it, transformers reads the outer one.
        let outer = config.optional_size(NAME)?;
        match outer.or(self.fields.optional_size(NAME)?) {
            Some(positions) => Ok(positions),
            None => max_positions(config),
        }
    }

    /// Turns everything slower by the same factor.
    fn linear(&self, plain: &[f32]) -> Result<Vec<f32>, Error> {
        let factor = self.number("factor")? as f32;
        Ok(plain.iter().map(|f| f / factor).collect())
    }

    /// Turns slow planes slower, leaves fast ones, and passes smoothly between the two.
    fn llama3(&self, config: &ConfigFile, plain: &[f32]) -> Result<Vec<f32>, Error> {
        let factor = self.number("factor")? as f32;
        let (low, high) = (
            self.number("low_freq_factor")?,
            self.number("high_freq_factor")?,
        );
        let original = self.original_positions(config)? as f64;
        let (longest, shortest) = ((original / low) as f32, (original / high) as f32);
        let stretch = |&f: &f32| {
            let wavelength = std::f64::consts::TAU as f32 / f;
            if wavelength > longest {
                return f / factor;
            }
            if wavelength < shortest {
                return f;
            }
            let smooth = (original as f32 / wavelength - low as f32) / (high - low) as f32;
            (1.0 - smooth) * f / factor + smooth * f
        };
        Ok(plain.iter().map(stretch).collect())
    }

    /// Interpolates slow planes, extrapolates fast ones, and sharpens attention.
    ///
    /// Source: Peng et al. 2023, <https://arxiv.org/abs/2309.00071>.
    fn yarn(&self, config: &ConfigFile) -> Result<(Vec<f32>, f64), Error> {
        let original = self.original_positions(config)? as f64;
        let factor = match self.fields.optional_number("factor")? {
            Some(factor) => factor,
            None => max_positions(config)? as f64 / original,
        };
        let optional = |name: &str| self.fields.optional_number(name);
        let sharpening = |scale: f64| {
            if factor <= 1.0 {
                1.0
            } else {
                0.1 * scale * factor.ln() + 1.0
            }
        };
        let nonzero = |value: Option<f64>| value.filter(|value| *value != 0.0);
        let magnitude = match (
            optional("attention_factor")?,
            nonzero(optional("mscale")?),
            nonzero(optional("mscale_all_dim")?),
        ) {
            (Some(given), _, _) => given,
            (None, Some(scale), Some(all)) => sharpening(scale) / sharpening(all),
            _ => sharpening(1.0),
        };
        let (fast, slow) = (
            nonzero(optional("beta_fast")?).unwrap_or(32.0),
            nonzero(optional("beta_slow")?).unwrap_or(1.0),
        );
        let plane_of = |turns: f64| {
            self.dim as f64 * (original / (turns * std::f64::consts::TAU)).ln()
                / (2.0 * self.theta.ln())
        };
        let (mut first, mut last) = (plane_of(fast), plane_of(slow));
        if self.fields.flag_or("truncate", true)? {
            (first, last) = (first.floor(), last.ceil());
        }
        let (first, mut last) = (first.max(0.0), last.min((self.dim - 1) as f64));
        if first == last {
            last += 0.001;
        }
        let blend = |(plane, wavelength): (usize, f32)| {
            let ramp = (plane as f32 - first as f32) / (last - first) as f32;
            let extrapolated = 1.0 - ramp.clamp(0.0, 1.0);
            (1.0 / (factor as f32 * wavelength)) * (1.0 - extrapolated)
                + wavelength.recip() * extrapolated
        };
        let frequencies = wavelengths(self.dim, self.theta)
            .into_iter()
            .enumerate()
            .map(blend);
        Ok((frequencies.collect(), magnitude))
    }

    /// Divides each plane by a factor of its own, those that `name` lists.
    ///
    /// Source: Ding et al. 2024, <https://arxiv.org/abs/2402.13753>.
    fn divided_by(&self, config: &ConfigFile, name: &str) -> Result<Vec<f32>, Error> {
        let factors = self.fields.numbers(name)?;
        if factors.len() != self.dim / 2 {
            return Err(config.refused(format!(
                "`{name}` has {} numbers, the heads have {} planes",
                factors.len(),
                self.dim / 2
            )));
        }
        let planes = wavelengths(self.dim, self.theta).into_iter().zip(factors);
        let frequencies = planes.map(|(wavelength, factor)| 1.0 / (factor as f32 * wavelength));
        Ok(frequencies.collect())
    }

    /// Returns how much a text longer than the original sharpens attention, in short texts too.
    fn longrope_magnitude(&self, config: &ConfigFile) -> Result<f64, Error> {
        let original = self.original_positions(config)? as f64;
        let factor = match self.fields.optional_number("factor")? {
            Some(factor) => factor,
            None => max_positions(config)? as f64 / original,
        };
        Ok(match self.fields.optional_number("attention_factor")? {
            Some(given) => given,
            None if factor <= 1.0 => 1.0,
            None => (1.0 + factor.ln() / original.ln()).sqrt(),
        })
    }
}
