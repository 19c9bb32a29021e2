//! A model folder's `config.json` and `generation_config.json`, read field by field.
//!
//! Architectures have different fields, so each field is read where it is needed, and errors name
//! the file. An absent field and `null` mean the same, as in transformers. A value that changes
//! the numbers and is not understood is refused, never ignored.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::disk;
use crate::Error;

/// One JSON file of a model folder.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    path: PathBuf,
    fields: Map<String, Value>,
}

impl ConfigFile {
    /// Reads `folder/name`. Fails if it is missing or not a JSON object.
    pub fn read(folder: &Path, name: &str) -> Result<Self, Error> {
        let path = folder.join(name);
        let text = disk::read_text(&path)?;
        match serde_json::from_str(&text) {
            Ok(Value::Object(fields)) => Ok(Self { path, fields }),
            Ok(_) => Err(Error::ModelContent {
                path,
                reason: "it is not a JSON object".to_owned(),
            }),
            Err(error) => Err(Error::ModelContent {
                path,
                reason: error.to_string(),
            }),
        }
    }

    /// Reads `folder/name`. Returns a file without fields if there is none.
    pub fn read_optional(folder: &Path, name: &str) -> Result<Self, Error> {
        if folder.join(name).exists() {
            return Self::read(folder, name);
        }
        Ok(Self {
            path: folder.join(name),
            fields: Map::new(),
        })
    }

    /// Creates a file at `path` from `fields`, for values that come from another file format.
    pub(crate) fn from_fields(path: &Path, fields: Map<String, Value>) -> Self {
        Self {
            path: path.to_owned(),
            fields,
        }
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns all fields.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// Returns the whole file as JSON.
    pub fn to_value(&self) -> Value {
        Value::Object(self.fields.clone())
    }

    /// Returns the object in `field` as a file of its own, or `None` if it is absent.
    pub fn object(&self, field: &str) -> Result<Option<Self>, Error> {
        match self.value(field) {
            None => Ok(None),
            Some(Value::Object(fields)) => Ok(Some(Self {
                path: self.path.clone(),
                fields: fields.clone(),
            })),
            Some(other) => Err(self.unusable(field, other, "an object")),
        }
    }

    /// Returns a file at the same path without any fields.
    #[must_use]
    pub fn empty(&self) -> Self {
        Self {
            path: self.path.clone(),
            fields: Map::new(),
        }
    }

    /// Returns whether the file has `field`, even if it is `null`. For some fields, `null` and
    /// absent mean different things.
    pub fn has(&self, field: &str) -> bool {
        self.fields.contains_key(field)
    }

    /// Returns a list of numbers. Fails if the field is absent.
    pub fn numbers(&self, field: &str) -> Result<Vec<f64>, Error> {
        let value = self.value(field).ok_or_else(|| self.absent(field))?;
        let refused = || self.unusable(field, value, "a list of numbers");
        let numbers = value.as_array().ok_or_else(refused)?;
        numbers
            .iter()
            .map(|number| number.as_f64().ok_or_else(refused))
            .collect()
    }

    /// Returns a list of strings, or `None` if the field is absent.
    pub fn optional_texts(&self, field: &str) -> Result<Option<Vec<&str>>, Error> {
        let Some(value) = self.value(field) else {
            return Ok(None);
        };
        let refused = || self.unusable(field, value, "a list of texts");
        let texts = value.as_array().ok_or_else(refused)?;
        let texts = texts.iter().map(|text| text.as_str().ok_or_else(refused));
        texts.collect::<Result<_, _>>().map(Some)
    }

    /// Returns a positive integer. Fails if the field is absent.
    pub fn size(&self, field: &str) -> Result<usize, Error> {
        self.optional_size(field)?.ok_or_else(|| self.absent(field))
    }

    /// Returns a positive integer, or `None` if the field is absent.
    pub fn optional_size(&self, field: &str) -> Result<Option<usize>, Error> {
        let Some(value) = self.value(field) else {
            return Ok(None);
        };
        match value.as_u64().and_then(|size| usize::try_from(size).ok()) {
            Some(size) if size > 0 => Ok(Some(size)),
            _ => Err(self.unusable(field, value, "a positive integer")),
        }
    }

    /// Returns a number, or `None` if the field is absent.
    pub fn optional_number(&self, field: &str) -> Result<Option<f64>, Error> {
        let Some(value) = self.value(field) else {
            return Ok(None);
        };
        value
            .as_f64()
            .map(Some)
            .ok_or_else(|| self.unusable(field, value, "a number"))
    }

    /// Returns a boolean, or `default` if the field is absent.
    pub fn flag_or(&self, field: &str, default: bool) -> Result<bool, Error> {
        let Some(value) = self.value(field) else {
            return Ok(default);
        };
        value
            .as_bool()
            .ok_or_else(|| self.unusable(field, value, "true or false"))
    }

    /// Returns a string, or `None` if the field is absent.
    pub fn optional_text(&self, field: &str) -> Result<Option<&str>, Error> {
        let Some(value) = self.value(field) else {
            return Ok(None);
        };
        value
            .as_str()
            .map(Some)
            .ok_or_else(|| self.unusable(field, value, "a text"))
    }

    /// Returns a string. Fails if the field is absent.
    pub fn text(&self, field: &str) -> Result<&str, Error> {
        self.optional_text(field)?.ok_or_else(|| self.absent(field))
    }

    /// Returns the token ids of a field that holds one id or a list; empty if the field is absent.
    pub fn token_ids(&self, field: &str) -> Result<Vec<u32>, Error> {
        let one = |value: &Value| {
            let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
            id.ok_or_else(|| self.unusable(field, value, "a token id"))
        };
        match self.value(field) {
            None => Ok(Vec::new()),
            Some(Value::Array(ids)) => ids.iter().map(one).collect(),
            Some(value) => Ok(vec![one(value)?]),
        }
    }

    /// Returns the error for a field whose value is not supported.
    pub fn unusable(&self, field: &str, value: &Value, expected: &str) -> Error {
        self.refused(format!("`{field}` is {value}, expected {expected}"))
    }

    /// Returns the error for a file with content that is not supported.
    pub fn refused(&self, reason: String) -> Error {
        Error::ModelContent {
            path: self.path.clone(),
            reason,
        }
    }

    fn absent(&self, field: &str) -> Error {
        self.refused(format!("`{field}` is missing"))
    }

    fn value(&self, field: &str) -> Option<&Value> {
        self.fields.get(field).filter(|value| !value.is_null())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn file(text: &str) -> ConfigFile {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.json"), text).unwrap();
        ConfigFile::read(folder.path(), "config.json").unwrap()
    }

    #[test]
    fn null_is_the_same_as_absent() {
        let config = file(r#"{"a": null, "ids": [1, 2], "id": 3}"#);
        assert_eq!(config.optional_size("a").unwrap(), None);
        assert_eq!(config.token_ids("ids").unwrap(), [1, 2]);
        assert_eq!(config.token_ids("id").unwrap(), [3]);
        assert!(config.token_ids("a").unwrap().is_empty());
    }

    #[test]
    fn an_error_names_file_field_and_value() {
        let message = file(r#"{"d_model": "wide"}"#)
            .size("d_model")
            .unwrap_err()
            .to_string();
        for part in ["config.json", "d_model", "wide", "positive integer"] {
            assert!(message.contains(part), "{message}");
        }
    }
}
