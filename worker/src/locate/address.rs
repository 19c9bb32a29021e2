//! The address of a model, as a specification pins it.

use std::fmt;
use std::path::{Path, PathBuf};

use url::Url;
use whence_hub::ModelName;
use whence_schemas::store::is_bucket;

use super::LocateError;

/// Where a model is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelAddress {
    /// A folder or a file of this machine.
    Here(PathBuf),
    /// A repository on the Hub: `hf://ns/name@commit`.
    Hub(ModelName),
    /// A folder or a GGUF file in a bucket: `s3://bucket/models/name`, `gs://…`, `az://…`.
    Bucket(Url),
}

impl ModelAddress {
    /// Reads an address. What has no scheme is a path.
    ///
    /// Fails if the scheme is unknown, or the address has none of its parts.
    pub fn parse(text: &str) -> Result<Self, LocateError> {
        if ModelName::is_address(text) {
            return Ok(Self::Hub(ModelName::parse(text)?));
        }
        let Some((scheme, _)) = text.split_once("://") else {
            return Ok(Self::Here(Path::new(text).to_owned()));
        };
        let refused = |reason: String| LocateError::Address {
            address: text.to_owned(),
            reason,
        };
        let url = Url::parse(text).map_err(|error| refused(error.to_string()))?;
        match scheme {
            "file" => {
                let path = url.to_file_path();
                let path = path.map_err(|()| refused("it names no file of this machine".into()))?;
                Ok(Self::Here(path))
            }
            _ if is_bucket(text) => Ok(Self::Bucket(url)),
            _ => Err(refused(format!(
                "whence reads no models from `{scheme}://`"
            ))),
        }
    }
}

/// Writes the address, which [`ModelAddress::parse`] reads again.
impl fmt::Display for ModelAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here(path) => write!(f, "{}", path.display()),
            Self::Hub(name) => write!(f, "{name}"),
            Self::Bucket(url) => write!(f, "{url}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_it_is_read() {
        for text in [
            "/models/a",
            "models/a.gguf",
            "hf://ns/name@main",
            "hf://ns/name@main/q4.gguf",
            "s3://bucket/models/a?endpoint=http://127.0.0.1:9000",
            "gs://bucket/models/a",
            "abfss://container@account.dfs.core.windows.net/models/a",
        ] {
            let address = ModelAddress::parse(text).unwrap();
            assert_eq!(address.to_string(), text);
        }
        let here = ModelAddress::parse("file:///models/a").unwrap();
        assert_eq!(here, ModelAddress::Here("/models/a".into()));
    }

    #[test]
    fn an_unknown_scheme_is_named_with_those_that_are_known() {
        let error = ModelAddress::parse("ftp://host/a").unwrap_err();
        let message = error.to_string();
        assert!(message.contains("ftp://host/a"), "{message}");
        assert!(error.help().unwrap().contains("s3://"));
    }
}
