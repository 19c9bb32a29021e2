//! The digest of a model. A job pins it, and a worker compares its own copy with it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use crate::Error;
use crate::model::files::{base_of, is_gguf};
use crate::model::weights::adapter::Adapter;

/// Bytes read at a time.
const BLOCK: usize = 1 << 20;

/// Returns the digest of the model at `path`. For a folder it covers the names and contents of its
/// files, in order of their names; otherwise it covers a GGUF file. That of an adapter in a folder
/// of its own covers its base model too.
///
/// Hidden files and subfolders are ignored. Fails if a file cannot be read, if `path` is a folder
/// with neither a `config.json` nor a GGUF file, or if the base of an adapter is not there.
pub fn digest(path: &Path) -> Result<String, Error> {
    let adapter = Adapter::read(path)?;
    let base = adapter.map(|adapter| base_of(&adapter, path)).transpose()?;
    let Some(base) = base.filter(|base| base != path) else {
        return of_whole(path);
    };
    let mut hasher = blake3::Hasher::new();
    hash_folder(path, &file_names(path)?, &mut hasher)?;
    hasher.update(of_whole(&base)?.as_bytes());
    Ok(hasher.finalize().to_hex().to_string())
}

/// Returns the digest of a whole model.
fn of_whole(path: &Path) -> Result<String, Error> {
    let mut hasher = blake3::Hasher::new();
    if path.is_file() {
        hash_file(path, &mut hasher).map_err(unreadable(path))?;
        return Ok(hasher.finalize().to_hex().to_string());
    }
    let names = file_names(path)?;
    let is_model = |name: &String| name == "config.json" || is_gguf(Path::new(name));
    if !names.iter().any(is_model) {
        let missing = io::Error::from(io::ErrorKind::NotFound);
        return Err(unreadable(&path.join("config.json"))(missing));
    }
    hash_folder(path, &names, &mut hasher)?;
    Ok(hasher.finalize().to_hex().to_string())
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::ModelFile {
        path: path.clone(),
        source,
    }
}

/// Returns the names of the files in `folder`, sorted.
fn file_names(folder: &Path) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable(folder))? {
        let entry = entry.map_err(unreadable(folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_file() && !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn hash_folder(folder: &Path, names: &[String], hasher: &mut blake3::Hasher) -> Result<(), Error> {
    for name in names {
        let path = folder.join(name);
        // The length marks where the contents end, so that bytes cannot move from one file to the
        // next without changing the digest.
        let length = fs::metadata(&path).map_err(unreadable(&path))?.len();
        hasher
            .update(name.as_bytes())
            .update(&[0])
            .update(&length.to_le_bytes());
        hash_file(&path, hasher).map_err(unreadable(&path))?;
    }
    Ok(())
}

fn hash_file(path: &Path, hasher: &mut blake3::Hasher) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut block = vec![0; BLOCK];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(()),
            read => hasher.update(&block[..read]),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_changes_with_every_file_and_name() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("config.json", "{}");
        write("vocab.json", "a");
        let first = digest(folder.path()).unwrap();
        write("vocab.json", "b");
        let second = digest(folder.path()).unwrap();
        fs::rename(
            folder.path().join("vocab.json"),
            folder.path().join("words.json"),
        )
        .unwrap();
        let third = digest(folder.path()).unwrap();
        assert!(first != second && second != third && first != third);
        write(".cache", "x");
        assert_eq!(digest(folder.path()).unwrap(), third);
    }

    #[test]
    fn a_folder_without_config_is_not_a_model() {
        let folder = tempfile::tempdir().unwrap();
        assert!(
            digest(folder.path())
                .unwrap_err()
                .to_string()
                .contains("config.json")
        );
    }
}
