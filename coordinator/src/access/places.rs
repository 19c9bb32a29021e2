//! What a job may name: only models and datasets below certain places.

use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use serde_json::Value;
use whence_schemas::JobSpec;
use whence_schemas::location::DatasetOrigin;

/// A folder of this machine, or the beginning of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(String);

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.contains("://") && !Path::new(text).is_absolute() {
            return Err(format!(
                "`{text}` is neither an absolute path nor an address such as `s3://bucket/prefix`"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Place {
    /// Returns whether what `name` names is at this place or below it.
    fn holds(&self, name: &str) -> bool {
        if let Some((scheme, rest)) = self.0.split_once("://") {
            let Some(name) = name
                .strip_prefix(scheme)
                .and_then(|name| name.strip_prefix("://"))
            else {
                return false;
            };
            let name = name.split('?').next().unwrap_or_default();
            let climbs = name.split('/').any(|part| part == "..");
            return !climbs && is_below(rest.trim_end_matches('/'), name);
        }
        if name.contains("://") {
            return false;
        }
        // What is behind links counts, as far as it is there: a pattern of files is not.
        let named = resolved(Path::new(name));
        named.is_some_and(|named| {
            named.starts_with(resolved(Path::new(&self.0)).unwrap_or_default())
        })
    }
}

fn is_below(place: &str, name: &str) -> bool {
    let rest = name.strip_prefix(place);
    rest.is_some_and(|rest| place.is_empty() || rest.is_empty() || rest.starts_with(['/', '@']))
}

/// Returns an absolute path without links, as far as it exists. Returns `None` if it is not absolute, or
/// climbs out of folders that do not exist.
fn resolved(path: &Path) -> Option<PathBuf> {
    if let Ok(real) = path.canonicalize() {
        return path.is_absolute().then_some(real);
    }
    let is_plain = |part: Component| matches!(part, Component::RootDir | Component::Normal(_));
    if !path.is_absolute() || !path.components().all(is_plain) {
        return None;
    }
    for above in path.ancestors() {
        if let Ok(real) = above.canonicalize() {
            return Some(real.join(path.strip_prefix(above).ok()?));
        }
    }
    None
}

/// Returns the first thing that a job names and that is below none of the `places`.
pub(crate) fn outside(spec: &JobSpec, places: &[Place]) -> Option<String> {
    if places.is_empty() {
        return None;
    }
    let is_allowed = |name: &String| places.iter().any(|place| place.holds(name));
    names(spec).into_iter().find(|name| !is_allowed(name))
}

/// Returns everything that a job names and that is read: its model and the model's base, its dataset, and
/// the models that its method uses.
fn names(spec: &JobSpec) -> Vec<String> {
    let mut names = vec![spec.model.path.clone()];
    names.extend(spec.model.base.clone());
    let location = &spec.dataset.location;
    match &location.origin {
        DatasetOrigin::Files => {
            names.extend(location.data_files.iter().cloned());
            names.extend(location.data_dir.clone());
        }
        DatasetOrigin::Folder { path } => {
            names.push(path.clone());
            // Within the folder, unless they are elsewhere.
            let inside = location.data_files.iter().chain(&location.data_dir);
            names.extend(inside.map(|name| {
                let is_elsewhere = name.contains("://") || Path::new(name).is_absolute();
                if is_elsewhere {
                    name.clone()
                } else {
                    format!("{}/{name}", path.trim_end_matches('/'))
                }
            }));
        }
        DatasetOrigin::Hub { repository, .. } => names.push(format!("hf://datasets/{repository}")),
        DatasetOrigin::Rows { .. } => {}
    }
    for param in spec.attribution.method.params.values() {
        collect(param, &mut names);
    }
    names
}

/// Adds the texts in `value` that are absolute paths or addresses. Nobody here knows which parameters
/// name a model.
fn collect(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::String(text) if text.starts_with('/') || text.contains("://") => {
            names.push(text.clone());
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, names)),
        Value::Object(values) => values.values().for_each(|value| collect(value, names)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use whence_schemas::DatasetLocation;

    use super::*;
    use crate::testing::spec;

    fn holds(place: &str, name: &str) -> bool {
        place.parse::<Place>().unwrap().holds(name)
    }

    #[test]
    fn an_address_is_below_a_place_only_at_the_border_of_a_name() {
        assert!(holds("s3://bucket/a", "s3://bucket/a"));
        assert!(holds("s3://bucket/a/", "s3://bucket/a/b?endpoint=http://h"));
        assert!(holds("gs://bucket/a", "gs://bucket/a/b.csv"));
        let azure = "abfss://container@account.dfs.core.windows.net";
        assert!(holds(azure, &format!("{azure}/a/b.csv")));
        assert!(!holds("az://container", &format!("{azure}/a/b.csv")));
        assert!(holds("hf://", "hf://ns/name@c0ffee"));
        assert!(holds("hf://ns/name", "hf://ns/name@c0ffee"));
        for name in [
            "s3://bucket/ab",
            "s3://bucket/a/../b",
            "https://bucket/a",
            "/bucket/a",
            "s3://other/a",
        ] {
            assert!(!holds("s3://bucket/a", name), "{name}");
        }
        assert!("data".parse::<Place>().is_err());
    }

    #[test]
    fn a_link_out_of_a_folder_leads_out_of_it() {
        let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let place = inside.path().display().to_string();
        std::fs::write(inside.path().join("rows.jsonl"), "").unwrap();
        std::os::unix::fs::symlink(outside.path(), inside.path().join("link")).unwrap();
        for name in ["", "/rows.jsonl", "/not there yet", "/*.jsonl"] {
            assert!(holds(&place, &format!("{place}{name}")), "{name}");
        }
        assert!(holds(
            &place,
            &format!(
                "{place}/../{}/rows.jsonl",
                inside.path().file_name().unwrap().display()
            )
        ));
        for name in [
            "/..",
            "/../x",
            "/none/../../x",
            "/link",
            "/link/rows.jsonl",
            "x/rows.jsonl",
        ] {
            assert!(!holds(&place, &format!("{place}{name}")), "{name}");
        }
        assert!(!holds(&place, "rows.jsonl"));
        assert!(!holds(&place, "/etc/passwd"));
    }

    #[test]
    fn everything_that_is_read_is_named() {
        let mut job = spec("m");
        job.model.path = "hf://ns/model@c0".to_owned();
        job.dataset.location = DatasetLocation::of(DatasetOrigin::Files);
        job.dataset.location.data_files = vec!["/data/rows.jsonl".to_owned()];
        let sampler =
            serde_json::json!({"sampler": {"path": "/models/sampler", "digest": "1"}, "n": 3});
        job.attribution.method.params = sampler.as_object().unwrap().clone();
        let places = |names: &[&str]| -> Vec<Place> {
            names.iter().map(|name| name.parse().unwrap()).collect()
        };
        let outside = |names: &[&str]| outside(&job, &places(names));
        assert_eq!(outside(&[]), None);
        assert_eq!(outside(&["hf://ns", "/data", "/models"]), None);
        assert_eq!(
            outside(&["/data", "/models"]).as_deref(),
            Some("hf://ns/model@c0")
        );
        assert_eq!(
            outside(&["hf://", "/models"]).as_deref(),
            Some("/data/rows.jsonl")
        );
        assert_eq!(
            outside(&["hf://", "/data"]).as_deref(),
            Some("/models/sampler")
        );
    }
}
