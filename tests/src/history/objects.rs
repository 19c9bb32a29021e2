//! The objects of a storage root, compared with a job's manifest and with the names that may exist.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use whence_coordinator::durable::manifest::{Manifest, ManifestFile};
use whence_schemas::{Attempt, JobId, JobSpec, SlotKind, layout, slot_file};

use super::Violation;
use crate::table;

/// Returns how the files of a job's table differ from its manifest, each verified as a whole.
pub(super) fn unlike_manifest(root: &Path, spec: &JobSpec, manifest: &Manifest) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut listed: BTreeMap<&str, &ManifestFile> = (manifest.files.iter())
        .map(|file| (file.key.as_str(), file))
        .collect();
    for path in table::files(root, spec) {
        let file = path.strip_prefix(root).expect("it is below the root");
        let file = file.display().to_string();
        match listed.remove(file.as_str()) {
            None => found.push(Violation::Listing {
                file,
                only_in: "the folder",
            }),
            Some(sealed) => found.extend(unlike_sealed(&path, file, sealed)),
        }
    }
    found.extend(listed.into_keys().map(|file| Violation::Listing {
        file: file.to_owned(),
        only_in: "the manifest",
    }));
    found
}

fn unlike_sealed(path: &Path, file: String, sealed: &ManifestFile) -> Option<Violation> {
    let bytes = fs::read(path).expect("a listed file opens");
    let length = bytes.len() as u64;
    let verified = match slot_file::verify(bytes.into()) {
        Ok(verified) => verified,
        Err(error) => {
            let reason = error.to_string();
            return Some(Violation::Damaged { file, reason });
        }
    };
    let footer = &verified.footer;
    let rows = match footer.kind {
        SlotKind::Tombstone => 0,
        SlotKind::Full | SlotKind::Quarantine => footer.examples,
    };
    let same = [
        ("digest", verified.digest == sealed.digest),
        ("length", length == sealed.bytes),
        ("kind", footer.kind == sealed.kind),
        (
            "number of rows",
            rows == sealed.rows && verified.examples.len() as u64 == rows,
        ),
        ("number of errors", footer.errors == sealed.errors),
        (
            "slot",
            layout::slot_of_key(&file).as_ref() == Some(&footer.slot),
        ),
    ];
    let (what, _) = same.into_iter().find(|(_, is_same)| !is_same)?;
    Some(Violation::Manifest { file, what })
}

/// Returns the attempts whose results are in a job's table.
pub(super) fn attempts(root: &Path, spec: &JobSpec) -> BTreeSet<Attempt> {
    let attempt = |path: &Path| {
        let bytes = fs::read(path).ok()?;
        Some(slot_file::verify(bytes.into()).ok()?.footer.attempt)
    };
    let files = table::files(root, spec);
    files.iter().filter_map(|path| attempt(path)).collect()
}

/// Returns the names of all objects below `root` that no job and no coordinator writes. Files that a
/// killed process left in the staging folder are none: no reader looks there.
pub fn strays(root: &Path) -> Vec<String> {
    let mut keys = Vec::new();
    collect(root, "", &mut keys);
    let tables: BTreeSet<String> = (keys.iter())
        .filter(|key| is_spec(key))
        .filter_map(|key| {
            let text = fs::read(root.join(key)).ok()?;
            Some(layout::table(
                &serde_json::from_slice::<JobSpec>(&text).ok()?,
            ))
        })
        .collect();
    keys.retain(|key| !is_of_root(key) && !is_of_job(key) && !is_slot(key, &tables));
    keys
}

fn is_of_root(key: &str) -> bool {
    let is_below = |folder: &str| {
        key.strip_prefix(folder)
            .is_some_and(|key| key.starts_with('/'))
    };
    key == layout::FORMAT || is_below(layout::EPOCHS) || is_below(layout::PROBES)
}

fn is_spec(key: &str) -> bool {
    job(key).is_some_and(|id| key == layout::spec(&id))
}

fn is_of_job(key: &str) -> bool {
    let Some(id) = job(key) else {
        return false;
    };
    let single = [
        layout::spec(&id),
        layout::plan(&id),
        layout::submitted(&id),
        layout::cancel(&id),
        layout::failed(&id),
        layout::sealed(&id),
    ];
    single.contains(&key.to_owned()) || key.starts_with(&format!("{}/", layout::failures(&id)))
}

/// Returns the job whose folder a key is in.
fn job(key: &str) -> Option<JobId> {
    let (id, _) = key
        .strip_prefix(layout::JOBS)?
        .strip_prefix('/')?
        .split_once('/')?;
    id.parse().ok()
}

fn is_slot(key: &str, tables: &BTreeSet<String>) -> bool {
    let folder = key.rsplit_once('/').map(|(folder, _)| folder);
    folder.is_some_and(|folder| tables.contains(folder)) && layout::slot_of_key(key).is_some()
}

/// Adds the names of all files below `folder`, relative to the root.
fn collect(folder: &Path, prefix: &str, keys: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder can be read") {
        let entry = entry.expect("a folder can be read");
        let name = entry.file_name().into_string().expect("names are Unicode");
        let key = if prefix.is_empty() {
            name
        } else {
            format!("{prefix}/{name}")
        };
        let is_folder = entry.file_type().expect("a listed file exists").is_dir();
        match is_folder {
            true if key == layout::STAGING => {}
            true => collect(&entry.path(), &key, keys),
            false => keys.push(key),
        }
    }
}
