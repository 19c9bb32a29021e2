//! `whence aggregate` on the tables of jobs and on files.

use std::fs;
use std::path::Path;

use whence::inseq_file::{SavedAttributions, SavedExample};

use crate::run::{attribute_dataset, files, fixture, sql, whence};

/// Returns the id of the only job that is not in `known`.
fn job_other_than(root: &Path, known: &[String]) -> String {
    let listed = sql(root, "SELECT job FROM jobs", &["--format", "csv"]).succeeded();
    let mut ids = listed
        .lines()
        .skip(1)
        .filter(|id| !known.iter().any(|known| known == id));
    let id = ids.next().expect("there is a job").to_owned();
    assert_eq!(ids.next(), None);
    id
}

fn examples(path: &Path) -> Vec<SavedExample> {
    let file = SavedAttributions::open(path).unwrap();
    let mut examples = Vec::new();
    let read = file.for_each(|example| {
        examples.push(example);
        std::ops::ControlFlow::Continue(())
    });
    read.unwrap();
    examples
}

/// Runs `whence aggregate` with the root `root`.
fn aggregate(root: &Path, arguments: &[&str]) -> crate::run::Ran {
    let root = root.display().to_string();
    let first = ["aggregate", "--hide", "-q", "--root", &root];
    whence(&[&first[..], arguments].concat())
}

/// Saves the table of `job` as a file and reads it.
fn saved(root: &Path, job: &str) -> Vec<SavedExample> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("saved.json");
    aggregate(root, &[job, "--save-path", path.to_str().unwrap()]).succeeded();
    examples(&path)
}

#[test]
fn aggregating_a_table_is_the_same_as_aggregating_in_the_job() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let scores = [
        "--hide",
        "--attribute-target",
        "--step-scores",
        "probability",
        "entropy",
    ];
    attribute_dataset(
        root,
        "train[:6]",
        &[&scores[..], &["--columns", "id"]].concat(),
    )
    .succeeded();
    let plain = job_other_than(root, &[]);
    let in_job = ["--attribution-aggregators", "vnorm", "subwords"];
    attribute_dataset(
        root,
        "train[:6]",
        &[&scores[..], &["--columns", "id"], &in_job].concat(),
    )
    .succeeded();
    let merged = job_other_than(root, std::slice::from_ref(&plain));
    aggregate(root, &[&plain[..8], "subwords"]).succeeded();
    let derived = job_other_than(root, &[plain.clone(), merged.clone()]);
    assert_eq!(saved(root, &derived), saved(root, &merged));
    assert_ne!(saved(root, &derived), saved(root, &plain));
    // The columns of the dataset are carried along, and the job tells what it was made of.
    let query = format!(
        "SELECT count(*) AS n FROM examples a JOIN examples b ON a.example_id = b.example_id \
         WHERE a.job = '{derived}' AND b.job = '{merged}' AND a.columns = b.columns"
    );
    assert_eq!(
        sql(root, &query, &["--format", "csv"]).succeeded(),
        "n\n6\n"
    );
    let spec = fs::read_to_string(root.join(format!("jobs/{derived}/spec.json"))).unwrap();
    assert!(
        spec.contains(&format!(r#"{{"job":{{"id":"{plain}"}}}}"#)),
        "{spec}"
    );
}

#[test]
fn a_stopped_aggregation_resumes_with_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    attribute_dataset(root, "train[:30]", &["--hide", "--shard-tokens", "200"]).succeeded();
    let plain = job_other_than(root, &[]);
    let stage = ["spans:by=words"];
    aggregate(root, &[&[plain.as_str()], &stage[..]].concat()).succeeded();
    let derived = job_other_than(root, std::slice::from_ref(&plain));
    let tables = files(&root.join("tables"));
    let is_derived = |path: &Path| path.display().to_string().contains(&derived);
    let of_derived: Vec<_> = tables.iter().filter(|(path, _)| is_derived(path)).collect();
    assert!(of_derived.len() > 2, "there are several slots");
    // As if it had been stopped before the last slot.
    fs::remove_file(&of_derived[of_derived.len() - 1].0).unwrap();
    for name in ["sealed.json", "spec.json", "submitted.json"] {
        fs::remove_file(root.join(format!("jobs/{derived}/{name}"))).unwrap();
    }
    let unknown = whence(&["show", "--root", root.to_str().unwrap(), &derived]);
    unknown.is_refused_with(&["there is no job"]);
    aggregate(root, &[&[plain.as_str()], &stage[..]].concat()).succeeded();
    assert_eq!(files(&root.join("tables")), tables);
    let again = aggregate(root, &[&[plain.as_str()], &stage[..]].concat());
    again.ended_with(0, &["already complete; nothing to aggregate"]);
}

/// Runs two jobs over the same rows; the second records a step score. Returns their ids.
fn two_methods(root: &Path) -> [String; 2] {
    attribute_dataset(root, "train[:4]", &["--hide"]).succeeded();
    let first = job_other_than(root, &[]);
    let method = ["-a", "input_x_gradient", "--step-scores", "probability"];
    attribute_dataset(root, "train[:4]", &[&["--hide"], &method[..]].concat()).succeeded();
    let second = job_other_than(root, std::slice::from_ref(&first));
    [first, second]
}

#[test]
fn two_runs_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let [saliency, product] = two_methods(root);
    let path = folder.path().join("pair.json");
    let to_file = ["--save-path", path.to_str().unwrap()];
    let with = ["pair", "--with"];
    let itself = [&[saliency.as_str()], &with[..], &[&saliency], &to_file].concat();
    aggregate(root, &itself).succeeded();
    let zero = examples(&path);
    let values = |examples: &[SavedExample]| -> Vec<f32> {
        let steps = examples
            .iter()
            .flat_map(|example| &example.attribution.steps);
        let rows = steps.filter_map(|step| step.source.as_ref());
        rows.flat_map(|rows| rows.values.clone()).collect()
    };
    assert!(!values(&zero).is_empty() && values(&zero).iter().all(|value| *value == 0.0));
    let both = [&[saliency.as_str()], &with[..], &[&product], &to_file].concat();
    aggregate(root, &both).is_refused_with(&["different step scores"]);
}

#[test]
fn the_step_scores_of_another_run_can_be_weights() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let [saliency, product] = two_methods(root);
    let path = folder.path().join("weighted.json");
    let to_file = ["--save-path", path.to_str().unwrap()];
    let joined = [saliency.as_str(), "weight_attributions", "--join", &product];
    aggregate(root, &[&joined[..], &to_file].concat()).succeeded();
    let weighted = examples(&path);
    let plain = saved(root, &saliency);
    for (weighted, plain) in weighted.iter().zip(&plain) {
        let steps = weighted
            .attribution
            .steps
            .iter()
            .zip(&plain.attribution.steps);
        for (weighted, plain) in steps {
            let probability = weighted.step_scores[0];
            let rows = |rows: &Option<whence_engine::ScoreRows>| rows.clone().unwrap().values;
            for (found, score) in rows(&weighted.source).iter().zip(rows(&plain.source)) {
                assert_eq!(*found, score * probability);
            }
        }
    }
}

#[test]
fn runs_follow_each_other_in_one_table() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let [saliency, product] = two_methods(root);
    aggregate(root, &[&saliency, "normalize", "--merge", &saliency]).succeeded();
    let both = job_other_than(root, &[saliency.clone(), product.clone()]);
    let query =
        format!("SELECT count(*) AS n, max(example_id) AS last FROM examples WHERE job = '{both}'");
    assert_eq!(
        sql(root, &query, &["--format", "csv"]).succeeded(),
        "n,last\n8,7\n"
    );
    aggregate(root, &[&saliency, "--merge", &product]).is_refused_with(&["different methods"]);
}

#[test]
fn what_cannot_be_aggregated_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    attribute_dataset(root, "train[:2]", &["--hide"]).succeeded();
    let job = job_other_than(root, &[]);
    for (arguments, parts) in [
        (
            &["subword"][..],
            &["unknown aggregator `subword`", "subwords"][..],
        ),
        (&["vnorm"], &["more aggregators than axes"]),
        (&["pair"], &["needs a second run", "--with OTHER"]),
        (
            &["subwords", "--with", &job],
            &["no stage compares with it"],
        ),
        (&["spans:target_spans=[0,1,2]"], &["target_spans"]),
        (
            &["weight_attributions"],
            &["needs the step score `probability`"],
        ),
        (
            &["spans:source_column=cue"],
            &["no column `cue`", "--columns cue"],
        ),
    ] {
        aggregate(root, &[&[job.as_str()], arguments].concat()).is_refused_with(parts);
    }
    aggregate(root, &["nowhere.json"]).is_refused_with(&["cannot read `nowhere.json`"]);
    aggregate(root, &["zzzz"]).is_refused_with(&["there is no job `zzzz`"]);
    // A span beyond a text is an error of that text; here of all.
    let far = aggregate(root, &[&job, "spans:source_spans=[90,92]"]);
    far.ended_with(1, &["goes beyond the last of the", "could be attributed"]);
}

#[test]
fn raw_scores_are_saved_and_reduced_later() {
    let folder = tempfile::tempdir().unwrap();
    let (raw, reduced, again) = (
        folder.path().join("raw.json.gz"),
        folder.path().join("reduced.json"),
        folder.path().join("again.json"),
    );
    let model = fixture("models/t5-random");
    let attribute = |more: &[&str]| {
        let arguments = ["attribute", "-m", &model, "-i", "the old house", "a garden"];
        let given = ["-g", "the house is red", "the garden", "--attribute-target"];
        let scores = ["--step-scores", "probability"];
        whence(&[&arguments[..], &given, &scores, more].concat()).succeeded()
    };
    let drawn = attribute(&["--save-path", raw.to_str().unwrap()]);
    // The heatmaps are those of aggregated scores, whatever is saved.
    assert_eq!(attribute(&[]), drawn);
    let vnorm = [
        "--hide",
        "--attribution-aggregators",
        "vnorm",
        "--save-path",
    ];
    attribute(&[&vnorm[..], &[reduced.to_str().unwrap()]].concat());
    let first = &examples(&raw)[0].attribution;
    assert_eq!(first.steps[0].source.as_ref().unwrap().row_shape.len(), 1);
    let (raw, again_path) = (raw.display().to_string(), again.display().to_string());
    aggregate(folder.path(), &[&raw, "--save-path", &again_path]).succeeded();
    assert_eq!(examples(&again), examples(&reduced));
    // `show` reduces them too, and a table takes nothing else.
    let shown = whence(&["show", &raw]).succeeded();
    assert!(drawn.starts_with(&shown), "{shown}");
    let root = folder.path().join("root");
    aggregate(&root, &[&raw, "subwords"])
        .is_refused_with(&["a table or a heatmap holds one", "vnorm"]);
    aggregate(&root, &[&raw]).succeeded();
    let stored = saved(&root, &job_other_than(&root, &[]));
    assert_eq!(stored, examples(&reduced));
}

#[test]
fn less_precision_makes_a_smaller_file() {
    let folder = tempfile::tempdir().unwrap();
    let model = fixture("models/gpt2-random");
    let saved = |precision: &str| {
        let path = folder.path().join(precision);
        let arguments = ["attribute", "--hide", "-m", &model, "-i", "the old house"];
        let more = [
            "-g",
            "the old house is red",
            "--save-path",
            path.to_str().unwrap(),
        ];
        whence(&[&arguments[..], &more, &["--scores-precision", precision]].concat()).succeeded();
        let bytes = fs::metadata(&path).unwrap().len();
        let example = examples(&path).swap_remove(0);
        let steps = example.attribution.steps.into_iter();
        let values: Vec<f32> = steps.flat_map(|step| step.target.unwrap().values).collect();
        (bytes, values)
    };
    let (full, exact) = saved("float32");
    for (precision, error) in [("float16", 1e-3), ("float8", 0.07)] {
        let (bytes, values) = saved(precision);
        assert!(bytes < full * 2 / 3, "{precision}: {bytes} of {full}");
        for (value, exact) in values.iter().zip(&exact) {
            let smallest = 0.002;
            assert!(
                (value - exact).abs() <= error * exact.abs() + smallest,
                "{value} {exact}"
            );
        }
    }
    let alone = [
        "attribute",
        "-m",
        &model,
        "-i",
        "x",
        "--scores-precision",
        "float16",
    ];
    whence(&alone).is_refused_with(&["--save-path"]);
}
