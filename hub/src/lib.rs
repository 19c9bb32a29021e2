//! The Hugging Face Hub: from a name to a commit, from a commit to files.
//!
//! [`Hub::resolve`] turns a name and a revision into a [`Snapshot`], whose bytes never change.
//! [`Hub::tree`] lists its files, [`Hub::fetch`] brings one into the cache, and [`Hub::open`] reads
//! one without downloading it. [`model_files`] says which files of a model are needed, and
//! [`Hub::fetch_model`] brings them into a folder.
//!
//! Three things always hold. The cache is `huggingface_hub`'s: what Python has downloaded is not
//! downloaded again, nor the other way around. Bytes are verified before anybody reads them from
//! the cache. The access token is sent to the endpoint and to nobody else, and is never printed.
//!
//! The crate knows nothing of jobs, models' mathematics or rows of datasets.

mod blob;
mod body;
mod cache;
mod client;
mod digest;
mod download;
mod error;
mod explain;
mod hub;
mod local_model;
mod model_files;
mod model_name;
mod remote;
mod repo;
mod retry;
mod settings;
mod token;
mod tree;

pub use cache::FileLock;
pub use digest::Digest;
pub use download::{OnProgress, Transfer, no_progress};
pub use error::{Error, Subject};
pub use hub::Hub;
pub use local_model::{LocalModel, ModelError, ModelListing};
pub use model_files::{ListedFile, NoModel, gguf_files, model_files};
pub use model_name::ModelName;
pub use remote::{RemoteFile, RemoteStream};
pub use repo::{Commit, InvalidName, RepoId, RepoKind, Revision, Snapshot};
pub use settings::{Offline, Settings, SettingsError, TokenSource};
pub use token::Token;
pub use tree::{RepoFile, Tree};
