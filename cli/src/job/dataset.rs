//! Turns the options of a dataset into its location, and pins what is there.

use std::path::{Path, PathBuf};

use whence_datasets::resolve::{
    Named, escape, is_address, is_builder, is_magic, join, named as named_at, pinned,
};
use whence_datasets::{hub, local_path, open, pin};
use whence_schemas::job::DatasetSource;
use whence_schemas::location::{DatasetLocation, DatasetOrigin};
use whence_schemas::suggest::nearest;

use super::hub_name::is_hub_name;
use super::rows::Rows;
use crate::args::DatasetPlace;
use crate::{Failure, output};

/// Returns the dataset with the digest of its files, without naming fields. Reads each local file of
/// the split once.
pub(super) fn source(rows: Rows<'_>) -> Result<DatasetSource, Failure> {
    let (location, split) = match rows {
        Rows::Of(place) => (location(place)?, place.dataset_split.clone()),
        Rows::Typed(rows) => (
            DatasetLocation::of(DatasetOrigin::Rows { rows }),
            "train".to_owned(),
        ),
    };
    let source = open(&location)?;
    let pinned = pin(&location, &split, source.as_ref())?;
    for notice in &pinned.notices {
        output::warn(notice);
    }
    let digest = pinned.digest();
    Ok(DatasetSource {
        split,
        ..DatasetSource::new(location, pinned.format, digest, "")
    })
}

/// Returns where the dataset is. What a name means is decided in the order of `load_dataset`: a
/// builder, then a folder or file of this machine, then a repository on the Hub.
pub(crate) fn location(place: &DatasetPlace) -> Result<DatasetLocation, Failure> {
    Ok(DatasetLocation {
        arguments: place.dataset_kwargs.clone(),
        ..named(place)?
    })
}

fn named(place: &DatasetPlace) -> Result<DatasetLocation, Failure> {
    let Some(name) = place.dataset_name.as_deref() else {
        if place.dataset_files.is_empty() {
            let missing = "name the dataset with --dataset-name, or its files with --dataset-files";
            return Err(Failure::request(missing));
        }
        return files(place, &place.dataset_files);
    };
    if is_builder(name) {
        if place.dataset_files.is_empty() && place.dataset_dir.is_none() {
            return Err(Failure::request(format!(
                "`--dataset-name {name}` needs --dataset-files with the files' paths"
            )));
        }
        return Ok(DatasetLocation {
            builder: Some(name.to_owned()),
            ..files(place, &place.dataset_files)?
        });
    }
    if is_elsewhere(name) {
        return at_address(place, name);
    }
    let path = local_path(name)?;
    if path.is_dir() {
        refuse_revision(place, name)?;
        let path = text(&absolute(&path)?)?;
        return Ok(within(place, DatasetOrigin::Folder { path }));
    }
    if path.exists() || is_magic(name) {
        return the_file(place, name);
    }
    if is_hub_name(name) {
        return on_hub(place, name, place.dataset_revision.as_deref());
    }
    Err(missing(name))
}

/// Returns whether a name or path is an address on another machine.
fn is_elsewhere(name: &str) -> bool {
    is_address(name) && !name.starts_with("file://")
}

/// Returns the location of a dataset on another machine.
fn at_address(place: &DatasetPlace, name: &str) -> Result<DatasetLocation, Failure> {
    match named_at(name)? {
        Named::Repository {
            repository,
            revision: None,
        } => on_hub(place, &repository, place.dataset_revision.as_deref()),
        Named::Repository {
            repository,
            revision,
        } => {
            refuse_revision(place, name)?;
            on_hub(place, &repository, revision.as_deref())
        }
        Named::Folder(path) => {
            refuse_revision(place, name)?;
            Ok(within(place, DatasetOrigin::Folder { path }))
        }
        Named::Files => the_file(place, name),
    }
}

/// Returns the location of the file, or the pattern of files, that is the dataset.
fn the_file(place: &DatasetPlace, name: &str) -> Result<DatasetLocation, Failure> {
    if !place.dataset_files.is_empty() || place.dataset_dir.is_some() {
        return Err(Failure::request(format!(
            "`{name}` is itself a file, so it has no --dataset-files and no --dataset-dir"
        )));
    }
    files(place, &[name.to_owned()])
}

/// Returns the location of what is asked for in a folder or repository.
fn within(place: &DatasetPlace, origin: DatasetOrigin) -> DatasetLocation {
    DatasetLocation {
        config: place.dataset_config.clone(),
        data_files: place.dataset_files.clone(),
        data_dir: place.dataset_dir.clone(),
        ..DatasetLocation::of(origin)
    }
}

/// Returns the location of a repository at the commit that its revision has now.
fn on_hub(
    place: &DatasetPlace,
    repository: &str,
    revision: Option<&str>,
) -> Result<DatasetLocation, Failure> {
    let found = hub()?.find(repository, revision);
    let (origin, notice) = found.map_err(|error| {
        // A mistyped name of a folder looks like a name on the Hub.
        match similar(repository) {
            Some(similar) => Failure::from(error).hint(format!("did you mean `{similar}`?")),
            None => error.into(),
        }
    })?;
    if let Some(notice) = notice {
        output::warn(&notice);
        if !place.dataset_files.is_empty() || place.dataset_dir.is_some() {
            return Err(Failure::request(
                "the Hub's copy in Parquet has files of its own; remove --dataset-files and \
                 --dataset-dir",
            ));
        }
    }
    Ok(within(place, origin))
}

/// Returns the location of files that are named one by one or by patterns.
fn files(place: &DatasetPlace, files: &[String]) -> Result<DatasetLocation, Failure> {
    if let Some(config) = place.dataset_config.as_deref()
        && place
            .dataset_name
            .as_deref()
            .is_none_or(|name| !is_builder(name))
    {
        return Err(Failure::request(format!(
            "files have no configurations, so `--dataset-config {config}` means nothing here"
        )));
    }
    refuse_revision(place, "a list of files")?;
    let data_dir = place.dataset_dir.as_deref().map(|folder| {
        if is_elsewhere(folder) {
            return Ok(pinned(folder)?);
        }
        let folder = absolute(Path::new(folder))?;
        text(&folder)
    });
    let data_dir = data_dir.transpose()?;
    let files = files.iter().map(|file| pattern(file, data_dir.as_deref()));
    Ok(DatasetLocation {
        data_files: files.collect::<Result<_, _>>()?,
        data_dir,
        ..DatasetLocation::of(DatasetOrigin::Files)
    })
}

/// Returns `file` as an absolute pattern or an address. If a file with exactly this name exists, it
/// is that file, even if the name looks like a pattern.
fn pattern(file: &str, base: Option<&str>) -> Result<String, Failure> {
    if file.contains("::") {
        // Refused with a reason when the pattern is resolved.
        return Ok(file.to_owned());
    }
    if is_elsewhere(file) {
        return Ok(pinned(file)?);
    }
    if let Some(base) = base.filter(|base| is_elsewhere(base))
        && !Path::new(file).is_absolute()
    {
        return Ok(join(base, file));
    }
    let path = match base {
        Some(base) => Path::new(base).join(local_path(file)?),
        None => local_path(file)?,
    };
    if path.exists() {
        return Ok(escape(&text(&absolute(&path)?)?));
    }
    if path.is_absolute() {
        return text(&path);
    }
    let here = text(&absolute(Path::new("."))?)?;
    Ok(format!("{}/{file}", escape(here.trim_end_matches('/'))))
}

fn refuse_revision(place: &DatasetPlace, what: &str) -> Result<(), Failure> {
    match place.dataset_revision.as_deref() {
        Some(revision) => Err(Failure::request(format!(
            "`--dataset-revision {revision}` is for a repository on the Hub; {what} has none of its own"
        ))),
        None => Ok(()),
    }
}

/// Returns the absolute path, without `.` and without resolving links: the name that was given
/// says the format of a file, not the name of what it links to.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    let absolute = std::path::absolute(path);
    absolute.map_err(|error| Failure::request(format!("`{}`: {error}", path.display())))
}

fn text(path: &Path) -> Result<String, Failure> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| {
        Failure::request(format!(
            "the name of `{}` is not UTF-8; rename it",
            path.display()
        ))
    })
}

/// Returns the failure for a dataset `name` that does not exist.
fn missing(name: &str) -> Failure {
    let failure = Failure::request(format!("there is no file or folder `{name}`"));
    match similar(name) {
        Some(similar) => failure.hint(format!("did you mean `{similar}`?")),
        None => failure,
    }
}

/// Returns the path of a file with a similar name in the same folder.
fn similar(name: &str) -> Option<String> {
    let path = Path::new(name);
    let folder = match path.parent()? {
        folder if folder.as_os_str().is_empty() => Path::new("."),
        folder => folder,
    };
    let beside = folder.read_dir().ok()?;
    let beside: Vec<String> = beside
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    let file_name = path.file_name()?.to_str()?;
    let near = nearest(file_name, beside.iter().map(String::as_str))?;
    Some(path.with_file_name(near).display().to_string())
}
