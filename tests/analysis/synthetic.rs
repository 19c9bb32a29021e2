//! Writes a storage root with synthetic attributions, to measure queries on many examples.
//!
//!     cargo run --release -p whence-tests --example synthetic -- ROOT --examples 1000000
//!
//! The scores are invented, but everything else is real: the tables are encoded and the slots are
//! created by the code that workers use, with as many rows per slot as a cluster would have. An
//! example has about 10 source tokens and 8 steps, a short sentence; every score is there, on both
//! sides. `tests/analysis/measure.py` runs the queries.

use std::error::Error;

use whence_coordinator::durable::manifest::{Manifest, ManifestFile};
use whence_coordinator::durable::root;
use whence_engine::{Attribution, ScoreRows, StepAttribution, Token};
use whence_schemas::dataset::FormatName;
use whence_schemas::footer::{Footer, SlotKind};
use whence_schemas::job::{
    DatasetSource, Dtype, ModelSource, NUMERICS_VERSION, default_shard_tokens,
};
use whence_schemas::plan::{Cursor, PlannedShard};
use whence_schemas::store::{SlotStore, open};
use whence_schemas::{
    Attempt, AttributionSpec, DatasetLocation, DatasetOrigin, Epoch, JobSpec, Plan, RowId, SlotId,
    WorkerRequirements, canonical, layout, slot_file,
};
use whence_worker::table::{TableRow, encode};

/// Rows per slot: what the default shard size gives for sentences of this length.
const ROWS_PER_SLOT: u64 = 1000;
/// Tokens that texts are made of. Those of small numbers are frequent, as in a language.
const VOCABULARY: u64 = 8000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, option, examples] = &arguments[..] else {
        return Err("usage: synthetic ROOT --examples COUNT".into());
    };
    if option != "--examples" {
        return Err(format!("unknown option `{option}`").into());
    }
    let examples: u64 = examples.parse()?;
    let store = open(folder)?;
    root::check(store.as_ref()).await?;
    for method in ["saliency", "attention"] {
        let examples = if method == "saliency" {
            examples
        } else {
            examples / 100
        };
        write_job(store.as_ref(), &job(method), examples).await?;
    }
    Ok(())
}

fn job(method: &str) -> JobSpec {
    let mut attribution = AttributionSpec::of_method(method);
    attribution.attribute_target = true;
    attribution.step_scores = vec![whence_schemas::FunctionSpec::named("probability")];
    let location = DatasetLocation::of(DatasetOrigin::Folder {
        path: "/data/synthetic".to_owned(),
    });
    JobSpec {
        model: ModelSource {
            path: "/models/synthetic".to_owned(),
            digest: String::new(),
            base: None,
        },
        dataset: DatasetSource::new(location, FormatName::Json, String::new(), "text"),
        attribution,
        derived_from: None,
        context: None,
        dtype: Dtype::default(),
        seed: 0,
        shard_tokens: default_shard_tokens(),
        run_id: None,
        retry_of: None,
        workers: WorkerRequirements::default(),
        numerics_version: NUMERICS_VERSION,
    }
}

async fn write_job(
    store: &dyn SlotStore,
    spec: &JobSpec,
    examples: u64,
) -> Result<(), Box<dyn Error>> {
    let table = layout::table(spec);
    let mut random = Random(spec.seed + 1);
    let (mut shards, mut files) = (Vec::new(), Vec::new());
    for (index, start) in (0..examples).step_by(ROWS_PER_SLOT as usize).enumerate() {
        let rows = start..(start + ROWS_PER_SLOT).min(examples);
        let slot = SlotId::of_shard(index);
        let footer = Footer {
            slot: slot.clone(),
            attempt: format!("{:026}", index + 1).parse::<Attempt>()?,
            kind: SlotKind::Full,
            examples: rows.end - rows.start,
            errors: 0,
            worker: "synthetic".parse()?,
            epoch: Epoch(1),
            spec_json: spec.canonical_json(),
            code_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let made: Vec<TableRow> = rows.clone().map(|id| random.row(id as i64)).collect();
        let batch = encode(&made, &spec.attribution.step_score_labels(), None)?;
        let bytes = slot_file::encode(&batch, &footer)?;
        let file = ManifestFile {
            key: layout::slot(&table, &slot),
            kind: SlotKind::Full,
            rows: rows.end - rows.start,
            errors: 0,
            bytes: bytes.len() as u64,
            digest: slot_file::verify(bytes.clone().into())?.digest,
        };
        store.create(&file.key, bytes.into()).await?;
        files.push(file);
        shards.push(PlannedShard {
            rows,
            cursor: Cursor { file: 0, offset: 0 },
            estimated_tokens: 0,
            digest: String::new(),
        });
    }
    finish(store, spec, shards, files).await
}

async fn finish(
    store: &dyn SlotStore,
    spec: &JobSpec,
    shards: Vec<PlannedShard>,
    files: Vec<ManifestFile>,
) -> Result<(), Box<dyn Error>> {
    let id = spec.id();
    let plan = Plan {
        files: Vec::new(),
        shards,
    };
    let manifest = Manifest {
        job: id.clone(),
        layout_version: layout::LAYOUT_VERSION,
        rows: files.iter().map(|file| file.rows).sum(),
        errors: 0,
        bytes: files.iter().map(|file| file.bytes).sum(),
        files,
    };
    let put = async |key: String, text: String| store.create(&key, text.into()).await;
    put(layout::plan(&id), canonical::to_string(&plan)?).await?;
    put(layout::spec(&id), spec.canonical_json()).await?;
    put(layout::sealed(&id), canonical::to_string(&manifest)?).await?;
    Ok(())
}

/// A sequence of numbers that is the same in every run.
struct Random(u64);

impl Random {
    /// Returns the next number of the sequence (splitmix64).
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Returns a number between 0 and 1.
    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1_u64 << 24) as f32
    }

    /// Returns a text of `count` tokens, some of which continue a word, and a special token at the
    /// end.
    fn tokens(&mut self, count: u64) -> (String, Vec<Token>) {
        let mut text = String::new();
        let mut tokens = Vec::new();
        for position in 0..count {
            // The product of two numbers makes small ones frequent.
            let id = self.below(VOCABULARY) * self.below(VOCABULARY) / VOCABULARY;
            let begins_word = position == 0 || self.below(4) > 0;
            if begins_word && position > 0 {
                text.push(' ');
            }
            let start = text.len();
            let piece = format!("t{id:x}");
            text += &piece;
            let mark = if begins_word { "▁" } else { "" };
            tokens.push(Token {
                id: Some(id as u32),
                text: format!("{mark}{piece}"),
                offsets: Some((start, text.len())),
            });
        }
        tokens.push(Token {
            id: Some(0),
            text: "</s>".to_owned(),
            offsets: None,
        });
        (text, tokens)
    }

    fn scores(&mut self, count: usize) -> ScoreRows {
        let mut values: Vec<f32> = (0..count).map(|_| self.unit().powi(3)).collect();
        let total: f32 = values.iter().sum::<f32>().max(f32::MIN_POSITIVE) * 2.0;
        for value in &mut values {
            *value /= total;
        }
        ScoreRows {
            values,
            row_shape: Vec::new(),
        }
    }

    fn row(&mut self, id: i64) -> TableRow {
        let count = 5 + self.below(8);
        let (input_text, source) = self.tokens(count);
        let count = 4 + self.below(6);
        let (generated_text, mut target) = self.tokens(count);
        let start = Token {
            id: Some(1),
            text: "<pad>".to_owned(),
            offsets: None,
        };
        target.insert(0, start);
        let steps = (1..target.len()).map(|target_pos| StepAttribution {
            target_pos,
            source: Some(self.scores(source.len())),
            target: Some(self.scores(target_pos)),
            step_scores: vec![self.unit()],
            contrast: None,
        });
        let steps = steps.collect();
        TableRow {
            id: RowId {
                example: id,
                sample: 0,
            },
            input_text: Some(input_text),
            forced: true,
            result: Ok(Attribution {
                attr_pos_start: 1,
                attr_pos_end: target.len(),
                source,
                target,
                generated_text,
                forced: true,
                steps,
                sequence_scores: Vec::new(),
            }),
        }
    }
}
