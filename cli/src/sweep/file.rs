//! What the file of a sweep says, as it is written.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use indexmap::IndexMap;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use whence_schemas::ordered::OrderedJson;

use super::budget::Budget;
use crate::Failure;

/// Options with their values, in the order in which they are written.
pub(super) type Settings = IndexMap<String, OrderedJson>;

/// The file of a sweep.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SweepFile {
    /// Options of every cell.
    #[serde(default)]
    pub(super) defaults: Written<OrderedJson>,
    /// What varies, with all its values.
    #[serde(default)]
    pub(super) axes: Written<Vec<OrderedJson>>,
    /// Combinations that are left out: for each axis a label, or several.
    #[serde(default)]
    pub(super) exclude: Vec<Written<OrderedJson>>,
    /// Cells in addition to the combinations.
    #[serde(default)]
    pub(super) include: Vec<Written<OrderedJson>>,
    /// Seeds with which every combination is repeated.
    #[serde(default)]
    pub(super) seeds: Vec<u64>,
    /// What the sweep may cost.
    #[serde(default)]
    pub(super) budget: Budget,
}

/// A map in the order in which it is written. A key that is there twice is refused.
#[derive(Debug)]
pub(super) struct Written<V>(IndexMap<String, V>);

impl<V> Default for Written<V> {
    fn default() -> Self {
        Self(IndexMap::new())
    }
}

impl<V> Deref for Written<V> {
    type Target = IndexMap<String, V>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Written<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder<V>(PhantomData<V>);

        impl<'de, V: Deserialize<'de>> Visitor<'de> for InOrder<V> {
            type Value = IndexMap<String, V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut written = IndexMap::new();
                while let Some((key, value)) = map.next_entry::<String, V>()? {
                    if written.contains_key(&key) {
                        return Err(A::Error::custom(format!("`{key}` is there twice")));
                    }
                    written.insert(key, value);
                }
                Ok(written)
            }
        }

        deserializer.deserialize_map(InOrder(PhantomData)).map(Self)
    }
}

/// Reads the text of a file. Fails with the line of what is not understood.
pub(super) fn parse(text: &str) -> Result<SweepFile, Failure> {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| Failure::request(error.to_string()))
}

/// Returns how a value is written in one line. Lines end up on terminals, so a text with other
/// characters is quoted.
pub(super) fn word(value: &OrderedJson) -> String {
    match value {
        OrderedJson::Text(text) if !text.contains(char::is_control) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_understood_is_refused_by_its_name() {
        for (text, named) in [
            ("axis: {}", "axis"),
            ("budget: {row: 3}", "row"),
            ("axes: {method: saliency}", "method"),
            ("seeds: [one]", "one"),
            ("seeds: [-1]", "-1"),
            ("defaults: {a: 1, a: 2}", "a"),
            ("defaults: [", ""),
        ] {
            let refused = parse(text).unwrap_err();
            assert!(
                refused.message().contains(named),
                "{text}: {}",
                refused.message()
            );
        }
    }

    #[test]
    fn a_value_is_one_line_that_a_terminal_shows_as_it_is() {
        let text = |text: &str| word(&OrderedJson::Text(text.to_owned()));
        assert_eq!(text("a b"), "a b");
        assert_eq!(text("a\nb"), r#""a\nb""#);
        assert!(!text("\u{1b}[31mred").contains('\u{1b}'));
    }

    #[test]
    fn axes_keep_their_order() {
        let file = parse("axes: {z: [1], a: [2], m: [3]}").unwrap();
        let names: Vec<_> = file.axes.keys().collect();
        assert_eq!(names, ["z", "a", "m"]);
    }
}
