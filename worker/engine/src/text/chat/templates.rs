//! The chat templates that come with a model.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use whence_schemas::ChatSpec;

use crate::Error;
use crate::model::ModelFiles;
use crate::model::config::ConfigFile;

/// The template that is used if the job names none.
const DEFAULT: &str = "default";
/// The template that is preferred over it if the job gives tools.
const FOR_TOOLS: &str = "tool_use";

/// A model's templates, by name.
#[derive(Debug, Clone, Default)]
pub(in crate::text) struct ModelTemplates(BTreeMap<String, String>);

impl ModelTemplates {
    /// Collects the templates from files of their own, the tokenizer's configuration and a GGUF
    /// file.
    pub(in crate::text) fn read(files: &ModelFiles) -> Result<Self, Error> {
        let folder = files.text_folder();
        let config = ConfigFile::read_optional(folder, "tokenizer_config.json")?;
        let mut templates = Self::default();
        match config.fields().get("chat_template") {
            Some(serde_json::Value::String(template)) => templates.insert(DEFAULT, template),
            Some(serde_json::Value::Array(named)) => {
                for entry in named {
                    if let (Some(name), Some(template)) =
                        (entry["name"].as_str(), entry["template"].as_str())
                    {
                        templates.insert(name, template);
                    }
                }
            }
            _ => {}
        }
        templates.read_folder(&folder.join("additional_chat_templates"))?;
        let path = folder.join("chat_template.jinja");
        if path.exists() {
            templates.insert(DEFAULT, &read(&path)?);
        }
        if let (true, Some(gguf)) = (templates.0.is_empty(), files.gguf()) {
            let template = gguf.metadata().optional_text("tokenizer.chat_template")?;
            if let Some(template) = template {
                templates.insert(DEFAULT, template);
            }
        }
        Ok(templates)
    }

    /// Returns the template that `spec` asks for: its own text, one of these by name, or the one
    /// that suits what it gives (such as tools). Fails if there is none.
    pub(super) fn choose<'t>(&'t self, spec: &'t ChatSpec) -> Result<&'t str, Error> {
        if let Some(given) = &spec.template {
            return Ok(self.0.get(given).unwrap_or(given));
        }
        let for_tools = || spec.tools.as_ref().and(self.0.get(FOR_TOOLS));
        if let Some(template) = for_tools().or_else(|| self.0.get(DEFAULT)) {
            return Ok(template);
        }
        let names: Vec<_> = self.0.keys().map(String::as_str).collect();
        let reason = if names.is_empty() {
            "the model has no chat template; give one as the `template` of --chat, or leave --chat out"
                .to_owned()
        } else {
            format!(
                "the model has several chat templates and no default: name one of `{}` as the `template` of --chat",
                names.join("`, `")
            )
        };
        Err(Error::Specification { reason })
    }

    /// Reads the templates of a folder, each named after its file.
    fn read_folder(&mut self, folder: &Path) -> Result<(), Error> {
        let Ok(entries) = fs::read_dir(folder) else {
            return Ok(());
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            let is_template = path.extension().is_some_and(|ext| ext == "jinja");
            if let (true, Some(name)) = (is_template, path.file_stem().and_then(|s| s.to_str())) {
                self.insert(name, &read(&path)?);
            }
        }
        Ok(())
    }

    fn insert(&mut self, name: &str, template: &str) {
        self.0.insert(name.to_owned(), template.to_owned());
    }
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| Error::ModelFile {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(json: serde_json::Value) -> ChatSpec {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_template_is_found_by_name_and_for_tools() {
        let folder = tempfile::tempdir().unwrap();
        let config = json!({"chat_template": [
            {"name": "default", "template": "plain"}, {"name": "tool_use", "template": "tools"},
        ]});
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("tokenizer_config.json", &config.to_string());
        fs::create_dir(folder.path().join("additional_chat_templates")).unwrap();
        write("additional_chat_templates/rag.jinja", "documents");
        let files = ModelFiles::open(folder.path()).unwrap();
        let templates = ModelTemplates::read(&files).unwrap();
        let chosen = |json| templates.choose(&spec(json)).unwrap().to_owned();
        assert_eq!(chosen(json!({})), "plain");
        assert_eq!(chosen(json!({"tools": []})), "tools");
        assert_eq!(chosen(json!({"template": "rag"})), "documents");
        assert_eq!(chosen(json!({"template": "{{ x }}"})), "{{ x }}");
    }

    #[test]
    fn several_without_a_default_must_be_named() {
        let templates = ModelTemplates(
            [("a", "x"), ("b", "y")]
                .map(|(n, t)| (n.to_owned(), t.to_owned()))
                .into(),
        );
        let error = templates.choose(&ChatSpec::default()).unwrap_err();
        assert!(error.to_string().contains("`a`, `b`"), "{error}");
    }
}
