//! Reads the goldens: Inseq's results, written by `tests/golden/generate.py`.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::PathBuf;

use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use whence_engine::Example;
use whence_schemas::AttributionSpec;

/// One case: a model, a specification and a few examples.
#[derive(Debug)]
pub struct Golden {
    name: String,
    case: Case,
    tensors: HashMap<String, Vec<f64>>,
}

#[derive(Debug, Deserialize)]
struct Case {
    spec: AttributionSpec,
    examples: Vec<CaseExample>,
}

#[derive(Debug, Deserialize)]
struct CaseExample {
    input_text: String,
    forced_text: Option<String>,
    generated_text: String,
    source: Vec<(String, u32)>,
    target: Vec<(String, u32)>,
    attr_pos_start: usize,
    has_raw: bool,
}

/// Whether scores are taken before or after aggregation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// One vector or matrix per token.
    Raw,
    /// One score per token.
    Aggregated,
}

/// The same numbers from Inseq in single precision and from Inseq in double precision.
#[derive(Debug)]
pub struct Pair<'g> {
    pub inseq: &'g [f64],
    pub truth: &'g [f64],
}

/// The scores of one example, step after step.
#[derive(Debug)]
pub struct PeerScores<'g> {
    /// Scores between tokens of the same stack by name, column after column.
    pub sequences: Vec<(String, Pair<'g>)>,
    /// Scores of the source; each step has all source tokens.
    pub source: Option<Pair<'g>>,
    /// Scores of the target; each step has the tokens before it.
    pub target: Option<Pair<'g>>,
}

impl Golden {
    /// Reads all goldens of `model`, sorted by name.
    pub fn of_model(model: &str) -> Vec<Self> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("golden")
            .join(model);
        let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths.iter().map(Self::read).collect()
    }

    fn read(path: &PathBuf) -> Self {
        let bytes = fs::read(path).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let metadata = header.metadata().as_ref().expect("a golden has metadata");
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let values = |(name, view): (&str, safetensors::tensor::TensorView<'_>)| {
            let values = match view.dtype() {
                Dtype::F64 => view
                    .data()
                    .chunks_exact(8)
                    .map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap()))
                    .collect(),
                Dtype::F32 => view
                    .data()
                    .chunks_exact(4)
                    .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()).into())
                    .collect(),
                dtype => panic!("`{name}` of {} is {dtype:?}", path.display()),
            };
            (name.to_owned(), values)
        };
        Self {
            name: path.file_stem().unwrap().to_string_lossy().into_owned(),
            case: serde_json::from_str(&metadata["case"]).unwrap(),
            tensors: tensors.iter().map(values).collect(),
        }
    }

    /// Returns the name of the case.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the specification of the case.
    pub fn spec(&self) -> &AttributionSpec {
        &self.case.spec
    }

    /// Returns the examples as the engine takes them.
    pub fn examples(&self) -> Vec<Example> {
        let example = |(id, example): (usize, &CaseExample)| {
            let open = Example::new(id as i64, &example.input_text);
            match &example.forced_text {
                Some(text) => open.with_generated_text(text),
                None => open,
            }
        };
        self.case.examples.iter().enumerate().map(example).collect()
    }

    /// Returns the source and target tokens of an example, each as vocabulary entry and id.
    pub fn tokens(&self, example: usize) -> [&[(String, u32)]; 2] {
        let example = &self.case.examples[example];
        [&example.source, &example.target]
    }

    /// Returns the position of the first explained token of an example.
    pub fn attr_pos_start(&self, example: usize) -> usize {
        self.case.examples[example].attr_pos_start
    }

    /// Returns the explained text of an example.
    pub fn generated_text(&self, example: usize) -> &str {
        &self.case.examples[example].generated_text
    }

    /// Returns whether the un-aggregated scores of an example were kept.
    pub fn has_raw(&self, example: usize) -> bool {
        self.case.examples[example].has_raw
    }

    /// Returns the scores of an example. A side that was not attributed has none.
    pub fn scores(&self, example: usize, stage: Stage) -> PeerScores<'_> {
        let stage = match stage {
            Stage::Raw => "raw",
            Stage::Aggregated => "aggregated",
        };
        let pair = |side: &str| self.pair(&format!("{example}.{stage}.{side}"));
        PeerScores {
            source: pair("source"),
            target: pair("target"),
            sequences: self.sequences(&format!("{example}.{stage}.")),
        }
    }

    /// Returns the sequence scores whose tensors begin with `prefix`, by name.
    fn sequences(&self, prefix: &str) -> Vec<(String, Pair<'_>)> {
        let names = self.tensors.keys().filter_map(|tensor| {
            let name = tensor.strip_prefix(prefix)?.strip_suffix(".truth")?;
            (name.contains("_self_")).then_some(name)
        });
        let names: BTreeSet<_> = names.collect();
        let pair = |name: &str| Some((name.to_owned(), self.pair(&format!("{prefix}{name}"))?));
        names.into_iter().filter_map(pair).collect()
    }

    /// Returns one step score of every step of an example.
    pub fn step_scores(&self, example: usize, function: &str) -> Pair<'_> {
        let name = format!("{example}.step_scores.{function}");
        self.pair(&name)
            .unwrap_or_else(|| panic!("{} has no `{name}`", self.name))
    }

    fn pair(&self, name: &str) -> Option<Pair<'_>> {
        let values = |kind: &str| self.tensors.get(&format!("{name}.{kind}"));
        Some(Pair {
            inseq: values("inseq")?,
            truth: values("truth")?,
        })
    }
}
