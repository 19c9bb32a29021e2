//! Several processes and one cache: one that is killed, and two at the same time.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use whence_fake_hub::{Fault, FaultKind};
use whence_hub::{Hub, no_progress};

use crate::setup::{Setup, WEIGHTS, WEIGHTS_BYTES, bytes_sent, file, settings, weights};

/// Names the Hub for [`fetches_in_a_process_of_its_own`].
const ENDPOINT: &str = "WHENCE_TEST_HUB";
const CACHE: &str = "WHENCE_TEST_CACHE";

/// Not a test of its own: the program that the tests below start and kill.
#[tokio::test]
async fn fetches_in_a_process_of_its_own() {
    let (Some(endpoint), Some(cache)) = (std::env::var_os(ENDPOINT), std::env::var_os(CACHE))
    else {
        return;
    };
    let settings = settings(endpoint.to_str().unwrap(), Path::new(&cache), &[]);
    let hub = Hub::new(settings).unwrap();
    let (snapshot, file) = file(&hub, WEIGHTS).await;
    hub.fetch(&snapshot, &file, &no_progress).await.unwrap();
}

fn start(setup: &Setup) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "processes::fetches_in_a_process_of_its_own"])
        .env(ENDPOINT, setup.fake.endpoint())
        .env(CACHE, setup.cache.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Waits until a condition holds that another process brings about.
async fn until(mut condition: impl FnMut() -> bool) {
    let holds = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), holds)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_only_the_rest_is_transferred() {
    let setup = Setup::new().await;
    setup
        .fake
        .inject(Fault::new(WEIGHTS, FaultKind::Stall(600_000)));
    let (snapshot, file) = file(&setup.hub(), WEIGHTS).await;
    let mut child = start(&setup);
    let blobs = setup.cache.path().join("hub/models--ns--model/blobs");
    let partial = blobs.join(format!("{}.incomplete", file.digest().unwrap().as_str()));
    until(|| fs::metadata(&partial).is_ok_and(|partial| partial.len() == 600_000)).await;
    child.kill().unwrap();
    child.wait().unwrap();
    setup.fake.take_log();

    let path = setup
        .hub()
        .fetch(&snapshot, &file, &no_progress)
        .await
        .unwrap();
    assert_eq!(fs::read(path).unwrap(), weights());
    assert_eq!(bytes_sent(&setup.fake.log()), 400_000);
    assert!(!partial.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_download_a_file_once() {
    let setup = Setup::new().await;
    let pause = FaultKind::Slow(Duration::from_millis(5));
    setup.fake.inject(Fault::new(WEIGHTS, pause).always());
    let mut children = [start(&setup), start(&setup), start(&setup)];
    until(|| {
        children
            .iter_mut()
            .all(|child| child.try_wait().unwrap().is_some())
    })
    .await;
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(bytes_sent(&setup.fake.log()), WEIGHTS_BYTES as u64);
}
