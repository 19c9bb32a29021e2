//! The Hub's own copy of a dataset in Parquet: `{configuration}/{split}/0000.parquet`.
//!
//! Its folders are the configurations and the splits, whatever they are called.

use whence_schemas::dataset::FormatName;

use super::find::Files;
use super::notice::Notice;
use super::source::Source;
use crate::Error;

/// The format of all these files.
pub(super) const FORMAT: FormatName = FormatName::Parquet;

/// How the folder of a split begins of which the Hub has copied only the first rows.
const PARTIAL: &str = "partial-";

/// Returns the files of each split of a configuration: the one that is asked for, the only one, or
/// the one called `default`.
pub(super) fn files(
    source: &dyn Source,
    asked: Option<&str>,
) -> Result<(Files, Vec<Notice>), Error> {
    let mut paths = source.files_below("", Some(3))?;
    paths.sort_unstable();
    let parts = |path: &str| -> Option<(String, String)> {
        let mut parts = path.split('/');
        let (config, split, name) = (parts.next()?, parts.next()?, parts.next()?);
        name.ends_with(".parquet")
            .then(|| (config.to_owned(), split.to_owned()))
    };
    let mut configs: Vec<String> = paths
        .iter()
        .filter_map(|path| parts(path))
        .map(|(config, _)| config)
        .collect();
    configs.dedup();
    let config = choose(&configs, asked)?;
    let mut files = Files::new();
    let mut notices = Vec::new();
    for path in paths {
        let Some((_, split)) = parts(&path).filter(|(of_path, _)| *of_path == config) else {
            continue;
        };
        let name = split.strip_prefix(PARTIAL).unwrap_or(&split).to_owned();
        if let Some((_, of_split)) = files.iter_mut().find(|(known, _)| *known == name) {
            of_split.push(path);
            continue;
        }
        if name != split {
            let split = name.clone();
            notices.push(Notice::PartialSplit { split });
        }
        files.push((name, vec![path]));
    }
    // The order of `datasets` for splits that a dataset does not order itself.
    let known = ["train", "validation", "test"];
    files.sort_by_key(|(name, _)| known.iter().position(|known| known == name).unwrap_or(3));
    Ok((files, notices))
}

fn choose(configs: &[String], asked: Option<&str>) -> Result<String, Error> {
    let names = configs.to_vec();
    match asked {
        Some(config) if !names.iter().any(|name| name == config) => Err(Error::ConfigUnknown {
            config: config.to_owned(),
            suggestion: whence_schemas::suggest::nearest(
                config,
                configs.iter().map(String::as_str),
            )
            .map(str::to_owned),
            configs: names,
        }),
        Some(config) => Ok(config.to_owned()),
        None => match configs {
            [] => Err(Error::Empty {
                reason: "the Hub has no copy of this dataset in Parquet".to_owned(),
            }),
            [only] => Ok(only.clone()),
            _ if names.iter().any(|name| name == "default") => Ok("default".to_owned()),
            _ => Err(Error::ConfigMissing { configs: names }),
        },
    }
}
