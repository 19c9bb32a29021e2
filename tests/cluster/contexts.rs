//! Jobs that ask what depends on a context: the table has what the engine computes for each row, in
//! shards of any size, and rows that cannot be analyzed are error rows.

use std::path::Path;

use whence_engine::Engine;
use whence_engine::context::{
    ContextAttributor, ContextExample, ContextSpec, GivenContexts, NobodyToAsk,
};
use whence_proto::v1::JobState;
use whence_schemas::job::{Dtype, default_shard_tokens};
use whence_schemas::{
    ContextOptions, ContextTemplates, FunctionSpec, JobSpec, OutputContextStrategy, RowId,
    Selection, layout,
};
use whence_tests::cluster::Cluster;
use whence_tests::fixtures::{marian, translation_job};
use whence_tests::table;
use whence_worker::table::{ContextRow, context};

/// The last row has no context.
const ROWS: &str = r#"{"before": "Open the Navigator.", "text": "Then close it.", "after": "Fermez-le ensuite."}
{"before": "The window is open.", "text": "Close it.", "after": "Fermez-la."}
{"before": "Select the cells.", "text": "Copy them.", "after": "Copiez-les."}
{"before": "Choose a color.", "text": "Apply it to the text.", "after": "Appliquez-la au texte."}
{"before": null, "text": "Save it.", "after": "Enregistrez-le."}
"#;

fn options() -> ContextOptions {
    let selection = |top_k| Selection {
        std_weight: Some(0.0),
        top_k,
    };
    ContextOptions {
        metric: FunctionSpec::named("kl_divergence"),
        templates: ContextTemplates::default(),
        separator: " ".to_owned(),
        strategy: OutputContextStrategy::Pre,
        special_tokens_to_keep: Vec::new(),
        sensitivity: selection(Some(2)),
        cues: selection(None),
    }
}

fn job(rows: &Path) -> JobSpec {
    let mut spec = translation_job(rows, "train", "saliency");
    "text".clone_into(&mut spec.dataset.input_field);
    spec.dataset.generated_field = Some("after".to_owned());
    spec.dataset.input_context_field = Some("before".to_owned());
    spec.dataset.columns = vec!["before".to_owned()];
    spec.attribution.attributed_fn = FunctionSpec::named("contrast_prob_diff");
    spec.attribution.normalize = false;
    spec.context = Some(options());
    spec
}

/// Returns what the engine computes for the good rows, without a cluster.
fn computed_here(spec: &JobSpec) -> Vec<ContextRow> {
    let engine = Engine::load(&marian(), Dtype::Float32).unwrap();
    let contexts = GivenContexts {
        input: true,
        output: false,
    };
    let context = ContextSpec::new(spec.attribution.clone(), options(), contexts).unwrap();
    let attributor = ContextAttributor::new(&engine, &context).unwrap();
    let rows = ROWS.lines().take(4).zip(0..);
    let row = |(line, id): (&str, i64)| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| row[name].as_str().map(str::to_owned);
        let example = ContextExample {
            id,
            input_current: text("text").unwrap(),
            input_context: text("before"),
            output_current: text("after"),
            ..ContextExample::default()
        };
        let analysis = attributor.attribute(&example, &NobodyToAsk).unwrap();
        ContextRow {
            id: RowId::first_of(id),
            input_text: Some(example.input_current),
            forced: true,
            result: Ok(analysis.result),
        }
    };
    rows.map(row).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_context_table_holds_what_the_engine_computes_in_shards_of_any_size() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("rows.jsonl");
    std::fs::write(&path, ROWS).unwrap();
    let small = JobSpec {
        shard_tokens: 10,
        ..job(&path)
    };
    let large = JobSpec {
        shard_tokens: default_shard_tokens(),
        ..job(&path)
    };
    let cluster = Cluster::with_worker(root.path().display()).await;
    for spec in [&small, &large] {
        assert_eq!(cluster.run(spec).await.state(), JobState::Sealed);
    }
    cluster.stop().await;
    assert!(layout::table(&small).starts_with("tables/contexts/"));
    assert_eq!(table::sealed(root.path(), &small).rows, 5);
    assert!(table::files(root.path(), &small).len() > 2);
    assert_eq!(table::files(root.path(), &large).len(), 1);
    let batch = table::read(root.path(), &small);
    assert_eq!(table::read(root.path(), &large), batch);
    let mut rows = context::decode(&batch).unwrap();
    let without_context = rows.pop().unwrap();
    assert_eq!(rows, computed_here(&small));
    assert!(
        rows.iter()
            .all(|row| !row.result.as_ref().unwrap().cues.is_empty())
    );
    let error = without_context.result.unwrap_err();
    assert_eq!(error.code, "unreadable_row");
    assert!(error.message.contains("`before`"), "{}", error.message);
}
