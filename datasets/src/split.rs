//! The split grammar of `datasets`: `train[:20]`, `train[10%:20%]`, `train[:1%]+test[-5:]`.
//!
//! Bounds, rounding and errors follow `datasets`. A bound past the end means the end. Percentages
//! round to the nearest row, and halves to the even one. With `(pct1_dropremainder)`, every percent
//! is the same number of rows, and the remainder of the dataset is dropped.

use std::ops::Range;

use crate::Error;

/// Which rows of a dataset are selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    text: String,
    parts: Vec<Part>,
}

/// The name that stands for all splits, one after another, if nothing else is asked for.
const ALL: &str = "all";

/// Consecutive rows of one named split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    name: String,
    slice: Slice,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slice {
    Rows {
        from: Option<i64>,
        to: Option<i64>,
    },
    Percent {
        from: Option<i64>,
        to: Option<i64>,
        rounding: Rounding,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rounding {
    /// A percentage is rounded to the nearest row. The default.
    Closest,
    /// Every percent is the same whole number of rows.
    Pct1DropRemainder,
}

impl Split {
    /// Parses a split. The error says what is wrong and what a split must look like.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |reason: String| Error::Split {
            split: text.to_owned(),
            reason,
        };
        // Blanks are allowed around a `+`, and nowhere else.
        let mut parts: Vec<&str> = text.split('+').collect();
        if let [_, others @ ..] = &mut parts[..] {
            for part in others {
                *part = part.trim_start();
            }
        }
        if let [others @ .., _] = &mut parts[..] {
            for part in others {
                *part = part.trim_end();
            }
        }
        let parts = parts.into_iter().map(Part::parse);
        let parts: Vec<Part> = parts.collect::<Result<_, _>>().map_err(refuse)?;
        // Only the first part is compared with the others, as in `datasets`.
        let mut roundings = parts.iter().map(|part| part.slice.rounding());
        if let Some(Some(first)) = roundings.next()
            && roundings.flatten().any(|other| other != first)
        {
            return Err(refuse("its parts round differently".to_owned()));
        }
        Ok(Self {
            text: text.to_owned(),
            parts,
        })
    }

    /// Returns its parts, in order, of a dataset with the splits `known`. Fails if it names another.
    pub fn parts(&self, known: &[&str]) -> Result<Vec<Part>, Error> {
        if self.text == ALL {
            return Ok(known.iter().map(|name| Part::whole(name)).collect());
        }
        let is_unknown = |part: &&Part| !known.contains(&part.name.as_str());
        if let Some(part) = self.parts.iter().find(is_unknown) {
            let known: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
            return Err(Error::Split {
                split: self.text.clone(),
                reason: format!(
                    "the dataset has no split `{}`; there are {}",
                    part.name,
                    known.join(", ")
                ),
            });
        }
        Ok(self.parts.clone())
    }

    /// Returns the rows that `part` selects out of `num_rows` rows.
    pub fn resolve(&self, part: &Part, num_rows: u64) -> Result<Range<u64>, Error> {
        part.slice.resolve(num_rows).map_err(|reason| Error::Split {
            split: self.text.clone(),
            reason,
        })
    }
}

impl Part {
    fn whole(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            slice: Slice::Rows {
                from: None,
                to: None,
            },
        }
    }

    /// Returns the name of the split.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns whether the selected rows depend on the total number of rows.
    pub fn needs_count(&self) -> bool {
        let from_end = |bound: Option<i64>| bound.is_some_and(i64::is_negative);
        match self.slice {
            Slice::Rows { from, to } => from_end(from) || from_end(to),
            Slice::Percent { .. } => true,
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let form = || {
            format!(
                "`{text}` is unrecognized; write a name with an optional slice, such as \
                 `train[:20]` or `train[10%:20%]`"
            )
        };
        let name_end = text.find(['[', '(']).unwrap_or(text.len());
        let (name, rest) = text.split_at(name_end);
        if !is_split_name(name) {
            return Err(form());
        }
        let (slice, rest) = match rest.strip_prefix('[') {
            Some(rest) => rest
                .split_once(']')
                .map(|(slice, rest)| (Some(slice), rest))
                .ok_or_else(form)?,
            None => (None, rest),
        };
        let rounding = match rest {
            "" | "(closest)" => Rounding::Closest,
            "(pct1_dropremainder)" => Rounding::Pct1DropRemainder,
            _ => return Err(form()),
        };
        let is_rounded = !rest.is_empty();
        let slice = match slice {
            Some(slice) => Slice::parse(slice, rounding).ok_or_else(form)?,
            None => Slice::Rows {
                from: None,
                to: None,
            },
        };
        slice.check_percents()?;
        if is_rounded && slice.rounding().is_none() {
            return Err(format!(
                "`{rest}` is for a slice in percent, such as `{name}[:10%]`"
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            slice,
        })
    }
}

impl Slice {
    fn parse(text: &str, rounding: Rounding) -> Option<Self> {
        let (from, to) = text.split_once(':')?;
        let (from, from_is_percent) = bound(from)?;
        let (to, to_is_percent) = bound(to)?;
        Some(if from_is_percent || to_is_percent {
            Self::Percent { from, to, rounding }
        } else {
            Self::Rows { from, to }
        })
    }

    fn rounding(self) -> Option<Rounding> {
        match self {
            Self::Percent { rounding, .. } => Some(rounding),
            Self::Rows { .. } => None,
        }
    }

    fn check_percents(self) -> Result<(), String> {
        let Self::Percent { from, to, .. } = self else {
            return Ok(());
        };
        match [from, to]
            .into_iter()
            .flatten()
            .find(|bound| bound.unsigned_abs() > 100)
        {
            Some(bound) => Err(format!("{bound} % is not between -100 and 100")),
            None => Ok(()),
        }
    }

    fn resolve(self, num_rows: u64) -> Result<Range<u64>, String> {
        let count = i64::try_from(num_rows).unwrap_or(i64::MAX);
        let (from, to) = match self {
            Self::Rows { from, to } => (from, to),
            Self::Percent { from, to, rounding } => {
                if rounding == Rounding::Pct1DropRemainder && num_rows < 100 {
                    return Err(format!(
                        "`pct1_dropremainder` needs 100 rows, there are {num_rows}; \
                         use `closest`"
                    ));
                }
                let to_rows = |percent: i64| match rounding {
                    Rounding::Closest => {
                        (percent as f64 * count as f64 / 100.0).round_ties_even() as i64
                    }
                    Rounding::Pct1DropRemainder => percent * (count / 100),
                };
                (from.map(to_rows), to.map(to_rows))
            }
        };
        let clamp = |bound: i64| {
            let from_start = if bound < 0 {
                count.saturating_add(bound)
            } else {
                bound
            };
            from_start.clamp(0, count) as u64
        };
        let (start, end) = (from.map_or(0, clamp), to.map_or(num_rows, clamp));
        Ok(start..end.max(start))
    }
}

/// Parses one bound of a slice. Returns its value, if it has one, and whether it is a percentage.
/// Returns `None` if it is not valid.
fn bound(text: &str) -> Option<(Option<i64>, bool)> {
    if text.is_empty() {
        return Some((None, false));
    }
    let (digits, is_percent) = match text.strip_suffix('%') {
        Some(digits) => (digits, true),
        None => (text, false),
    };
    let unsigned = digits.strip_prefix('-').unwrap_or(digits);
    let is_number = unsigned.chars().all(|c| c.is_ascii_digit() || c == '_')
        && unsigned.starts_with(|c: char| c.is_ascii_digit())
        && unsigned.ends_with(|c: char| c.is_ascii_digit());
    if !is_number || unsigned.contains("__") {
        return None;
    }
    // A bound too large to be one is past the end, on either side.
    let value = digits
        .replace('_', "")
        .parse()
        .unwrap_or(if digits.starts_with('-') {
            i64::MIN
        } else {
            i64::MAX
        });
    Some((Some(value), is_percent))
}

/// Returns whether a split can have this name: words of letters, digits and `_`, joined by dots.
pub(crate) fn is_split_name(name: &str) -> bool {
    let is_word =
        |word: &str| !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || c == '_');
    name.split('.').all(is_word)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(text: &str, num_rows: u64) -> Result<Vec<Range<u64>>, Error> {
        let split = Split::parse(text)?;
        let parts = split.parts(&["train", "test"])?;
        let ranges = parts.iter().map(|part| split.resolve(part, num_rows));
        ranges.collect()
    }

    #[test]
    #[expect(clippy::single_range_in_vec_init, reason = "a part selects one range")]
    fn slices_are_those_of_datasets() {
        // These are the results of `datasets` 5.2 for 250 rows.
        let table: &[(&str, &[Range<u64>])] = &[
            ("train", &[0..250]),
            ("train[:20]", &[0..20]),
            ("train[10%:20%]", &[25..50]),
            ("train[-5:]", &[245..250]),
            ("train[:-5]", &[0..245]),
            ("train[:25%] + train[:3]", &[0..62, 0..3]),
            ("train[:1%]", &[0..2]),
            ("train[1%:2%](pct1_dropremainder)", &[2..4]),
            ("train[:1_00]", &[0..100]),
            ("train[-10%:]", &[225..250]),
            ("train[:9999]", &[0..250]),
            ("train[-9999:2]", &[0..2]),
            ("train[:]", &[0..250]),
            ("train[:99999999999999999999]", &[0..250]),
            ("train[-99999999999999999999:1]", &[0..1]),
            ("train[10:50%]", &[25..125]),
            (
                "train+train[:1%]+train[:1%](pct1_dropremainder)",
                &[0..250, 0..2, 0..2],
            ),
        ];
        for (text, expected) in table {
            assert_eq!(&rows(text, 250).unwrap(), expected, "{text}");
        }
        assert!(rows("train[5:2]", 250).unwrap()[0].is_empty());
    }

    #[test]
    fn what_datasets_refuses_is_refused() {
        let refused = [
            "",
            "train[10]",
            "train [:3]",
            "train[:1.5%]",
            "train[:150%]",
            "train[:3",
            "tr ain",
            "train[:3](half)",
            "train[_1:]",
            "train[a:]",
            "train++test",
            "train[:5]x",
            "train[1__0:]",
            " train",
            "train ",
            "train(closest)",
            "train[:3](closest)",
            "train[:](pct1_dropremainder)",
            "train[:10%]()",
            "train[:10%]+test[:10%](pct1_dropremainder)",
        ];
        for text in refused {
            assert!(Split::parse(text).is_err(), "{text}");
        }
        assert!(rows("train[:1%](pct1_dropremainder)", 99).is_err());
    }

    #[test]
    fn a_split_must_be_one_of_the_dataset() {
        let names = |text: &str| -> Result<Vec<String>, Error> {
            let parts = Split::parse(text)?.parts(&["en", "fr.x"])?;
            Ok(parts.iter().map(|part| part.name().to_owned()).collect())
        };
        assert_eq!(names("all").unwrap(), ["en", "fr.x"]);
        assert_eq!(names("fr.x[:3] + en").unwrap(), ["fr.x", "en"]);
        for unknown in ["train", "all[:3]", "en+all"] {
            let error = names(unknown).unwrap_err().to_string();
            assert!(error.contains("there are `en`, `fr.x`"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn a_slice_stays_within_the_rows(from in -300i64..300, to in -300i64..300, count in 0u64..260) {
            let range = rows(&format!("train[{from}:{to}]"), count).unwrap().remove(0);
            prop_assert!(range.start <= range.end && range.end <= count);
        }

        #[test]
        fn consecutive_percents_partition_the_rows(cut in 0i64..=100, count in 0u64..1000) {
            let parts = rows(&format!("train[:{cut}%]+train[{cut}%:]"), count).unwrap();
            prop_assert_eq!(parts[0].start, 0);
            prop_assert_eq!(parts[0].end, parts[1].start);
            prop_assert_eq!(parts[1].end, count);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,24}") {
            drop(rows(&text, 10));
        }
    }
}
