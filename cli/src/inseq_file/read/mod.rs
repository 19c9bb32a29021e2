//! Reads a file of Inseq, one example at a time.
//!
//! A file is read from the beginning each time: once to learn what it holds, and once for its
//! examples. What is not understood is refused with the file, the example and the field.

mod document;
mod scores;
mod sequence;

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use whence_engine::Attribution;

use super::characters;
use super::info::{Info, Outline};
use super::python_json::PythonJson;
use crate::Failure;
use document::{Broken, Document};
use sequence::{Names, Sequence};

/// The bytes that every gzip file begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A file of attributions that Inseq or whence saved.
#[derive(Debug)]
pub struct SavedAttributions {
    path: PathBuf,
    outline: Outline,
}

/// One example of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedExample {
    /// Its number, counted from 0.
    pub index: usize,
    /// The input text, if the file has it.
    pub input_text: Option<String>,
    /// The attribution, with scores as they were saved: raw unless they were aggregated before.
    pub attribution: Attribution,
}

impl SavedAttributions {
    /// Opens the file at `path` and reads what it holds, without its scores.
    ///
    /// Fails if it is not a file of Inseq, or has something in it that is not understood.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let mut hash = blake3::Hasher::new();
        let mut step_scores: Vec<String> = Vec::new();
        let mut digested = Digested {
            inner: open(path)?,
            hash: &mut hash,
            bytes: 0,
        };
        let document = Document::<Names>::read(json(&mut digested)?, |_, names| {
            for name in names.step_scores() {
                if !step_scores.contains(name) {
                    step_scores.push(name.clone());
                }
            }
            ControlFlow::Continue(())
        });
        let document = document.map_err(|broken| failure(path, broken))?;
        // Whatever follows the JSON belongs to the file's digest as well.
        io::copy(&mut digested, &mut io::sink()).map_err(|error| unreadable(path, &error))?;
        let bytes = digested.bytes;
        if document.has_steps {
            let notice = format!(
                "the step attributions of `{}` are not read; its sequences hold the same scores",
                path.display()
            );
            crate::output::warn(&notice);
        }
        let info = Info::read(document.info, document.sequences);
        let info = info.map_err(|reason| refused(path, &format!("`info`: {reason}")))?;
        let mut opened = Self {
            path: path.to_owned(),
            outline: Outline::new(info, document.sequences, step_scores),
        };
        opened.outline.bytes = bytes;
        opened.outline.digest = hash.finalize().to_hex().to_string();
        opened.learn_aggregators()?;
        Ok(opened)
    }

    /// Returns what the file holds.
    pub fn outline(&self) -> &Outline {
        &self.outline
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Calls `visit` for each example in order, until it breaks off.
    ///
    /// Fails at the first example that is not understood.
    pub fn for_each(
        &self,
        mut visit: impl FnMut(SavedExample) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        let mut wrong = None;
        let read =
            Document::<Sequence>::read(json(open(&self.path)?)?, |index, sequence| {
                match self.example(index, sequence) {
                    Ok(example) => visit(example),
                    Err(reason) => {
                        wrong = Some(reason);
                        ControlFlow::Break(())
                    }
                }
            });
        match (wrong, read) {
            (Some(reason), _) => Err(refused(&self.path, &reason)),
            (None, Err(broken)) => Err(failure(&self.path, broken)),
            (None, Ok(_)) => Ok(()),
        }
    }

    /// Returns the example `index`, or `None` if the file has fewer.
    pub fn example_at(&self, index: usize) -> Result<Option<SavedExample>, Failure> {
        let mut found = None;
        self.for_each(|example| {
            if example.index < index {
                return ControlFlow::Continue(());
            }
            found = Some(example);
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    fn example(&self, index: usize, sequence: Sequence) -> Result<SavedExample, String> {
        let texts = self.outline.info().texts(index);
        let read = sequence.attribution(&self.outline.step_scores, self.outline.info(), texts);
        let mut attribution = read.map_err(|reason| format!("sequence {index}: {reason}"))?;
        characters::locate(&mut attribution, texts.input);
        Ok(SavedExample {
            index,
            input_text: texts.input.map(str::to_owned),
            attribution,
        })
    }

    /// Learns from the first example how examples are aggregated by default.
    fn learn_aggregators(&mut self) -> Result<(), Failure> {
        let mut learned = Ok(Vec::new());
        let read = Document::<Sequence>::read(json(open(&self.path)?)?, |_, sequence| {
            learned = sequence.default_aggregators();
            ControlFlow::Break(())
        });
        read.map_err(|broken| failure(&self.path, broken))?;
        let learned = learned.map_err(|reason| {
            let reason = format!("sequence 0: {reason}");
            refused(&self.path, &reason)
        });
        self.outline.default_aggregators = learned?;
        Ok(())
    }
}

fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| unreadable(path, &error))
}

/// Returns the JSON of a file, unpacked if it is compressed.
fn json<'f>(file: impl Read + 'f) -> Result<Box<dyn Read + 'f>, Failure> {
    let mut file = file;
    let mut start = Vec::with_capacity(GZIP.len());
    file.by_ref()
        .take(GZIP.len() as u64)
        .read_to_end(&mut start)?;
    let is_gzip = start == GZIP;
    let whole = io::Cursor::new(start).chain(file);
    let unpacked: Box<dyn Read + 'f> = if is_gzip {
        Box::new(MultiGzDecoder::new(whole))
    } else {
        Box::new(whole)
    };
    let json = PythonJson::new(BufReader::new(unpacked));
    Ok(Box::new(BufReader::new(json)))
}

/// Passes bytes on and computes their digest.
struct Digested<'h, R> {
    inner: R,
    hash: &'h mut blake3::Hasher,
    bytes: u64,
}

impl<R: Read> Read for Digested<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(out)?;
        self.hash.update(&out[..length]);
        self.bytes += length as u64;
        Ok(length)
    }
}

fn failure(path: &Path, broken: Broken) -> Failure {
    match broken {
        Broken::Io(error) => unreadable(path, &error),
        Broken::Content(reason) => refused(path, &reason),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::request(format!("cannot read `{}`: {error}", path.display()))
}

fn refused(path: &Path, reason: &str) -> Failure {
    Failure::request(format!(
        "`{}` is not a file of attributions that whence can read: {reason}",
        path.display()
    ))
}
