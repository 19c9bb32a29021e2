//! Reads what a dataset says of itself: the YAML at the top of its `README.md`.

use serde_json::{Map, Value};

use super::find::Patterns;
use super::source::Source;
use super::yaml;
use crate::Error;
use crate::split::is_split_name;

/// What the card of a dataset says about its files.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Card {
    /// The configurations, in order.
    pub(super) configs: Vec<Config>,
    /// Names of the configurations that `dataset_info` describes. If `configs` names no default
    /// and there is only one here, it is the default.
    pub(super) info_names: Vec<String>,
}

/// One configuration of a dataset.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Config {
    pub(super) name: String,
    pub(super) data_files: Option<Patterns>,
    pub(super) data_dir: Option<String>,
    pub(super) is_default: bool,
    /// Arguments of the builder, such as `sep`.
    pub(super) arguments: Map<String, Value>,
}

/// Reads the card of the dataset in `folder`. A dataset without one has an empty card.
pub(super) fn read(source: &dyn Source, folder: &str) -> Result<Card, Error> {
    let path = |name: &str| match folder {
        "" => name.to_owned(),
        folder => format!("{folder}/{name}"),
    };
    let text = |name: &str| -> Result<Option<String>, Error> {
        let bytes = source.read(&path(name))?;
        let text = bytes.map(String::from_utf8).transpose();
        text.map_err(|_| refuse(name, "it is not UTF-8".to_owned()))
    };
    let mut data = match text("README.md")? {
        Some(readme) => match yaml::block(&readme) {
            Some(block) => yaml::parse("README.md", block)?,
            None => Map::new(),
        },
        None => Map::new(),
    };
    // The dataset's own file of settings, whose keys replace those of the card.
    if let Some(settings) = text(".huggingface.yaml")? {
        data.extend(yaml::parse(".huggingface.yaml", &settings)?);
    }
    let mut info_names = info_names(data.get("dataset_info"));
    // Old versions of `datasets` wrote this file.
    if let Some(infos) = text("dataset_infos.json")? {
        let infos: Map<String, Value> = serde_json::from_str(&infos)
            .map_err(|error| refuse("dataset_infos.json", error.to_string()))?;
        let mut legacy: Vec<String> = infos.into_iter().map(|(name, _)| name).collect();
        if let [only] = &mut legacy[..] {
            "default".clone_into(only);
        }
        legacy.retain(|name| !info_names.contains(name));
        legacy.append(&mut info_names);
        info_names = legacy;
    }
    Ok(Card {
        configs: configs(data.get("configs"))?,
        info_names,
    })
}

fn refuse(file: &str, reason: String) -> Error {
    Error::Card {
        file: file.to_owned(),
        reason,
    }
}

fn info_names(infos: Option<&Value>) -> Vec<String> {
    let name = |info: &Value| {
        let name = info.get("config_name").and_then(scalar);
        name.unwrap_or_else(|| "default".to_owned())
    };
    match infos {
        Some(Value::Array(infos)) => infos.iter().map(name).collect(),
        Some(info @ Value::Object(_)) => vec![name(info)],
        _ => Vec::new(),
    }
}

/// Returns a name, which YAML may have taken for a number.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn configs(value: Option<&Value>) -> Result<Vec<Config>, Error> {
    let refuse = |reason: String| refuse("README.md", reason);
    let list = match value {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(refuse("`configs` is not a list".to_owned())),
    };
    let mut configs: Vec<Config> = Vec::new();
    for value in list {
        let config = config(value).map_err(refuse)?;
        // The last of several with one name counts, in the place of the first, as in a `dict`.
        match configs.iter_mut().find(|known| known.name == config.name) {
            Some(known) => *known = config,
            None => configs.push(config),
        }
    }
    Ok(configs)
}

fn config(value: &Value) -> Result<Config, String> {
    let map = value.as_object();
    let name = map.and_then(|map| map.get("config_name")).and_then(scalar);
    let Some((map, name)) = map.zip(name) else {
        return Err("an entry of `configs` has no `config_name`".to_owned());
    };
    let of_config = |reason: String| format!("the configuration `{name}` has {reason}");
    let data_files = match map.get("data_files") {
        None | Some(Value::Null) => None,
        Some(files) => Some(patterns(files).map_err(of_config)?),
    };
    let data_dir = match map.get("data_dir") {
        None | Some(Value::Null) => None,
        Some(Value::String(folder)) => Some(folder.clone()),
        Some(other) => return Err(of_config(format!("`data_dir: {other}`, which is no text"))),
    };
    let is_argument =
        |key: &str| !matches!(key, "config_name" | "data_files" | "data_dir" | "default");
    let arguments = map.iter().filter(|(key, _)| is_argument(key));
    Ok(Config {
        data_files,
        data_dir,
        is_default: map.get("default").is_some_and(is_truthy),
        arguments: arguments
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
        name,
    })
}

fn is_truthy(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false)) && value != "" && value != 0
}

/// Reads patterns in one of three forms: one text, a list of texts, or a list of `split` and
/// `path`.
fn patterns(value: &Value) -> Result<Patterns, String> {
    let form = || {
        format!(
            "`data_files: {value}`; expected a pattern, a list of patterns, or a list of `split` \
             and `path`"
        )
    };
    let train = |patterns| vec![("train".to_owned(), patterns)];
    if let Some(pattern) = value.as_str() {
        return Ok(train(vec![pattern.to_owned()]));
    }
    let list = value.as_array().ok_or_else(form)?;
    if let Some(patterns) = texts(value) {
        return Ok(train(patterns));
    }
    let mut of_splits = Patterns::new();
    for entry in list {
        let map = entry
            .as_object()
            .filter(|map| map.len() == 2)
            .ok_or_else(form)?;
        let split = map.get("split").and_then(Value::as_str).ok_or_else(form)?;
        let paths = map.get("path").and_then(texts).ok_or_else(form)?;
        if !is_split_name(split) {
            let reason = "letters, digits, `_` and `.` only";
            return Err(format!("a split `{split}`; a name has {reason}"));
        }
        if of_splits.iter().any(|(known, _)| known == split) {
            return Err(format!("the split `{split}` twice in `data_files`"));
        }
        of_splits.push((split.to_owned(), paths));
    }
    Ok(of_splits)
}

/// Returns one text or a list of texts as a list.
fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(list) => list
            .iter()
            .map(|text| text.as_str().map(str::to_owned))
            .collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_have_files_in_three_forms() {
        let yaml = "
configs:
- config_name: a
  data_files: a/*.csv
  sep: ';'
- config_name: 2012
  default: true
  data_files: [x.csv, y.csv]
- config_name: c
  data_dir: c
  data_files:
  - {split: train, path: [t0, t1]}
  - {split: test.x, path: u}
";
        let data = yaml::parse("README.md", yaml).unwrap();
        let configs = configs(data.get("configs")).unwrap();
        let names: Vec<_> = configs.iter().map(|config| config.name.as_str()).collect();
        assert_eq!(names, ["a", "2012", "c"]);
        assert_eq!(configs[0].arguments["sep"], ";");
        assert!(configs[1].is_default && !configs[0].is_default);
        let files = |index: usize| configs[index].data_files.clone().unwrap();
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        assert_eq!(files(1), [("train".to_owned(), owned(&["x.csv", "y.csv"]))]);
        assert_eq!(files(2)[1], ("test.x".to_owned(), owned(&["u"])));
    }

    #[test]
    fn what_is_wrong_in_a_card_is_named() {
        for (yaml, part) in [
            ("configs: a", "not a list"),
            ("configs: [{data_files: x}]", "config_name"),
            ("configs: [{config_name: a, data_files: 3}]", "data_files"),
            (
                "configs: [{config_name: a, data_files: [{split: x-y, path: z}]}]",
                "`x-y`",
            ),
            (
                "configs: [{config_name: a, data_files: [{split: x, path: z}, {split: x, path: y}]}]",
                "twice",
            ),
        ] {
            let data = yaml::parse("README.md", yaml).unwrap();
            let error = configs(data.get("configs")).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
