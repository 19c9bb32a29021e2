//! Folders that `datasets` itself wrote: by `save_to_disk`, and its cache of processed datasets.
//!
//! These say which files they have, so that nothing is left to the names: a file beside them, such
//! as one of statistics, holds no rows.

use serde::Deserialize;
use whence_schemas::dataset::FormatName;
use whence_schemas::ordered::OrderedJson;

use super::find::Files;
use super::source::Source;
use crate::Error;
use crate::split::is_split_name;

/// The format of all these files.
pub(super) const FORMAT: FormatName = FormatName::Arrow;

/// The content of `state.json`, beside the files of one split.
#[derive(Debug, Deserialize)]
struct State {
    #[serde(rename = "_data_files")]
    data_files: Vec<StateFile>,
    #[serde(rename = "_split")]
    split: Option<String>,
    /// Written by versions before 2: which rows of the files are the dataset's, and in which order.
    #[serde(default, rename = "_indices_files")]
    indices_files: Option<Vec<StateFile>>,
}

#[derive(Debug, Deserialize)]
struct StateFile {
    filename: String,
}

/// The content of `dataset_dict.json`, above the folders of the splits.
#[derive(Debug, Deserialize)]
struct DatasetDict {
    splits: Vec<String>,
}

/// The part of `dataset_info.json` that tells the files of a cache folder.
#[derive(Debug, Deserialize)]
struct Info {
    dataset_name: Option<String>,
    builder_name: Option<String>,
    splits: Option<OrderedJson>,
}

#[derive(Debug, Deserialize)]
struct SplitInfo {
    dataset_name: Option<String>,
    shard_lengths: Option<Vec<u64>>,
}

/// Returns the files of each split if `datasets` wrote the folder, and `None` otherwise.
pub(super) fn files(source: &dyn Source, folder: &str) -> Result<Option<Files>, Error> {
    if let Some(dict) = json::<DatasetDict>(source, folder, "dataset_dict.json")? {
        let mut files = Files::new();
        for split in dict.splits {
            let inside = format!("{folder}/{split}");
            let Some((_, of_split)) = saved_split(source, &inside)? else {
                return Err(refuse(&inside, "state.json", "it is missing".to_owned()));
            };
            files.push((split, of_split));
        }
        return Ok(Some(files));
    }
    if let Some((split, files)) = saved_split(source, folder)? {
        return Ok(Some(vec![(split, files)]));
    }
    cached(source, folder)
}

fn saved_split(source: &dyn Source, folder: &str) -> Result<Option<(String, Vec<String>)>, Error> {
    // Without its description beside it, a `state.json` is any program's.
    if source
        .read(&format!("{folder}/dataset_info.json"))?
        .is_none()
    {
        return Ok(None);
    }
    let Some(state) = json::<State>(source, folder, "state.json")? else {
        return Ok(None);
    };
    if state.indices_files.is_some_and(|files| !files.is_empty()) {
        let reason = "its rows are chosen by `_indices_files`, which are not read; load it and \
                      save it again with a current version of `datasets`";
        return Err(refuse(folder, "state.json", reason.to_owned()));
    }
    // The name may be a slice, such as `train[:10%]`, of the dataset that was saved.
    let split = state.split.filter(|split| is_split_name(split));
    let files = state.data_files.into_iter();
    let files = files.map(|file| format!("{folder}/{}", file.filename));
    Ok(Some((
        split.unwrap_or_else(|| "train".to_owned()),
        files.collect(),
    )))
}

/// Returns the files of a folder of the cache, such as `dummy_enit-train-00000-of-00002.arrow`.
fn cached(source: &dyn Source, folder: &str) -> Result<Option<Files>, Error> {
    let Some(info) = json::<Info>(source, folder, "dataset_info.json")? else {
        return Ok(None);
    };
    let Some(OrderedJson::Object(splits)) = info.splits else {
        return Ok(None);
    };
    let mut files = Files::new();
    for (split, of_split) in splits {
        let of_split: SplitInfo = serde_json::from_value(of_split.to_value())
            .map_err(|error| refuse(folder, "dataset_info.json", error.to_string()))?;
        let names = [
            &of_split.dataset_name,
            &info.dataset_name,
            &info.builder_name,
        ];
        let mut found = None;
        for name in names.into_iter().flatten() {
            let shards = of_split.shard_lengths.as_ref().map_or(1, Vec::len);
            let paths = cached_split(&format!("{folder}/{name}-{split}"), shards);
            if source.has_file(&paths[0])? {
                found = Some(paths);
                break;
            }
        }
        let Some(paths) = found else {
            return Ok(None);
        };
        files.push((split, paths));
    }
    Ok((!files.is_empty()).then_some(files))
}

fn cached_split(prefix: &str, shards: usize) -> Vec<String> {
    if shards <= 1 {
        return vec![format!("{prefix}.arrow")];
    }
    (0..shards)
        .map(|shard| format!("{prefix}-{shard:05}-of-{shards:05}.arrow"))
        .collect()
}

fn json<T: serde::de::DeserializeOwned>(
    source: &dyn Source,
    folder: &str,
    name: &str,
) -> Result<Option<T>, Error> {
    let Some(bytes) = source.read(&format!("{folder}/{name}"))? else {
        return Ok(None);
    };
    let value = serde_json::from_slice(&bytes);
    value
        .map(Some)
        .map_err(|error| refuse(folder, name, error.to_string()))
}

fn refuse(folder: &str, file: &str, reason: String) -> Error {
    Error::Card {
        file: format!("{folder}/{file}"),
        reason,
    }
}
