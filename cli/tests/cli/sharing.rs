//! Jobs that need no coordinator: what `submit --static` writes and prints, and `work` that ends.

use whence_tests::buckets::{Bucket, Fault};

use crate::run::{marian, translations, whence};

/// Submits a job of ten rows to `root` without a coordinator. Returns what is printed.
fn submitted(root: &str, more: &[&str]) -> String {
    let (model, data) = (marian(), translations());
    let mut submit = vec![
        "submit", "-m", &model, "-d", &data, "--root", root, "--static",
    ];
    submit.extend(["--split", "train[:10]", "-in", "translation.en"]);
    submit.extend(["-gen", "translation.fr"]);
    submit.extend(more);
    whence(&submit).succeeded()
}

#[test]
fn a_job_is_submitted_computed_and_queried_without_a_coordinator() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display().to_string();
    let printed = submitted(&root, &["--of", "2"]);
    let url = printed.lines().next().unwrap().to_owned();
    assert!(url.starts_with(&format!("file://{root}/jobs/")), "{url}");
    for part in [
        format!("--job {url} --index \"$index\" --of 2"),
        format!("[whence, work, --job, \"{url}\", --of, \"2\""),
        "completions: 2\n".to_owned(),
        "#SBATCH --array=0-1\n".to_owned(),
    ] {
        assert!(printed.contains(&part), "{printed}");
    }
    // The second of two does the work of the first as well.
    let worked = whence(&["work", "--job", &url, "--index", "1", "--of", "2"]);
    worked.ended_with(0, &["is complete: 10 rows, 0 of them failed"]);
    let count = "SELECT count(*) AS rows FROM examples";
    let counted = whence(&["sql", "--root", &root, "--format", "csv", count]).succeeded();
    assert_eq!(counted, "rows\n10\n");
}

#[test]
fn only_the_script_that_is_asked_for_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("it's here").display().to_string();
    let script = submitted(&root, &["--of", "3", "--print", "slurm"]);
    assert!(script.starts_with("#!/usr/bin/env bash\n"), "{script}");
    // A shell reads the URL as one word.
    let work = script.lines().find(|line| line.starts_with("whence work"));
    let words = shlex::split(work.unwrap()).unwrap();
    assert!(words[3].contains("it's%20here/jobs/"), "{words:?}");
    let job = submitted(&root, &["--of", "3", "--print", "kubernetes"]);
    assert!(
        job.contains("completions: 3\n") && !job.contains("SBATCH"),
        "{job}"
    );
}

#[test]
fn a_share_that_cannot_be_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display().to_string();
    let url = format!("{root}/jobs/jx42le7gew7cmml7hvhm56o22u");
    let refused = whence(&["work", "--job", &url, "--index", "2", "--of", "2"]);
    refused.ended_with(2, &["there is no share 2 of 2", "--index counts from 0"]);
    let refused = whence(&["work", "--job", &url]);
    refused.ended_with(2, &["is not a storage root"]);
    let refused = whence(&["work", "--job", &root]);
    refused.ended_with(2, &["is not the URL of a job"]);
    let refused = whence(&["submit", "--print", "slurm"]);
    refused.ended_with(2, &["--static"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_refuses_a_store_that_ignores_conditions_and_names_it() {
    let bucket = Bucket::start().await;
    tokio::task::block_in_place(|| {
        let printed = submitted(&bucket.url("root"), &["--of", "2"]);
        let url = printed.lines().next().unwrap();
        bucket.fail(Fault::IgnoresConditions);
        let refused = whence(&["work", "--job", url, "--index", "0", "--of", "2"]);
        refused.is_refused_with(&["store `s3://bucket/root", "replaced an object"]);
    });
}
