//! `whence sql`: answers, output formats, where queries come from, and errors.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use arrow::array::AsArray;
use arrow::datatypes::Float64Type;

use crate::run::{Ran, attribute_dataset, command, ended, fixture, sql, two_jobs, whence};

/// Runs a query whose answer is a single number.
fn number(root: &Path, query: &str) -> u64 {
    let answer = sql(root, query, &["--format", "csv"]).succeeded();
    let number = answer.lines().nth(1).and_then(|line| line.parse().ok());
    number.unwrap_or_else(|| panic!("no number: {answer}"))
}

#[test]
fn jobs_of_different_columns_are_one_table() {
    let folder = two_jobs();
    let csv = ["--format", "csv"];
    let query = "SELECT method, count(*) AS rows, count(columns) AS carried FROM examples GROUP BY method ORDER BY method";
    let answer = sql(folder.path(), query, &csv).succeeded();
    assert_eq!(answer, "method,rows,carried\nattention,5,5\nsaliency,8,0\n");
    let query = "SELECT method, count(step_scores['probability']) > 0 AS scored FROM steps GROUP BY method ORDER BY method";
    let answer = sql(folder.path(), query, &csv).succeeded();
    assert_eq!(answer, "method,scored\nattention,false\nsaliency,true\n");
    let query = "SELECT j.method, j.rows, count(DISTINCT e.example_id) AS seen FROM jobs j JOIN examples e ON e.job = j.job GROUP BY 1, 2 ORDER BY 1";
    let answer = sql(folder.path(), query, &csv).succeeded();
    assert_eq!(answer, "method,rows,seen\nattention,5,5\nsaliency,8,8\n");
}

#[test]
fn tokens_say_which_characters_they_stand_for() {
    let folder = two_jobs();
    for (text, side) in [("input_text", "source"), ("generated_text", "target")] {
        let tokens = format!(
            "FROM (SELECT {text} AS text, unnest({side}_tokens) AS token, \
               unnest({side}_token_offsets) AS place FROM examples)"
        );
        let characters = "substr(text, place['start'] + 1, place['end'] - place['start'])";
        // Some tokens are only a space or a no-break space (160), so both are ignored here.
        let stands = format!("replace(token, '▁', '') = replace(trim({characters}), chr(160), '')");
        let count = |condition: &str| {
            let query = format!("SELECT count(*) {tokens} WHERE {condition}");
            number(folder.path(), &query)
        };
        assert!(count(&stands) > 100, "{side}");
        assert_eq!(count(&format!("NOT {stands}")), 0, "{side}");
        // Special tokens have no place: the end of each text and, in the target, its start.
        let special = if side == "source" { 1 } else { 2 };
        assert_eq!(count("place IS NULL"), 13 * special, "{side}");
        let places = format!(
            "SELECT count(*) FROM attributions a JOIN examples e \
               ON a.job = e.job AND a.example_id = e.example_id \
             WHERE side = '{side}' AND a.source_end \
               = e.{side}_token_offsets[source_position + 1]['end']"
        );
        let placed = format!("SELECT count(source_end) FROM attributions WHERE side = '{side}'");
        let placed = number(folder.path(), &placed);
        assert!(placed > 100, "{side}");
        assert_eq!(number(folder.path(), &places), placed, "{side}");
    }
}

#[test]
fn the_long_view_has_every_score_in_its_place() {
    let folder = two_jobs();
    let csv = ["--format", "csv"];
    // Normalized scores of a step sum to 1 over both sides, and no score is lost by unnesting.
    let query = "SELECT count(*) AS wrong FROM (SELECT sum(abs(score)) AS total FROM attributions WHERE method = 'saliency' GROUP BY example_id, step) WHERE abs(total - 1) > 1e-5";
    assert_eq!(sql(folder.path(), query, &csv).succeeded(), "wrong\n0\n");
    let query = "SELECT count(*) AS wrong FROM attributions a JOIN examples e ON a.job = e.job AND a.example_id = e.example_id \
        WHERE a.source_token <> CASE WHEN side = 'source' THEN e.source_tokens[source_position + 1] ELSE e.target_tokens[source_position + 1] END";
    assert_eq!(sql(folder.path(), query, &csv).succeeded(), "wrong\n0\n");
    let query = "SELECT (SELECT count(*) FROM attributions) - (SELECT sum(coalesce(array_length(source_scores), 0) + coalesce(array_length(target_scores), 0)) FROM steps) AS missing";
    assert_eq!(sql(folder.path(), query, &csv).succeeded(), "missing\n0\n");
}

/// Returns a root with a job that records the attention between tokens of the same stack.
fn job_with_sequence_scores() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a directory");
    let asked = r#"{"output_encoder_self_scores": true, "output_decoder_self_scores": true}"#;
    let attention = ["-a", "attention", "--attribution_kwargs", asked, "--hide"];
    attribute_dataset(folder.path(), "train[:4]", &attention).succeeded();
    folder
}

#[test]
fn tokens_that_look_at_others_have_a_view_of_their_own() {
    let folder = job_with_sequence_scores();
    let count = |query: &str| number(folder.path(), query);
    // The encoder's scores form a square, the decoder's a triangle.
    let tokens =
        "SELECT sum(array_length(source_tokens) * array_length(source_tokens)) FROM examples";
    let encoders = "SELECT count(*) FROM sequence_scores WHERE name = 'encoder_self_attentions'";
    assert_eq!(count(encoders), count(tokens));
    let prefixes = "SELECT sum(target_pos) FROM steps";
    let decoders = "SELECT count(*) FROM sequence_scores WHERE name = 'decoder_self_attentions'";
    assert_eq!(count(decoders), count(prefixes));
    let wrong = "SELECT count(*) FROM sequence_scores s JOIN examples e \
            ON s.job = e.job AND s.example_id = e.example_id \
        WHERE s.target_token <> CASE WHEN side = 'source' \
            THEN e.source_tokens[target_position + 1] ELSE e.target_tokens[target_position + 1] END \
        OR s.source_token <> CASE WHEN side = 'source' \
            THEN e.source_tokens[source_position + 1] ELSE e.target_tokens[source_position + 1] END";
    assert_eq!(count(wrong), 0);
    // The attention weights of each token sum to 1.
    let sums = "SELECT count(*) FROM (SELECT sum(score) AS total FROM sequence_scores \
        GROUP BY job, example_id, name, target_position) WHERE abs(total - 1) > 1e-5";
    assert_eq!(count(sums), 0);
    let all = |table: &str| {
        let query = format!("SELECT * FROM {table} LIMIT 1");
        sql(folder.path(), &query, &["--format", "csv"]).succeeded()
    };
    assert!(all("sequence_scores").starts_with("job,"));
    assert!(!all("attributions").contains("sequence"));
    let root = folder.path().display().to_string();
    let shown = whence(&["show", "--root", &root, &job(folder.path())]);
    let shown = shown.succeeded();
    for name in [
        "decoder_self_attentions Heatmap",
        "encoder_self_attentions Heatmap",
    ] {
        assert!(shown.contains(name), "{shown}");
    }
}

/// Returns the id of the only job in a root.
fn job(root: &Path) -> String {
    let jobs = sql(root, "SELECT job FROM jobs", &["--format", "csv"]).succeeded();
    jobs.lines().nth(1).expect("there is a job").to_owned()
}

#[test]
fn answers_come_in_every_form() {
    let folder = two_jobs();
    let query = "SELECT method, count(*) AS rows, avg(score) AS mean FROM attributions GROUP BY method ORDER BY method";
    let table = sql(folder.path(), query, &[]).succeeded();
    assert!(table.contains("| method    | rows"), "{table}");
    let json = sql(folder.path(), query, &["--format", "json"]).succeeded();
    let rows: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
    let lines = sql(folder.path(), query, &["--format", "jsonl"]).succeeded();
    let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(first["method"], "attention");
    assert_eq!(rows[0], first);
    let path = folder.path().join("answer.parquet");
    let to_file = ["--format", "parquet", "-o", path.to_str().unwrap()];
    sql(folder.path(), query, &to_file).succeeded();
    let file = fs::File::open(path).unwrap();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file);
    let batch = reader.unwrap().build().unwrap().next().unwrap().unwrap();
    let means = batch.column(2).as_primitive::<Float64Type>();
    assert_eq!(means.value(0), first["mean"].as_f64().unwrap());
    let cut = sql(folder.path(), "SELECT * FROM steps", &["--max-rows", "3"]);
    cut.ended_with(0, &["only the first 3 rows are shown"]);
}

#[test]
fn mistakes_are_answered_with_the_nearest_name() {
    let folder = two_jobs();
    let ask = |query: &str| sql(folder.path(), query, &[]);
    ask("SELECT * FROM exmples")
        .is_refused_with(&["no table `exmples`", "did you mean `examples`?"]);
    ask("SELECT scor FROM attributions")
        .is_refused_with(&["no column `scor`", "did you mean `score`?"]);
    ask("SELEC 1").is_refused_with(&["line 1, column 1: expected", "found `SELEC`"]);
    ask("SELECT 1\nFROM (SELECT 2").is_refused_with(&["line 2, column "]);
    ask("DROP VIEW steps").is_refused_with(&["`whence sql` only reads", "not supported"]);
    ask("CREATE TABLE x AS SELECT 1").is_refused_with(&["not supported"]);
    sql(
        folder.path(),
        "SELECT source_tokens FROM examples",
        &["--format", "csv"],
    )
    .is_refused_with(&["CSV cannot hold the column `source_tokens`"]);
}

#[test]
fn a_root_without_jobs_has_empty_tables() {
    let folder = tempfile::tempdir().unwrap();
    attribute_dataset(folder.path(), "train[:1]", &["--hide"]).succeeded();
    for made_by_a_job in ["jobs", "tables"] {
        fs::remove_dir_all(folder.path().join(made_by_a_job)).unwrap();
    }
    let answer = sql(
        folder.path(),
        "SELECT count(*) AS n FROM attributions",
        &["--format", "csv"],
    );
    assert_eq!(answer.succeeded(), "n\n0\n");
}

#[test]
fn queries_come_from_a_file_or_standard_input() {
    let folder = two_jobs();
    let root = folder.path().display().to_string();
    let file = folder.path().join("query.sql");
    let query = "-- jobs; with rows\nSELECT method, rows FROM jobs\nORDER BY method;\n";
    fs::write(&file, query).unwrap();
    let file = file.display().to_string();
    let csv = ["--root", &root, "--format", "csv"];
    let expected = "method,rows\nattention,5\nsaliency,8\n";
    let answer = whence(&[&["sql", "-f", &file][..], &csv].concat()).succeeded();
    assert_eq!(answer, expected);
    for dash in [&["sql", "-"][..], &["sql", "--file", "-"], &["sql"]] {
        let answer = piped(&[dash, &csv].concat(), query).succeeded();
        assert_eq!(answer, expected, "{dash:?}");
    }
    let missing = whence(&["sql", "--root", &root, "-f", "none.sql"]);
    missing.is_refused_with(&["cannot read the query in `none.sql`"]);
    piped(&["sql", "--root", &root], " -- nothing\n").is_refused_with(&["the query is empty"]);
}

/// Runs the command with `text` on its standard input.
fn piped(arguments: &[&str], text: &str) -> Ran {
    let mut running = command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    running
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    ended(running.wait_with_output().unwrap())
}

#[test]
fn several_queries_are_answered_one_after_the_other() {
    let folder = two_jobs();
    let queries = "SELECT 1 AS a; SELECT 'x;y' AS b;";
    let answers = sql(folder.path(), queries, &[]).succeeded();
    let (a, b) = answers.split_once("| b").expect("two tables");
    assert!(a.contains("| 1 |") && b.contains("| x;y |"), "{answers}");
    sql(folder.path(), queries, &["--format", "csv"])
        .is_refused_with(&["2 queries have 2 answers", "leave out --format"]);
}

#[test]
fn what_went_wrong_is_one_table() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    let rows = folder.path().join("rows.jsonl");
    fs::write(&rows, "{\"text\": \"The professor\"}\n{\"text\": null}\n").unwrap();
    let (model, rows) = (fixture("models/glass-en"), rows.display().to_string());
    let root_name = root.display().to_string();
    let made = [
        "attribute-dataset",
        "-m",
        &model,
        "-d",
        &rows,
        "-in",
        "text",
        "--root",
        &root_name,
        "--generation_kwargs",
        "{\"max_new_tokens\": 2}",
        "--hide",
    ];
    whence(&made).succeeded();
    let query = "SELECT kind, example_id, code, message <> '' AS told FROM failures";
    let answer = sql(&root, query, &["--format", "csv"]).succeeded();
    assert!(
        answer.contains("\nexample,1,") && answer.lines().count() == 2,
        "{answer}"
    );
    assert!(answer.ends_with(",true\n"), "{answer}");
    // A failed attempt and a job that cannot be completed are recorded as objects.
    let job = job(&root);
    let folder = root.join("jobs").join(&job);
    let slot = "p000003";
    fs::create_dir_all(folder.join("failures").join(slot)).unwrap();
    let attempt = "00000000000000000000000007";
    let record = format!(
        "{{\"slot\": \"{slot}\", \"attempt\": \"{attempt}\", \"worker\": \"w1\", \
          \"class\": \"out_of_memory\", \"message\": \"it broke\"}}"
    );
    fs::write(
        folder
            .join("failures")
            .join(slot)
            .join(format!("{attempt}.json")),
        record,
    )
    .unwrap();
    fs::write(
        folder.join("failed.json"),
        "{\"message\": \"no worker has the model\"}",
    )
    .unwrap();
    let query = "SELECT kind, slot, worker, code, message FROM failures WHERE kind <> 'example' ORDER BY kind";
    let answer = sql(&root, query, &["--format", "csv"]).succeeded();
    assert_eq!(
        answer,
        "kind,slot,worker,code,message\nattempt,p000003,w1,out_of_memory,it broke\n\
         job,,,failed,no worker has the model\n"
    );
}

#[test]
fn questions_take_the_memory_they_may_and_no_more() {
    let folder = two_jobs();
    let query = "SELECT count(*), max(rank) FROM (SELECT row_number() \
        OVER (PARTITION BY job, example_id, step ORDER BY score DESC) AS rank FROM attributions)";
    let ask = |memory: &str| sql(folder.path(), query, &["--memory", memory]);
    let answer = ask("2GiB").succeeded();
    assert_eq!(ask("64MiB").succeeded(), answer);
    ask("1MiB").ended_with(1, &["needs more memory", "hint: raise `--memory`"]);
}
