//! Pins a dataset: lists the files of the splits that are asked for, with one digest over the list.
//!
//! A job's specification holds the digest, and the plan the list. Whoever resolves the same
//! location again finds out by the digest whether a file was added, removed, renamed or changed.

use std::collections::HashMap;

use whence_schemas::canonical;
use whence_schemas::dataset::FormatSpec;
use whence_schemas::location::{DataFile, DatasetLocation, DatasetOrigin};

use crate::Error;
use crate::content::KeptRanges;
use crate::resolve::{
    Anywhere, GivenRows, HubDatasets, Notice, Resolved, Source, env_hub, is_archive, resolve,
};
use crate::split::Split;

/// The files of the splits that are asked for, and how they are read.
#[derive(Debug, Clone, PartialEq)]
pub struct Pinned {
    /// How every file is read.
    pub format: FormatSpec,
    /// The files, in the order of their rows.
    pub files: Vec<DataFile>,
    /// What the user should know about how the dataset is read.
    pub notices: Vec<Notice>,
}

impl Pinned {
    /// Returns the digest of the list of files.
    pub fn digest(&self) -> String {
        let list = canonical::to_string(&self.files);
        let list = list.expect("a list of files holds only what JSON can");
        blake3::hash(list.as_bytes()).to_hex().to_string()
    }
}

/// Resolves a dataset and lists the files of every split that `split` names.
///
/// Reads each local file once to compute its digest. Fails as [`resolve`](crate::resolve()) and
/// [`files_of`] do, or if the split is not in the grammar.
pub fn pin(location: &DatasetLocation, split: &str, source: &dyn Source) -> Result<Pinned, Error> {
    let split = Split::parse(split)?;
    let resolved = resolve(location, source)?;
    Ok(Pinned {
        files: files_of(&resolved, &split, source)?,
        format: resolved.format,
        notices: resolved.notices,
    })
}

/// Opens the place where a dataset's files are. The Hub is the one that the environment names.
pub fn open(location: &DatasetLocation) -> Result<Box<dyn Source>, Error> {
    match &location.origin {
        DatasetOrigin::Files | DatasetOrigin::Folder { .. } => {
            let kept = KeptRanges::of_process();
            Ok(Box::new(Anywhere::new(location, None, &kept)?))
        }
        DatasetOrigin::Hub { .. } => open_at(location, env_hub()?),
        DatasetOrigin::Rows { rows } => Ok(Box::new(GivenRows::new(rows))),
    }
}

/// Opens the place where a dataset's files are, with access to a Hub.
pub fn open_at(location: &DatasetLocation, hub: &HubDatasets) -> Result<Box<dyn Source>, Error> {
    match &location.origin {
        DatasetOrigin::Files | DatasetOrigin::Folder { .. } => {
            let files = Anywhere::new(location, Some(hub.clone()), hub.kept())?;
            Ok(Box::new(files))
        }
        DatasetOrigin::Hub {
            repository, commit, ..
        } => Ok(Box::new(hub.source(repository, commit)?)),
        DatasetOrigin::Rows { rows } => Ok(Box::new(GivenRows::new(rows))),
    }
}

/// Returns the files of every split that `split` names, in the order in which it names them.
///
/// Reads each local file once to compute its digest. Fails if there is no such split, or a file
/// cannot be read.
pub fn files_of(
    resolved: &Resolved,
    split: &Split,
    source: &dyn Source,
) -> Result<Vec<DataFile>, Error> {
    let known: Vec<&str> = resolved
        .splits
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    let mut named: Vec<String> = Vec::new();
    for part in split.parts(&known)? {
        if !named.iter().any(|name| name == part.name()) {
            named.push(part.name().to_owned());
        }
    }
    let mut described: HashMap<&str, Vec<DataFile>> = HashMap::new();
    let mut files = Vec::new();
    for name in named {
        let of_split = resolved.splits.iter().find(|(split, _)| *split == name);
        let paths = of_split.map_or(&[][..], |(_, paths)| paths);
        if paths.is_empty() {
            return Err(Error::Empty {
                reason: format!("the split `{name}` has no file in the format that is read"),
            });
        }
        for path in paths {
            if !described.contains_key(path.as_str()) {
                described.insert(path, members_of(source.describe(path, &name)?, source)?);
            }
            let of_split = described[path.as_str()].iter().cloned();
            files.extend(of_split.map(|file| DataFile {
                split: name.clone(),
                ..file
            }));
        }
    }
    Ok(files)
}

/// Returns the members of a file that is an archive, and the file itself otherwise.
pub fn members_of(file: DataFile, source: &dyn Source) -> Result<Vec<DataFile>, Error> {
    if !is_archive(&file.path) {
        return Ok(vec![file]);
    }
    let members = source.members(&file)?.into_iter();
    let member = |name| DataFile {
        member: Some(name),
        ..file.clone()
    };
    Ok(members.map(member).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::resolve::LocalSource;

    fn pinned(folder: &std::path::Path, split: &str) -> Result<Pinned, Error> {
        let path = folder.to_str().unwrap().to_owned();
        let location = DatasetLocation::of(DatasetOrigin::Folder { path });
        pin(&location, split, &LocalSource)
    }

    #[test]
    fn only_the_named_splits_are_listed_and_any_change_shows() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path();
        for name in ["train-0.jsonl", "train-1.jsonl", "test.jsonl"] {
            fs::write(folder.join(name), name).unwrap();
        }
        let digest = |split: &str| pinned(folder, split).unwrap().digest();
        let both = pinned(folder, "test[:5]+train").unwrap();
        let splits: Vec<_> = both.files.iter().map(|file| file.split.as_str()).collect();
        assert_eq!(splits, ["test", "train", "train"]);
        let train = digest("train");
        fs::write(folder.join("test.jsonl"), "changed").unwrap();
        assert_ne!(digest("test[:5]+train"), both.digest());
        assert_eq!(digest("train"), train);
        fs::rename(folder.join("train-1.jsonl"), folder.join("train-2.jsonl")).unwrap();
        assert_ne!(digest("train"), train);
        let error = pinned(folder, "validation").unwrap_err().to_string();
        assert!(error.contains("`train`, `test`"), "{error}");
    }
}
