//! The parts of a page that change while it is open, and what has changed between two looks.

use std::collections::BTreeMap;
use std::fmt;

use askama::filters::HtmlSafe;
use serde::Serialize;

use super::markup::Markup;

/// An element of a page, with the value of its `id` attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) id: String,
    pub(super) html: Markup,
}

/// An element with this `id`, whose children are the parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) id: &'static str,
    pub(super) parts: Vec<Part>,
}

impl Region {
    /// Makes a region of one part.
    pub(super) fn single(id: &'static str, html: Markup) -> Self {
        let part = Part {
            id: format!("{id}-now"),
            html,
        };
        Self {
            id,
            parts: vec![part],
        }
    }

    /// Returns the HTML of all parts.
    fn html(&self) -> String {
        self.to_string()
    }

    fn has_same_parts(&self, other: &Self) -> bool {
        let ids = |region: &'_ Self| {
            let ids = region.parts.iter().map(|part| part.id.clone());
            ids.collect::<Vec<_>>()
        };
        self.id == other.id && ids(self) == ids(other)
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| part.html.fmt(f))
    }
}

/// Its parts came out of templates.
impl HtmlSafe for Region {}

/// What a page has to exchange to be up to date.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Update {
    /// New HTML of elements, by their ids.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) parts: BTreeMap<String, String>,
    /// New content of regions whose parts have come, gone or moved.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) regions: BTreeMap<&'static str, String>,
}

impl Update {
    /// Returns what leads from `before` to `after`.
    pub(super) fn between(before: &[Region], after: &[Region]) -> Self {
        let mut update = Self::default();
        for region in after {
            let known = before.iter().find(|known| known.has_same_parts(region));
            let Some(known) = known else {
                update.regions.insert(region.id, region.html());
                continue;
            };
            for (old, new) in known.parts.iter().zip(&region.parts) {
                if old != new {
                    update.parts.insert(new.id.clone(), new.html.to_string());
                }
            }
        }
        update
    }

    /// Returns whether nothing has changed.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Returns the digest of what the regions show, by which a page says what it has.
pub(super) fn version(regions: &[Region]) -> String {
    let mut hasher = blake3::Hasher::new();
    for region in regions {
        hasher.update(region.id.as_bytes());
        for part in &region.parts {
            hasher.update(&[0]);
            hasher.update(part.html.as_str().as_bytes());
        }
    }
    hasher.finalize().to_hex()[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use askama::Template;

    use super::*;

    #[derive(Template)]
    #[template(source = "<p id=\"{{ id }}\">{{ text }}</p>", ext = "html")]
    struct Row {
        id: String,
        text: String,
    }

    fn region(rows: &[(&str, &str)]) -> Region {
        let part = |(id, text): &(&str, &str)| Part {
            id: (*id).to_owned(),
            html: Markup::of(&Row {
                id: (*id).to_owned(),
                text: (*text).to_owned(),
            })
            .unwrap(),
        };
        Region {
            id: "rows",
            parts: rows.iter().map(part).collect(),
        }
    }

    #[test]
    fn only_what_has_changed_is_sent() {
        let before = [region(&[("a", "1"), ("b", "2")])];
        assert!(Update::between(&before, &before).is_empty());
        let after = [region(&[("a", "1"), ("b", "3")])];
        let update = Update::between(&before, &after);
        let json = serde_json::to_value(&update).unwrap();
        let expected = serde_json::json!({"parts": {"b": "<p id=\"b\">3</p>"}});
        assert_eq!(json, expected);
        assert_ne!(version(&before), version(&after));
        assert_eq!(version(&before), version(&before.clone()));
    }

    #[test]
    fn a_list_is_sent_whole_if_its_items_are_others() {
        let before = [region(&[("a", "1"), ("b", "2")])];
        for rows in [&[("b", "2"), ("a", "1")][..], &[("a", "1")], &[]] {
            let after = [region(rows)];
            let update = Update::between(&before, &after);
            assert!(update.parts.is_empty());
            assert_eq!(update.regions["rows"], after[0].html());
        }
        // A page that shows nothing yet gets everything.
        let update = Update::between(&[], &before);
        assert_eq!(update.regions["rows"], before[0].html());
    }
}
