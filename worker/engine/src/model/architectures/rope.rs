//! Rotary frequencies, and the ways to scale them for longer texts.
//!
//! Files of transformers 4 have `rope_theta` at the top level, those of transformers 5 inside
//! `rope_parameters`. The scaling is in `rope_scaling` or in `rope_parameters`. All of these are
//! read. Frequencies are computed in single precision and in transformers' order of operations,
//! because the models were trained with exactly these values.
//!
//! `longrope` rotates *all* tokens differently once a text is longer than the model's original
//! length; see [`LongRotary`]. `dynamic` would do so at every length beyond it; in transformers
//! the result even depends on the longest text that the process has seen so far. There is no
//! single right answer for such lengths, so the model's maximum length is the original one, and a
//! longer text is refused.

use super::fields::head_sizes;
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{LongRotary, Pairing, RotarySpec};

/// Values that transformers assumes if the file does not give them.
#[derive(Debug, Clone, Copy)]
pub(super) struct RopeDefaults {
    /// Base of the geometric sequence of wavelengths.
    pub(super) theta: f64,
    /// Fraction of a head that is rotated; `None` if the architecture always rotates whole heads.
    pub(super) partial: Option<f64>,
    /// Whether the type `dynamic` with a field `alpha` means one rotation for texts of any length,
    /// whose base is larger.
    pub(super) has_alpha: bool,
}

/// The rotary embedding that a configuration describes.
pub(super) struct Rope {
    /// The rotation.
    pub(super) rotary: RotarySpec,
    /// Maximum length up to which the rotation does not depend on the text's length; `None` if
    /// there is no such limit.
    pub(super) valid_positions: Option<usize>,
}

/// The fields that describe a rotation.
struct Parameters {
    fields: ConfigFile,
    theta: f64,
    /// How many entries of each head are rotated.
    dim: usize,
}

/// Reads the rotation of heads with `head_dim` entries. Fails if the rope type is not supported.
pub(super) fn rope(
    config: &ConfigFile,
    head_dim: usize,
    defaults: RopeDefaults,
) -> Result<Rope, Error> {
    from_fields(config, described(config)?, head_dim, defaults)
}

/// Returns the factor of attention scores that DeepSeek's models apply beside the magnitude of a
/// scaled rotation.
pub(super) fn score_factor(config: &ConfigFile) -> Result<f64, Error> {
    let fields = described(config)?;
    let sharpens = fields
        .optional_number("mscale_all_dim")?
        .filter(|scale| *scale != 0.0);
    let (Some(scale), true) = (sharpens, kind(&fields)? != "default") else {
        return Ok(1.0);
    };
    let Some(factor) = fields.optional_number("factor")? else {
        return Err(config.refused("the rope parameters lack `factor`".to_owned()));
    };
    Ok(sharpening(factor, scale).powi(2))
}

/// Returns how much `YaRN` sharpens attention that is extended by `factor`.
fn sharpening(factor: f64, scale: f64) -> f64 {
    if factor <= 1.0 {
        1.0
    } else {
        0.1 * scale * factor.ln() + 1.0
    }
}

/// Returns the fields that describe the rotation, without the base in older files.
fn described(config: &ConfigFile) -> Result<ConfigFile, Error> {
    if let Some(fields) = config.object("rope_parameters")? {
        return Ok(fields);
    }
    let scaling = config.object("rope_scaling")?;
    Ok(scaling.unwrap_or_else(|| config.empty()))
}

/// Returns the rope type.
fn kind(fields: &ConfigFile) -> Result<&str, Error> {
    match fields.optional_text("rope_type")? {
        Some(kind) => Ok(kind),
        None => Ok(fields.optional_text("type")?.unwrap_or("default")),
    }
}

/// Reads two rotations: of layers without a window, then of those with one. `global` and `local` have
/// the defaults of each.
///
/// In files of transformers 5, `rope_parameters` describes each of them. In older files, the scaling
/// applies to layers without a window only.
pub(super) fn by_layer_type(
    config: &ConfigFile,
    global: RopeDefaults,
    local: RopeDefaults,
) -> Result<Vec<RotarySpec>, Error> {
    let (_, _, head_dim) = head_sizes(config, config.size("hidden_size")?)?;
    let Some(by_type) = config.object("rope_parameters")? else {
        let theta = config.optional_number("rope_theta")?.unwrap_or(local.theta);
        return Ok(vec![
            rope(config, head_dim, global)?.rotary,
            plain(head_dim, theta),
        ]);
    };
    let of_type = |name: &str, defaults: RopeDefaults| {
        let Some(fields) = by_type.object(name)? else {
            return Err(config.refused(format!("`rope_parameters` does not describe `{name}`")));
        };
        let rope = from_fields(config, fields, head_dim, defaults)?;
        if rope.valid_positions.is_some() {
            return Err(config.refused(format!(
                "the rope type of `{name}` is not supported for one kind of layer only"
            )));
        }
        Ok(rope.rotary)
    };
    Ok(vec![
        of_type("full_attention", global)?,
        of_type("sliding_attention", local)?,
    ])
}

/// Returns the unscaled rotation of whole heads with `head_dim` entries.
pub(super) fn plain(head_dim: usize, theta: f64) -> RotarySpec {
    RotarySpec {
        inverse_frequencies: inverse_frequencies(head_dim, theta),
        pairing: Pairing::Halves,
        magnitude: 1.0,
        long: None,
    }
}

/// Returns `theta^(−2j / dim)` for every plane `j`, a pair of entries that are rotated together.
pub(super) fn inverse_frequencies(dim: usize, theta: f64) -> Vec<f32> {
    wavelengths(dim, theta)
        .into_iter()
        .map(f32::recip)
        .collect()
}

/// Returns the maximum text length, scaling included.
fn max_positions(config: &ConfigFile) -> Result<usize, Error> {
    config.size("max_position_embeddings")
}

/// Returns `theta^(2j / dim)` for every plane `j`: its wavelength, up to a factor of 2π.
fn wavelengths(dim: usize, theta: f64) -> Vec<f32> {
    let exponent = |plane: usize| f64::from((2 * plane) as f32 / dim as f32);
    (0..dim / 2)
        .map(|plane| theta.powf(exponent(plane)) as f32)
        .collect()
}

/// Reads the rotation that `fields` describe.
pub(super) fn from_fields(
    config: &ConfigFile,
    fields: ConfigFile,
    head_dim: usize,
    defaults: RopeDefaults,
) -> Result<Rope, Error> {
    let mut parameters = Parameters::read(config, fields, head_dim, defaults)?;
    let kind = kind(&parameters.fields)?.to_owned();
    let alpha = parameters.fields.optional_number("alpha")?;
    let alpha = alpha.filter(|&alpha| defaults.has_alpha && kind == "dynamic" && alpha != 0.0);
    if let Some(alpha) = alpha {
        let dim = parameters.dim as f64;
        parameters.theta *= alpha.powf(dim / (dim - 2.0));
    }
    let plain = inverse_frequencies(parameters.dim, parameters.theta);
    let (mut valid_positions, mut long) = (None, None);
    let (inverse_frequencies, magnitude) = match kind.as_str() {
        "default" => (plain, 1.0),
        "dynamic" if alpha.is_some() => (plain, 1.0),
        "linear" => (parameters.linear(&plain)?, 1.0),
        "llama3" => (parameters.llama3(config, &plain)?, 1.0),
        "yarn" => parameters.yarn(config)?,
        "dynamic" => {
            // Up to the original length, this is the rotation without scaling.
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
    /// Reads theta and the number of rotated entries per head, from `fields` or from the top
    /// level.
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
        let dim = (head_dim as f64 * partial) as usize;
        if dim % 2 == 1 {
            return Err(config.refused(format!(
                "{dim} entries of each head would be rotated, but they are rotated in pairs"
            )));
        }
        Ok(Self {
            theta: number("rope_theta")?.unwrap_or(defaults.theta),
            dim,
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

    /// Returns the maximum text length before scaling.
    fn original_positions(&self, config: &ConfigFile) -> Result<usize, Error> {
        const NAME: &str = "original_max_position_embeddings";
        // If both places give it, transformers takes the one at the top level.
        let outer = config.optional_size(NAME)?;
        match outer.or(self.fields.optional_size(NAME)?) {
            Some(positions) => Ok(positions),
            None => max_positions(config),
        }
    }

    /// Divides all frequencies by the same factor.
    fn linear(&self, plain: &[f32]) -> Result<Vec<f32>, Error> {
        let factor = self.number("factor")? as f32;
        Ok(plain.iter().map(|f| f / factor).collect())
    }

    /// Llama 3's scaling: low frequencies are divided by a factor, high ones are kept, and those
    /// in between are blended smoothly.
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

    /// `YaRN`: interpolates low frequencies, extrapolates high ones, and sharpens attention.
    /// Returns the frequencies and the factor for queries and keys.
    ///
    /// Source: Peng et al. 2023, <https://arxiv.org/abs/2309.00071>.
    fn yarn(&self, config: &ConfigFile) -> Result<(Vec<f32>, f64), Error> {
        let original = self.original_positions(config)? as f64;
        let factor = match self.fields.optional_number("factor")? {
            Some(factor) => factor,
            None => max_positions(config)? as f64 / original,
        };
        let optional = |name: &str| self.fields.optional_number(name);
        let sharpening = |scale: f64| sharpening(factor, scale);
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
        // The plane that turns `turns` times over the original length.
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
            // As in transformers, so that the ramp below does not divide by zero.
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

    /// Divides the frequency of each plane by its own factor from the list in the field `name`.
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

    /// Returns the magnitude of rotated queries and keys, which sharpens attention. It grows with
    /// the extension of the text length and also applies to short texts.
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
