//! Why a model is not on this machine and cannot be brought to it.

use std::io;
use std::path::{Path, PathBuf};

use whence_hub::{InvalidName, ModelError, NoModel, SettingsError};
use whence_schemas::ErrorKind;
use whence_schemas::store::StoreError;

/// The next step if the base of an adapter is not found.
const NAME_THE_BASE: &str = "write the path of the whole base model, or its name on the Hub, as \
                             `base_model_name_or_path` into its adapter_config.json";

/// Why a model cannot be located.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocateError {
    /// A variable of the environment cannot be followed.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The name cannot be one on the Hub.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The Hub does not give the model.
    #[error(transparent)]
    Hub(#[from] ModelError),
    /// The address cannot be followed.
    #[error("`{address}` is not the address of a model: {reason}")]
    Address {
        /// The address that was given.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The bucket cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bucket did not give an object.
    #[error("cannot read `{key}` of the model `{address}`")]
    Object {
        /// Address of the model.
        address: String,
        /// Name of the object in the bucket.
        key: String,
        /// The error of the store.
        #[source]
        source: object_store::Error,
    },
    /// The bucket's folder holds no model.
    #[error("model `{address}`: {source}")]
    NoModel {
        /// Address of the folder.
        address: String,
        /// What is missing.
        source: NoModel,
    },
    /// The base of an adapter is neither here nor on the Hub.
    #[error("`{}` is an adapter of `{base}`, which is neither a path that exists nor a name on the Hub", adapter.display())]
    Base {
        /// Folder of the adapter.
        adapter: PathBuf,
        /// The base as the adapter names it.
        base: String,
    },
    /// The base of an adapter cannot be had.
    #[error("cannot get the base `{base}` of the adapter `{}`", adapter.display())]
    NoBase {
        /// Folder of the adapter.
        adapter: PathBuf,
        /// The base as the adapter names it.
        base: String,
        /// Why.
        #[source]
        source: Box<LocateError>,
    },
    /// The model's files cannot be used.
    #[error(transparent)]
    Model(#[from] whence_engine::Error),
    /// The cache cannot be written.
    #[error("cannot {action} `{}`", path.display())]
    Disk {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
}

impl LocateError {
    pub(super) fn disk(action: &'static str, path: impl AsRef<Path>, source: io::Error) -> Self {
        Self::Disk {
            action,
            path: path.as_ref().to_owned(),
            source,
        }
    }

    /// Returns what can be done about the error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Settings(error) => error.kind(),
            Self::Hub(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::NoBase { source, .. } => source.kind(),
            Self::NoModel { source, .. } => source.kind(),
            Self::Name(_) | Self::Address { .. } | Self::Base { .. } | Self::Model(_) => {
                ErrorKind::Invalid
            }
            Self::Object {
                source: object_store::Error::NotFound { .. },
                ..
            } => ErrorKind::NotFound,
            Self::Object { .. } | Self::Disk { .. } => ErrorKind::Unavailable,
        }
    }

    /// Returns the next step for the person who reads the error.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Hub(error) => error.help(),
            Self::Model(error) => error.next_step(),
            Self::Address { .. } => Some(
                "a model is a folder, a GGUF file, a name on the Hub such as `ns/name`, or a folder \
                 of a bucket: `s3://bucket/folder`, `gs://bucket/folder`, `az://container/folder`"
                    .to_owned(),
            ),
            Self::Base { .. } => Some(NAME_THE_BASE.to_owned()),
            Self::NoBase { source, .. } => {
                let of_source = source.help().map(|help| help + "; or ");
                Some(of_source.unwrap_or_default() + NAME_THE_BASE)
            }
            _ => None,
        }
    }
}
