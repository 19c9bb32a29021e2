//! A store that cannot take the results: the job ends with the reason, and goes on when it can again.

use std::fs;

use crate::run::attribute_dataset;

#[test]
fn a_job_ends_when_its_results_cannot_be_written_and_resumes_when_they_can() {
    let folder = tempfile::tempdir().unwrap();
    // A file is where a folder has to be, which no waiting changes; as a full disk, which a test cannot
    // make.
    let in_the_way = folder.path().join("tables");
    fs::write(&in_the_way, "").unwrap();
    let run = || attribute_dataset(folder.path(), "train[:6]", &["--hide"]);
    run().ended_with(1, &["refuses to create", "Not a directory", "to resume"]);
    fs::remove_file(&in_the_way).unwrap();
    run().ended_with(0, &["attributed 6 rows"]);
}
