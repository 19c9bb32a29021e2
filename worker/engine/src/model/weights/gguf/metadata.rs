//! The key–value pairs of a GGUF file, with type checks.

use std::collections::HashMap;
use std::path::Path;

use candle_core::quantized::gguf_file::Value;

use crate::Error;

/// The metadata of a file. Missing keys and values of the wrong type give errors that name the
/// key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Metadata<'f> {
    path: &'f Path,
    values: &'f HashMap<String, Value>,
}

impl<'f> Metadata<'f> {
    /// Wraps the pairs of the file at `path`.
    pub(super) fn new(path: &'f Path, values: &'f HashMap<String, Value>) -> Self {
        Self { path, values }
    }

    /// Returns a string, or `None` if the key is absent.
    pub(crate) fn optional_text(&self, key: &str) -> Result<Option<&'f str>, Error> {
        match self.values.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.unusable(key, "a text")),
        }
    }

    /// Returns a string. Fails if the key is absent.
    pub(crate) fn text(&self, key: &str) -> Result<&'f str, Error> {
        self.optional_text(key)?.ok_or_else(|| self.absent(key))
    }

    /// Returns a non-negative integer, or `None` if the key is absent.
    pub(crate) fn optional_size(&self, key: &str) -> Result<Option<usize>, Error> {
        let Some(value) = self.values.get(key) else {
            return Ok(None);
        };
        integer(value)
            .and_then(|size| usize::try_from(size).ok())
            .map(Some)
            .ok_or_else(|| self.unusable(key, "a whole number"))
    }

    /// Returns a non-negative integer. Fails if the key is absent.
    pub(crate) fn size(&self, key: &str) -> Result<usize, Error> {
        self.optional_size(key)?.ok_or_else(|| self.absent(key))
    }

    /// Returns a number, or `None` if the key is absent.
    pub(crate) fn optional_number(&self, key: &str) -> Result<Option<f64>, Error> {
        match self.values.get(key) {
            None => Ok(None),
            Some(Value::F32(number)) => Ok(Some(f64::from(*number))),
            Some(Value::F64(number)) => Ok(Some(*number)),
            Some(_) => Err(self.unusable(key, "a number")),
        }
    }

    /// Returns a boolean, or `None` if the key is absent.
    pub(crate) fn optional_flag(&self, key: &str) -> Result<Option<bool>, Error> {
        match self.values.get(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(self.unusable(key, "true or false")),
        }
    }

    /// Returns a list of strings, or `None` if the key is absent.
    pub(crate) fn optional_texts(&self, key: &str) -> Result<Option<Vec<&'f str>>, Error> {
        let text = |value: &'f Value| match value {
            Value::String(text) => Some(text.as_str()),
            _ => None,
        };
        self.list(key, "a list of texts", text)
    }

    /// Returns a list of integers, or `None` if the key is absent.
    pub(crate) fn optional_integers(&self, key: &str) -> Result<Option<Vec<i64>>, Error> {
        self.list(key, "a list of whole numbers", integer)
    }

    fn list<T>(
        &self,
        key: &str,
        expected: &str,
        item: impl Fn(&'f Value) -> Option<T>,
    ) -> Result<Option<Vec<T>>, Error> {
        let Some(value) = self.values.get(key) else {
            return Ok(None);
        };
        let items = match value {
            Value::Array(values) => values.iter().map(item).collect(),
            _ => None,
        };
        items.map(Some).ok_or_else(|| self.unusable(key, expected))
    }

    /// Returns the error for a file with content that is not supported.
    pub(crate) fn refused(&self, reason: String) -> Error {
        Error::ModelContent {
            path: self.path.to_owned(),
            reason,
        }
    }

    fn unusable(&self, key: &str, expected: &str) -> Error {
        self.refused(format!("its metadata `{key}` is not {expected}"))
    }

    fn absent(&self, key: &str) -> Error {
        self.refused(format!("its metadata has no `{key}`"))
    }
}

fn integer(value: &Value) -> Option<i64> {
    match *value {
        Value::U8(value) => Some(value.into()),
        Value::I8(value) => Some(value.into()),
        Value::U16(value) => Some(value.into()),
        Value::I16(value) => Some(value.into()),
        Value::U32(value) => Some(value.into()),
        Value::I32(value) => Some(value.into()),
        Value::U64(value) => i64::try_from(value).ok(),
        Value::I64(value) => Some(value),
        _ => None,
    }
}
