//! Output files, which are either complete or not there at all.
//!
//! The contents go to a temporary file in the same folder, which is renamed once it is complete and
//! on disk. A run that fails or is stopped leaves an existing file as it was. The temporary file is
//! created before the work starts, so a path that cannot be written is reported early.
//!
//! Standard output, pipes and devices have no contents to protect and are written to directly.

pub(crate) mod compressed;
mod destination;

use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use whence_schemas::user_path;

use crate::Failure;
use destination::{Destination, Target, destination};

/// Mode of a new file before the user's umask is applied. Most programs create files with it; the
/// temporary file would otherwise have 0600.
const NEW_FILE_MODE: u32 = 0o666;

/// An output that is being written. If it is dropped without [`OutputFile::finish`], no file is
/// left behind and an existing one is unchanged.
#[derive(Debug)]
pub(crate) struct OutputFile {
    /// The output's name in messages: the option and the path as typed.
    name: String,
    sink: Sink,
}

#[derive(Debug)]
enum Sink {
    Staged {
        out: BufWriter<NamedTempFile>,
        target: Target,
    },
    Stream(BufWriter<File>),
    Stdout(BufWriter<io::Stdout>),
}

impl OutputFile {
    /// Creates the output at `path`, which was given with `option`. Fails if it cannot be written.
    pub(crate) fn create(option: &str, path: &Path) -> Result<Self, Failure> {
        let name = format!("{option} `{}`", path.display());
        let refuse = |reason: String| Failure::request(format!("cannot write {name}: {reason}"));
        let expanded = path.to_str().map(user_path::expand).transpose();
        let expanded = expanded.map_err(refuse)?.map(PathBuf::from);
        let path = expanded.as_deref().unwrap_or(path);
        let sink = match destination(path).map_err(refuse)? {
            Destination::Stdout => return Ok(Self::stdout()),
            Destination::Stream(path) => {
                let file = File::options().write(true).open(path);
                Sink::Stream(BufWriter::new(file.map_err(|e| refuse(e.to_string()))?))
            }
            Destination::File(target) => Sink::Staged {
                out: BufWriter::new(staged(&target).map_err(refuse)?),
                target,
            },
        };
        Ok(Self { name, sink })
    }

    /// Returns an output that writes to standard output.
    pub(crate) fn stdout() -> Self {
        Self {
            name: "to standard output".to_owned(),
            sink: Sink::Stdout(BufWriter::new(io::stdout())),
        }
    }

    /// Returns whether this is standard output.
    pub(crate) fn is_stdout(&self) -> bool {
        matches!(self.sink, Sink::Stdout(_))
    }

    /// Returns whether both outputs write to the same file, or both to standard output.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        match (&self.sink, &other.sink) {
            (Sink::Staged { target: a, .. }, Sink::Staged { target: b, .. }) => a.path == b.path,
            (Sink::Stdout(_), Sink::Stdout(_)) => true,
            _ => false,
        }
    }

    /// Completes the output. When this returns, a file is complete, on disk and under its final
    /// name.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        let name = self.name;
        let ended = match self.sink {
            Sink::Stdout(mut out) => out.flush(),
            Sink::Stream(mut out) => out.flush(),
            Sink::Staged { out, target } => replace(out, &target),
        };
        ended.map_err(|error| named(&name, &error).into())
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &mut self.sink {
            Sink::Staged { out, .. } => out.write(bytes),
            Sink::Stream(out) => out.write(bytes),
            Sink::Stdout(out) => out.write(bytes),
        };
        written.map_err(|error| named(&self.name, &error))
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = match &mut self.sink {
            Sink::Staged { out, .. } => out.flush(),
            Sink::Stream(out) => out.flush(),
            Sink::Stdout(out) => out.flush(),
        };
        flushed.map_err(|error| named(&self.name, &error))
    }
}

/// Adds the output's name to an error. The kind is kept so that a broken pipe is still recognized,
/// which is not treated as a failure.
fn named(name: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot write {name}: {error}"))
}

fn staged(target: &Target) -> Result<NamedTempFile, String> {
    tempfile::Builder::new()
        .prefix(".whence-")
        .suffix(".partial")
        .permissions(Permissions::from_mode(NEW_FILE_MODE))
        .tempfile_in(&target.folder)
        .map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => format!(
                "there is no permission to write in the folder `{}`",
                target.folder.display()
            ),
            _ => error.to_string(),
        })
}

fn replace(mut out: BufWriter<NamedTempFile>, target: &Target) -> io::Result<()> {
    out.flush()?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    if let Some(permissions) = &target.permissions {
        fs::set_permissions(file.path(), permissions.clone())?;
    }
    // Sync before the rename, or a crash could leave an incomplete file under the final name.
    file.as_file().sync_all()?;
    file.persist(&target.path)?;
    // Syncing the folder makes the rename durable too. Not every file system can; the error is
    // ignored because the file is complete either way.
    let _ = File::open(&target.folder).and_then(|folder| folder.sync_all());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileTypeExt;

    use super::*;

    fn write(path: &Path, text: &str) -> Result<(), Failure> {
        let mut file = OutputFile::create("--save-path", path)?;
        file.write_all(text.as_bytes())?;
        file.finish()
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_once_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.json");
        fs::write(&path, "yesterday").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let mut file = OutputFile::create("--save-path", &path).unwrap();
        file.write_all(b"today").unwrap();
        file.flush().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "yesterday");
        file.finish().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "today");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o640
        );
        assert_eq!(names(folder.path()), ["out.json"]);
    }

    #[test]
    fn an_unfinished_file_leaves_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.json");
        let mut file = OutputFile::create("--save-path", &path).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn a_path_that_cannot_be_written_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let protected = folder.path().join("protected");
        fs::write(&protected, "").unwrap();
        fs::set_permissions(&protected, Permissions::from_mode(0o444)).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("dangling")).unwrap();
        let reasons = [
            ("none/out.json", "the folder `"),
            ("none/out.json", "` does not exist"),
            ("", "it is a folder; name a file in it"),
            ("protected", "the file is write-protected"),
            ("protected/out.json", "Not a directory"),
            ("dangling", "a link to a file that does not exist"),
        ];
        for (name, reason) in reasons {
            let failure = write(&folder.path().join(name), "x").unwrap_err();
            let told = failure.message();
            assert!(told.starts_with("cannot write --save-path `"), "{told}");
            assert!(told.contains(reason), "{told}");
        }
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let same = OutputFile::create("--viz-path", &file).unwrap();
        assert!(OutputFile::create("-o", &link).unwrap().is_same_as(&same));
        drop(same);
        write(&link, "new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
    }

    #[test]
    fn a_device_is_written_to_directly() {
        write(Path::new("/dev/null"), "x").unwrap();
        assert!(
            Path::new("/dev/null")
                .metadata()
                .unwrap()
                .file_type()
                .is_char_device()
        );
        assert!(
            OutputFile::create("-o", Path::new("-"))
                .unwrap()
                .is_stdout()
        );
    }
}
