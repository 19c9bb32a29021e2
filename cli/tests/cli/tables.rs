//! The tables of `whence sql` are what `docs/tables.md` says, column by column.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::run::{sql, two_jobs, whence};

/// Runs a query. Returns its rows.
fn rows(root: &Path, query: &str) -> Vec<Value> {
    let answer = sql(root, query, &["--format", "jsonl"]).succeeded();
    let rows = answer.lines().map(serde_json::from_str);
    rows.collect::<Result<_, _>>().expect("each line is JSON")
}

fn text<'a>(row: &'a Value, name: &str) -> &'a str {
    row[name].as_str().expect("a text")
}

/// Returns the page that describes the tables of `root`.
fn page(root: &Path) -> String {
    let mut page = "# The tables\n\n\
        `whence sql`, the prompt, `whence export` and the scripts of `whence views` have these tables. \
        `whence sql --describe` prints this page for your own storage root, with the names of its step \
        scores and columns. [analysis.md](analysis.md) shows what they answer.\n"
        .to_owned();
    let columns = rows(root, "SELECT * FROM documentation");
    for table in rows(root, "SELECT * FROM documentation_of_tables") {
        let name = text(&table, "table");
        let about = text(&table, "description");
        write!(
            page,
            "\n## {name}\n\n{about}\n\n| column | type | |\n|---|---|---|\n"
        )
        .unwrap();
        for column in columns
            .iter()
            .filter(|column| text(column, "table") == name)
        {
            // The fields of these depend on the job.
            let of_type = match (text(column, "column"), text(column, "type")) {
                ("columns" | "step_scores", of_type) if of_type.starts_with("struct") => "struct",
                ("steps" | "cues", _) => "list<struct>",
                (_, of_type) => of_type,
            };
            let (column, about) = (text(column, "column"), text(column, "description"));
            writeln!(page, "| `{column}` | {of_type} | {about} |").unwrap();
        }
    }
    page
}

#[test]
fn the_page_of_tables_says_what_the_tables_have() {
    let folder = two_jobs();
    let page = page(folder.path());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/tables.md");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, &page).expect("the page can be written");
    }
    let written = fs::read_to_string(&path).expect("docs/tables.md");
    assert!(
        page == written,
        "docs/tables.md is not this; UPDATE_SNAPSHOTS=1 rewrites it:\n{page}"
    );
}

#[test]
fn every_column_is_documented_and_in_its_place() {
    let folder = two_jobs();
    for table in rows(folder.path(), "SELECT * FROM documentation_of_tables") {
        let name = text(&table, "table");
        let columns = rows(folder.path(), &format!("DESCRIBE {name}"));
        let columns: Vec<&str> = columns.iter().map(|row| text(row, "column_name")).collect();
        let query = format!("SELECT * FROM documentation WHERE \"table\" = '{name}'");
        let documented = rows(folder.path(), &query);
        let documented: Vec<&str> = documented.iter().map(|row| text(row, "column")).collect();
        assert_eq!(columns, documented, "{name}");
    }
}

#[test]
fn describe_explains_one_table_or_all() {
    let folder = two_jobs();
    let root = folder.path().display().to_string();
    let one = whence(&["sql", "--root", &root, "--describe", "step_scores"]).succeeded();
    assert!(one.contains("| score") && one.contains("float32"), "{one}");
    assert!(!one.contains("generated_text"), "{one}");
    let all = whence(&["sql", "--root", &root, "--describe", "--format", "csv"]).succeeded();
    assert!(all.contains("examples,generated_text,text,"), "{all}");
    whence(&["sql", "--root", &root, "--describe", "stepscores"])
        .is_refused_with(&["no table `stepscores`", "did you mean `step_scores`?"]);
}
