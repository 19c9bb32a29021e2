//! Table files outside a storage root, queried as if they were in one.
//!
//! A temporary folder of links takes the root's place. Each file's footer says which job it belongs to,
//! so the folder has the same layout as a root, and every table works. What only a root knows, such as
//! whether the job is complete, stays unknown.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use whence_coordinator::durable::root;
use whence_schemas::store::{self, Listed, SlotStore};
use whence_schemas::{JobSpec, layout};

use crate::Failure;

/// A folder of links to table files. It is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct LooseTables {
    folder: TempDir,
}

impl LooseTables {
    /// Links the files at `paths`, and all Parquet files below those that are folders.
    ///
    /// Fails if one of them is not a table file, or if two of them are the same part of the same job.
    pub(crate) async fn link(paths: &[PathBuf]) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let linked = store::open(&folder.path().display().to_string())?;
        root::check(linked.as_ref()).await?;
        let tables = Self { folder };
        for path in paths {
            let (directory, files) = files_at(path).await?;
            if files.is_empty() {
                return Err(Failure::request(format!(
                    "there is no Parquet file below `{}`",
                    path.display()
                )));
            }
            let source = store::open_to_read(&directory.display().to_string())?;
            for file in files {
                let target = directory.join(&file.key);
                tables
                    .link_file(source.as_ref(), &file, &target, linked.as_ref())
                    .await?;
            }
        }
        Ok(tables)
    }

    /// Returns the folder, as a storage root is named.
    pub(crate) fn root(&self) -> String {
        self.folder.path().display().to_string()
    }

    /// Links the file `target`, which is `file` of `source`, and records its job.
    async fn link_file(
        &self,
        source: &dyn SlotStore,
        file: &Listed,
        target: &Path,
        linked: &dyn SlotStore,
    ) -> Result<(), Failure> {
        let shown = target.display();
        let foreign = |reason: String| {
            Failure::request(format!("`{shown}` is not a table file of whence: {reason}")).hint(
                format!("name other files in the query itself: SELECT * FROM '{shown}'"),
            )
        };
        let footer = store::read_footer(source, file)
            .await
            .map_err(|error| foreign(reason(error)))?;
        let spec: JobSpec = serde_json::from_str(&footer.spec_json)
            .map_err(|error| foreign(format!("its job cannot be read: {error}")))?;
        let link = self
            .folder
            .path()
            .join(layout::slot(&layout::table(&spec), &footer.slot));
        if let Some(above) = link.parent() {
            std::fs::create_dir_all(above)?;
        }
        match symlink(&target.canonicalize()?, &link) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(Failure::request(format!(
                    "`{shown}` is part `{}` of job `{}`, and so is another of the files",
                    footer.slot,
                    spec.id()
                ))
                .hint("give each file once"));
            }
            linked => linked?,
        }
        linked
            .create(&layout::spec(&spec.id()), footer.spec_json.into())
            .await?;
        Ok(())
    }
}

/// Returns the files that a path names, relative to a directory.
async fn files_at(path: &Path) -> Result<(PathBuf, Vec<Listed>), Failure> {
    let missing = || {
        let name = path.display().to_string();
        let failure = Failure::request(format!("there is no file or folder `{name}`"));
        if name.contains(char::is_whitespace) {
            failure.hint("the query goes before --tables")
        } else {
            failure
        }
    };
    let found = std::fs::metadata(path).map_err(|_| missing())?;
    if found.is_dir() {
        let directory = store::open_to_read(&path.display().to_string())?;
        let mut files = directory.list("").await?;
        files.retain(|file| file.key.ends_with(".parquet"));
        return Ok((path.to_owned(), files));
    }
    let file = Listed {
        key: path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .ok_or_else(missing)?,
        bytes: found.len(),
    };
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    Ok((directory, vec![file]))
}

/// Returns what is wrong with a file, without the store's own words around it.
fn reason(error: store::StoreError) -> String {
    match error {
        store::StoreError::Damaged { reason, .. } => reason,
        other => other.to_string(),
    }
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn symlink(target: &Path, link: &Path) -> std::io::Result<()> {
    std::os::windows::fs::symlink_file(target, link)
}
