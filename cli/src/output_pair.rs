//! The two files that commands write besides what they show: saved scores and an HTML page.

use std::path::Path;

use crate::Failure;
use crate::output_file::OutputFile;

pub(crate) const SAVE_PATH: &str = "--save-path";
pub(crate) const VIZ_PATH: &str = "--viz-path";

/// What a command prints to standard output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown {
    /// What it is, with the verb that follows `and so`: `do the heatmaps`.
    pub(crate) what: &'static str,
    /// How not to show it.
    pub(crate) hint: &'static str,
}

/// The files that were asked for.
#[derive(Debug)]
pub(crate) struct OutputPair {
    /// The file of `--save-path`.
    pub(crate) saved: Option<OutputFile>,
    /// The file of `--viz-path`.
    pub(crate) page: Option<OutputFile>,
}

impl OutputPair {
    /// Creates the files, before the work starts. Fails if one of them cannot be written, if both are
    /// the same, or if one shares standard output with what is `shown`.
    pub(crate) fn create(
        saved: Option<&Path>,
        page: Option<&Path>,
        shown: Option<Shown>,
    ) -> Result<Self, Failure> {
        let create = |option: &str, path: Option<&Path>| -> Result<_, Failure> {
            let Some(path) = path else { return Ok(None) };
            let file = OutputFile::create(option, path)?;
            match shown {
                Some(Shown { what, hint }) if file.is_stdout() => Err(Failure::request(format!(
                    "{option} writes to standard output, and so {what}"
                ))
                .hint(hint)),
                _ => Ok(Some(file)),
            }
        };
        let saved = create(SAVE_PATH, saved)?;
        let page = create(VIZ_PATH, page)?;
        if let (Some(saved), Some(page)) = (&saved, &page)
            && saved.is_same_as(page)
        {
            return Err(Failure::request(format!(
                "{SAVE_PATH} and {VIZ_PATH} name the same file; give each its own"
            )));
        }
        Ok(Self { saved, page })
    }
}
