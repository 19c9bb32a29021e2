//! Scores between tokens of the same stack come back from the cluster if they were asked for.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float32Type, Int32Type};
use serde_json::json;
use whence_engine::{Engine, Example};
use whence_proto::v1::JobState;
use whence_schemas::job::Dtype;
use whence_schemas::{JobSpec, output};
use whence_tests::cluster::Cluster;
use whence_tests::fixtures::{marian, translation_job, translations};
use whence_tests::table;

/// One column of a row's score matrix: name, side, position and scores.
type Column = (String, String, usize, Vec<f32>);

/// Returns the columns of a row's sequence scores; `None` if the row has none.
fn columns(rows: &RecordBatch, row: usize) -> Option<Vec<Column>> {
    let column = rows.column_by_name(output::SEQUENCE_SCORES).unwrap();
    let lists = column.as_list::<i32>();
    if lists.is_null(row) {
        return None;
    }
    let list = lists.value(row);
    let list = list.as_struct();
    let field = |name: &str| list.column_by_name(name).unwrap();
    let text = |name: &str, index: usize| field(name).as_string::<i32>().value(index).to_owned();
    let column = |index: usize| {
        let position = field(output::POSITION)
            .as_primitive::<Int32Type>()
            .value(index);
        let scores = field(output::SCORES).as_list::<i32>().value(index);
        let scores = scores.as_primitive::<Float32Type>().values().to_vec();
        let (name, side) = (text(output::NAME, index), text(output::SIDE, index));
        (name, side, usize::try_from(position).unwrap(), scores)
    };
    Some((0..list.len()).map(column).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_a_stack_have_their_scores_for_each_other_in_the_table() {
    let root = tempfile::tempdir().unwrap();
    let plain = JobSpec {
        shard_tokens: 200,
        ..translation_job(&translations(), "train[:8]", "attention")
    };
    let mut asked = plain.clone();
    let both = json!({"output_encoder_self_scores": true, "output_decoder_self_scores": true});
    asked.attribution.method.params = both.as_object().unwrap().clone();
    let cluster = Cluster::with_worker(root.path().display()).await;
    for spec in [&plain, &asked] {
        assert_eq!(cluster.run(spec).await.state(), JobState::Sealed);
    }
    cluster.stop().await;
    let without = table::read(root.path(), &plain);
    let with = table::read(root.path(), &asked);
    let engine = Engine::load(&marian(), Dtype::Float32).unwrap();
    let attributor = engine.prepare(&asked.attribution).unwrap();
    let texts = [output::INPUT_TEXT, output::GENERATED_TEXT]
        .map(|name| with.column_by_name(name).unwrap().as_string::<i32>());
    for row in 0..8 {
        assert_eq!(columns(&without, row), None, "row {row}");
        let [input, generated] = texts.map(|texts| texts.value(row));
        let example = Example::new(row as i64, input).with_generated_text(generated);
        let alone = attributor.attribute(&[example]).remove(0).unwrap();
        let expected: Vec<Column> = alone
            .sequence_scores
            .iter()
            .flat_map(|scores| {
                let (side, first) = if scores.name.starts_with("encoder") {
                    (output::SIDE_SOURCE, 0)
                } else {
                    (output::SIDE_TARGET, alone.attr_pos_start)
                };
                let columns = scores.columns.iter().enumerate();
                columns.map(move |(index, column)| {
                    let values = column.values.clone();
                    (scores.name.clone(), side.to_owned(), first + index, values)
                })
            })
            .collect();
        assert_eq!(expected.len(), alone.source.len() + alone.steps.len());
        assert_eq!(columns(&with, row), Some(expected), "row {row}");
    }
}
