//! `whence doctor storage`: what it prints of a good store, and how it refuses one that is not.

use std::process::Command;

use whence_tests::buckets::{Bucket, Fault, Provider};

use crate::run::{Ran, command, ended, files, free_port, whence};

/// Returns the command in an environment without credentials, whose metadata servers do not answer.
fn without_credentials(url: &str, home: &tempfile::TempDir) -> Command {
    let mut command = command(&["doctor", "storage", url]);
    for (name, _) in std::env::vars() {
        if ["AWS_", "GOOGLE_", "AZURE_", "GCE_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
        {
            command.env_remove(name);
        }
    }
    // Nothing listens on this port.
    let nobody = format!("127.0.0.1:{}", free_port());
    command
        .env("HOME", home.path())
        .env("AWS_METADATA_ENDPOINT", format!("http://{nobody}"))
        .env("GCE_METADATA_HOST", &nobody)
        .env("GCE_METADATA_IP", &nobody)
        .env("AZURE_MSI_ENDPOINT", format!("http://{nobody}/token"))
        .env_remove("IDENTITY_ENDPOINT");
    command
}

/// Runs the check off the threads on which the test serves the bucket.
fn storage(url: &str) -> Ran {
    tokio::task::block_in_place(|| whence(&["doctor", "storage", url]))
}

#[test]
fn a_directory_is_checked_again_each_time_and_says_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root").display().to_string();
    for run in 1..=2 {
        let told = whence(&["doctor", "storage", &root]).succeeded();
        for part in [
            "ok           create an object twice (",
            "ok           16 writers race for each of 8 objects (",
            "ok           list all 9 objects (",
            "left behind  what was written is in `_meta/probe/",
            "verdict      it creates each object only once",
        ] {
            assert!(told.contains(part), "no `{part}` in: {told}");
        }
        assert_eq!(files(folder.path()).len(), run * 9);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_of_every_kind_passes_unless_it_ignores_conditions() {
    for provider in Provider::ALL {
        let bucket = Bucket::start_as(provider).await;
        let told = storage(&bucket.url("root")).succeeded();
        assert!(
            told.contains("credentials  none; requests are not signed"),
            "{told}"
        );
        assert!(told.contains("verdict      it creates"), "{told}");
        bucket.fail(Fault::IgnoresConditions);
        let ran = storage(&bucket.url("root"));
        ran.is_refused_with(&["is unsafe", "replaced an object", "honors conditional puts"]);
        assert!(
            ran.stdout.contains("FAILED       create an object twice"),
            "{}",
            ran.stdout
        );
    }
}

#[test]
fn a_store_that_does_not_answer_is_a_failure() {
    let at = format!("127.0.0.1:{}/", free_port());
    let url = format!("s3://bucket/root?endpoint=http://{at}&skip_signature=true");
    let ran = whence(&["doctor", "storage", &url]);
    ran.ended_with(1, &["store `s3://bucket/root", "create"]);
}

#[test]
fn missing_credentials_are_named_by_their_variables() {
    let home = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for (url, parts) in [
            (
                "s3://bucket/root",
                ["s3://bucket/root", "AWS_ACCESS_KEY_ID"],
            ),
            (
                "gs://bucket/root",
                ["gs://bucket/root", "GOOGLE_APPLICATION_CREDENTIALS"],
            ),
            (
                "az://c/root?account=a",
                ["az://c/root", "AZURE_STORAGE_ACCOUNT_KEY"],
            ),
        ] {
            let home = &home;
            scope.spawn(move || {
                let ran = ended(without_credentials(url, home).output().unwrap());
                ran.is_refused_with(&[&["no credentials for"][..], &parts].concat());
                assert!(!ran.stdout.contains("left behind"), "{}", ran.stdout);
            });
        }
    });
}

#[test]
fn a_url_that_names_no_store_is_refused_with_those_that_do() {
    let forms = [
        "s3://bucket/prefix",
        "gs://bucket/prefix",
        "az://container/prefix",
    ];
    for url in ["gopher://x/y", "memory://x"] {
        let ran = whence(&["doctor", "storage", url]);
        ran.is_refused_with(&[&[url][..], &forms].concat());
    }
    let home = tempfile::tempdir().unwrap();
    let ran = ended(
        without_credentials("az://container/root", &home)
            .output()
            .unwrap(),
    );
    ran.is_refused_with(&["AZURE_STORAGE_ACCOUNT_NAME"]);
    whence(&["doctor", "--model", "x", "storage", "y"]).is_refused_with(&["storage"]);
}
