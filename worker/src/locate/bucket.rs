//! Models in a bucket, downloaded into a folder that all processes of this machine share.
//!
//! The folder is called after the names, lengths and versions of the objects, so that a model that
//! changed in the bucket is another folder. A file gets its name when it is complete; until then its
//! bytes are kept, and a download that was interrupted goes on where it stopped.

use std::fs;
use std::path::{Path, PathBuf};

use object_store::path::Path as Key;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore};
use tokio::fs::OpenOptions;
use tokio::io::AsyncWriteExt;
use url::Url;
use whence_hub::{FileLock, ListedFile, OnProgress, Transfer, gguf_files, model_files};
use whence_schemas::store::{self, Objects};

use super::LocateError;

/// Bytes of one request. The store repeats a request that fails, so at most this much is lost.
const PIECE_BYTES: u64 = 8 << 20;

/// Folder of the models, in the cache.
const FOLDER: &str = "buckets";

/// A model in a bucket.
struct BucketModel<'a> {
    address: &'a Url,
    objects: Objects,
    folder: Key,
    /// The GGUF file that the address names, if it names one.
    file: Option<String>,
}

/// A file of the model's folder in the bucket.
struct BucketFile {
    path: String,
    object: ObjectMeta,
}

impl ListedFile for BucketFile {
    fn path(&self) -> &str {
        &self.path
    }
}

/// Returns the path of the model at `address`, after downloading it into a folder below `cache`.
pub(super) async fn fetch(
    address: &Url,
    cache: &Path,
    progress: OnProgress<'_>,
) -> Result<PathBuf, LocateError> {
    let model = BucketModel::open(address)?;
    let files = model.list().await?;
    let needed = model.needed(&files)?;
    let folder = cache.join(FOLDER).join(key(address, &needed));
    let made = fs::create_dir_all(&folder);
    made.map_err(|source| LocateError::disk("make the folder", &folder, source))?;
    for file in needed {
        model.download(file, &folder, progress).await?;
    }
    Ok(match &model.file {
        Some(file) => folder.join(file),
        None => folder,
    })
}

/// Returns the folders of all models that [`fetch`] has downloaded.
pub(super) fn folders(cache: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(cache.join(FOLDER));
    let entries = entries.into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// Returns the name of the folder for these files.
fn key(address: &Url, files: &[&BucketFile]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(address.as_str().as_bytes());
    for BucketFile { path, object } in files {
        let version = object.e_tag.clone();
        let version = version.unwrap_or_else(|| object.last_modified.to_rfc3339());
        for text in [path, &object.size.to_string(), &version] {
            hasher.update(&[0]).update(text.as_bytes());
        }
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

impl<'a> BucketModel<'a> {
    fn open(address: &'a Url) -> Result<Self, LocateError> {
        let mut folder = address.clone();
        let last = address.path().rsplit('/').next().unwrap_or_default();
        let is_gguf = Path::new(last)
            .extension()
            .is_some_and(|end| end.eq_ignore_ascii_case("gguf"));
        let file = is_gguf.then(|| last.to_owned());
        if is_gguf {
            folder.set_path(address.path().strip_suffix(last).unwrap_or_default());
        }
        let key = Key::from_url_path(folder.path());
        let key = key.map_err(|error| LocateError::Address {
            address: address.to_string(),
            reason: error.to_string(),
        })?;
        Ok(Self {
            address,
            objects: store::objects(folder.as_str())?,
            folder: key,
            file,
        })
    }

    fn failed(&self, key: &Key) -> impl Fn(object_store::Error) -> LocateError {
        let (address, key) = (self.address.to_string(), key.to_string());
        move |source| {
            if store::lacks_credentials(&source) {
                return store::no_credentials(&address).into();
            }
            LocateError::Object {
                address: address.clone(),
                key: key.clone(),
                source,
            }
        }
    }

    /// Returns the files of the folder and of its subfolders of one level, where chat templates are.
    async fn list(&self) -> Result<Vec<BucketFile>, LocateError> {
        let mut files = Vec::new();
        let mut folders = vec![self.folder.clone()];
        let mut is_subfolder = false;
        while let Some(folder) = folders.pop() {
            let listed = self.objects.store.list_with_delimiter(Some(&folder)).await;
            let listed = listed.map_err(self.failed(&folder))?;
            for object in listed.objects {
                let below = object.location.prefix_match(&self.folder);
                let parts: Vec<_> = below.into_iter().flatten().collect();
                let parts: Vec<_> = parts.iter().map(AsRef::as_ref).collect();
                let path = parts.join("/");
                files.push(BucketFile { path, object });
            }
            if !is_subfolder {
                folders.extend(listed.common_prefixes);
                is_subfolder = true;
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    fn needed<'f>(&self, files: &'f [BucketFile]) -> Result<Vec<&'f BucketFile>, LocateError> {
        let needed = match &self.file {
            Some(file) => gguf_files(files, file),
            None => model_files(files),
        };
        needed.map_err(|source| LocateError::NoModel {
            address: self.address.to_string(),
            source,
        })
    }

    /// Downloads a file unless it is there. One process does it, and others wait.
    async fn download(
        &self,
        file: &BucketFile,
        folder: &Path,
        progress: OnProgress<'_>,
    ) -> Result<(), LocateError> {
        let path = folder.join(&file.path);
        if path.is_file() {
            return Ok(());
        }
        let parent = path.parent().unwrap_or(folder);
        // Names that begin with a dot are not read as files of the model.
        let hidden = format!(".{}", file.path.replace('/', "--"));
        let partial = parent.join(format!("{hidden}.incomplete"));
        let made = fs::create_dir_all(parent);
        made.map_err(|source| LocateError::disk("make the folder", parent, source))?;
        let lock = FileLock::wait(&parent.join(format!("{hidden}.lock"))).await;
        let _lock = lock.map_err(whence_hub::ModelError::from)?;
        if path.is_file() {
            return Ok(());
        }
        self.collect(file, &partial, progress).await?;
        let named = fs::rename(&partial, &path);
        named.map_err(|source| LocateError::disk("name the download", &path, source))
    }

    /// Appends to `partial` the bytes that it lacks.
    async fn collect(
        &self,
        file: &BucketFile,
        partial: &Path,
        progress: OnProgress<'_>,
    ) -> Result<(), LocateError> {
        let failed = |source| LocateError::disk("write the download", partial, source);
        let mut options = OpenOptions::new();
        let opened = options.create(true).append(true).open(partial).await;
        let mut written = opened.map_err(failed)?;
        let size = file.object.size;
        let mut done = written.metadata().await.map_err(failed)?.len();
        if done > size {
            written.set_len(0).await.map_err(failed)?;
            done = 0;
        }
        while done < size {
            let bytes = self.piece(file, done..size.min(done + PIECE_BYTES)).await?;
            written.write_all(&bytes).await.map_err(failed)?;
            done += bytes.len() as u64;
            progress(Transfer {
                file: &file.path,
                done,
                size,
            });
        }
        // Before the file gets its name: after a power cut a name must not stand for nothing.
        written.sync_all().await.map_err(failed)
    }

    /// Returns bytes of the version of the object that was listed.
    async fn piece(
        &self,
        file: &BucketFile,
        range: std::ops::Range<u64>,
    ) -> Result<bytes::Bytes, LocateError> {
        let options = GetOptions {
            range: Some(GetRange::Bounded(range)),
            if_match: file.object.e_tag.clone(),
            ..GetOptions::default()
        };
        let location = &file.object.location;
        let answer = self.objects.store.get_opts(location, options).await;
        let answer = answer.map_err(self.failed(location))?;
        answer.bytes().await.map_err(self.failed(location))
    }
}

#[cfg(test)]
mod tests {
    use whence_hub::no_progress;

    use super::*;

    /// A folder that stands for one in a bucket, and its address.
    fn bucket(files: &[(&str, &str)]) -> (tempfile::TempDir, Url) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let address = Url::from_directory_path(folder.path()).unwrap();
        (folder, address)
    }

    #[tokio::test]
    async fn only_the_files_of_the_model_are_downloaded() {
        let files = [
            ("config.json", "{}"),
            ("model.safetensors", "0123456789"),
            ("pytorch_model.bin", ""),
            ("README.md", ""),
            ("additional_chat_templates/tools.jinja", "x"),
            ("checkpoint-1/model.safetensors", ""),
        ];
        let (_bucket, address) = bucket(&files);
        let cache = tempfile::tempdir().unwrap();
        let model = fetch(&address, cache.path(), &no_progress).await.unwrap();
        for (name, text) in files {
            let read = fs::read_to_string(model.join(name)).ok();
            let is_of_model = !text.is_empty();
            assert_eq!(read.as_deref(), is_of_model.then_some(text), "{name}");
        }
    }

    #[tokio::test]
    async fn a_download_goes_on_where_it_stopped() {
        let files = [("config.json", "{}"), ("model.safetensors", "0123456789")];
        let (_bucket, address) = bucket(&files);
        let cache = tempfile::tempdir().unwrap();
        let model = fetch(&address, cache.path(), &no_progress).await.unwrap();
        let weights = model.join("model.safetensors");
        fs::remove_file(&weights).unwrap();
        // Bytes that are not those of the bucket show which ones were not asked for again.
        fs::write(model.join(".model.safetensors.incomplete"), "abcde").unwrap();
        fetch(&address, cache.path(), &no_progress).await.unwrap();
        assert_eq!(fs::read_to_string(weights).unwrap(), "abcde56789");
    }

    #[tokio::test]
    async fn one_gguf_file_is_named_by_its_address() {
        let (_bucket, folder) = bucket(&[("a.gguf", "a"), ("b.gguf", "b")]);
        let address = folder.join("b.gguf").unwrap();
        let cache = tempfile::tempdir().unwrap();
        let model = fetch(&address, cache.path(), &no_progress).await.unwrap();
        assert_eq!(fs::read_to_string(&model).unwrap(), "b");
        assert!(!model.with_file_name("a.gguf").exists());
        let several = fetch(&folder, cache.path(), &no_progress).await;
        let message = several.unwrap_err().to_string();
        assert!(message.contains("`a.gguf`, `b.gguf`"), "{message}");
    }
}
