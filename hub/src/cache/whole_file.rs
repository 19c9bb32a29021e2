//! Files that are written at once, so that nobody ever reads a part of one.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;

/// Writes a small file so that nobody ever reads a part of it.
pub(super) fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(contents)?;
    share(file.path())?;
    file.persist(path)?;
    Ok(())
}

/// Gives a temporary file the permissions of an ordinary one, so that the other users of a shared
/// cache can read it.
pub(super) fn share(path: &Path) -> io::Result<()> {
    // The process's mask can be learned only from a file that was just made.
    let folder = path.parent().unwrap_or(Path::new("."));
    let probe = folder.join(format!(".{}.probe", std::process::id()));
    let permissions = fs::File::create(&probe)?.metadata()?.permissions();
    fs::remove_file(&probe)?;
    fs::set_permissions(path, permissions)
}
