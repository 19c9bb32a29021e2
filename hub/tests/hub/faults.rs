//! Connections that break, servers that fail, bytes that are wrong.

use std::fs;
use std::sync::Mutex;
use std::time::Duration;

use whence_fake_hub::{Fault, FaultKind};
use whence_hub::{Error, Hub, Settings, no_progress};
use whence_schemas::ErrorKind;
use whence_schemas::retry::RetryPolicy;

use crate::setup::{Setup, WEIGHTS, WEIGHTS_BYTES, bytes_sent, file, resolved, weights};

/// Fetches the weights while the faults happen. Returns the ranges that were asked for, and how many
/// bytes were sent.
async fn fetch_despite(faults: &[Fault]) -> (Vec<Option<String>>, u64) {
    let setup = Setup::new().await;
    let settings = Settings {
        download_timeout: Duration::from_millis(300),
        ..setup.settings(&[])
    };
    let hub = Hub::new(settings).unwrap();
    let (snapshot, file) = file(&hub, WEIGHTS).await;
    setup.fake.take_log();
    for fault in faults {
        setup.fake.inject(fault.clone());
    }
    let path = hub.fetch(&snapshot, &file, &no_progress).await.unwrap();
    assert_eq!(fs::read(path).unwrap(), weights());
    let log = setup.fake.log();
    let storage = log.iter().filter(|request| request.is_storage);
    let ranges = storage.map(|request| request.range.clone()).collect();
    (ranges, bytes_sent(&log))
}

fn range_from(first: usize) -> Option<String> {
    let is_part = first > 0;
    is_part.then(|| format!("bytes={first}-{}", WEIGHTS_BYTES - 1))
}

#[tokio::test]
async fn a_connection_that_breaks_continues_at_the_next_byte() {
    let cut = |after| Fault::new(WEIGHTS, FaultKind::Cut(after));
    let (ranges, sent) = fetch_despite(&[cut(100_000), cut(300_000)]).await;
    assert_eq!(
        ranges,
        [range_from(0), range_from(100_000), range_from(400_000)]
    );
    assert_eq!(sent, WEIGHTS_BYTES as u64);
}

#[tokio::test]
async fn a_connection_that_goes_silent_is_replaced() {
    let stall = Fault::new(WEIGHTS, FaultKind::Stall(200_000));
    let (ranges, sent) = fetch_despite(&[stall]).await;
    assert_eq!(ranges, [range_from(0), range_from(200_000)]);
    assert_eq!(sent, WEIGHTS_BYTES as u64);
}

#[tokio::test]
async fn a_server_that_ignores_ranges_is_read_past_what_is_there() {
    let cut = Fault::new(WEIGHTS, FaultKind::Cut(100_000));
    let whole = Fault::new(WEIGHTS, FaultKind::NoRanges);
    let (ranges, sent) = fetch_despite(&[cut, whole]).await;
    assert_eq!(ranges, [range_from(0), range_from(100_000)]);
    assert_eq!(sent, 100_000 + WEIGHTS_BYTES as u64);
}

#[tokio::test]
async fn a_server_that_fails_is_asked_again() {
    let at = |part, kind| Fault::new(part, kind);
    let (ranges, sent) = fetch_despite(&[
        at("resolve", FaultKind::Status(500)),
        at("resolve", FaultKind::RateLimit(0)),
        at("storage", FaultKind::Status(503)),
        at("resolve", FaultKind::Silence),
    ])
    .await;
    assert_eq!(ranges, [None, None]);
    assert_eq!(sent, WEIGHTS_BYTES as u64);
}

#[tokio::test]
async fn a_server_that_keeps_failing_is_given_up() {
    let setup = Setup::new().await;
    let settings = Settings {
        retry: RetryPolicy {
            first_pause: Duration::from_millis(1),
            longest_pause: Duration::from_millis(10),
            give_up_after: Duration::from_millis(50),
        },
        ..setup.settings(&[])
    };
    let hub = Hub::new(settings).unwrap();
    let snapshot = resolved(&hub).await;
    setup
        .fake
        .inject(Fault::new("tree", FaultKind::Status(502)).always());
    let error = hub.tree(&snapshot).await.unwrap_err();
    assert!(
        matches!(error, Error::Server { status: 502, .. }),
        "{error:?}"
    );
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(setup.fake.log().len() > 2);
}

#[tokio::test]
async fn a_rate_limit_that_lasts_too_long_is_reported_at_once() {
    let setup = Setup::new().await;
    let hub = setup.hub();
    setup
        .fake
        .inject(Fault::new("revision", FaultKind::RateLimit(3600)));
    let error = hub
        .resolve(&crate::setup::model(), &whence_hub::Revision::default())
        .await
        .unwrap_err();
    let message = error.to_string();
    assert_eq!(
        message,
        "the Hub limits the rate of requests; it answers again in 60 min"
    );
}

#[tokio::test]
async fn wrong_bytes_are_refused_and_not_kept() {
    let setup = Setup::new().await;
    let hub = setup.hub();
    let (snapshot, file) = file(&hub, WEIGHTS).await;
    setup.fake.inject(Fault::new(WEIGHTS, FaultKind::WrongByte));
    let error = hub.fetch(&snapshot, &file, &no_progress).await.unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Data);
    let names = setup.cached_files();
    let kept = names
        .iter()
        .filter(|name| name.contains("blobs/") || name.contains("snapshots/"));
    assert_eq!(kept.count(), 0, "{names:?}");
    hub.fetch(&snapshot, &file, &no_progress).await.unwrap();
}

#[tokio::test]
async fn small_files_are_verified_too() {
    let setup = Setup::new().await;
    let hub = setup.hub();
    let (snapshot, file) = file(&hub, "config.json").await;
    setup
        .fake
        .inject(Fault::new("config.json", FaultKind::WrongByte));
    let error = hub.fetch(&snapshot, &file, &no_progress).await.unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
}

#[tokio::test]
async fn a_damaged_beginning_from_an_earlier_process_costs_one_more_download() {
    let setup = Setup::new().await;
    let hub = setup.hub();
    let (snapshot, file) = file(&hub, WEIGHTS).await;
    let blobs = setup.cache.path().join("hub/models--ns--model/blobs");
    fs::create_dir_all(&blobs).unwrap();
    let name = format!("{}.incomplete", file.digest().unwrap().as_str());
    fs::write(blobs.join(name), vec![0; 400_000]).unwrap();
    setup.fake.take_log();
    let path = hub.fetch(&snapshot, &file, &no_progress).await.unwrap();
    assert_eq!(fs::read(path).unwrap(), weights());
    let log = setup.fake.log();
    let storage = log.iter().filter(|request| request.is_storage);
    let ranges: Vec<_> = storage.map(|request| request.range.clone()).collect();
    assert_eq!(ranges, [range_from(400_000), None]);
}

#[tokio::test]
async fn progress_counts_every_byte_once() {
    let setup = Setup::new().await;
    let hub = setup.hub();
    let (snapshot, file) = file(&hub, WEIGHTS).await;
    setup
        .fake
        .inject(Fault::new(WEIGHTS, FaultKind::Cut(100_000)));
    let seen = Mutex::new(Vec::new());
    let note = |transfer: whence_hub::Transfer<'_>| {
        assert_eq!(
            (transfer.file, transfer.size),
            (WEIGHTS, WEIGHTS_BYTES as u64)
        );
        seen.lock().unwrap().push(transfer.done);
    };
    hub.fetch(&snapshot, &file, &note).await.unwrap();
    let seen = seen.into_inner().unwrap();
    assert!(seen.is_sorted() && seen.contains(&100_000), "{seen:?}");
    assert_eq!(seen.last(), Some(&(WEIGHTS_BYTES as u64)));
}

#[tokio::test]
async fn a_hub_that_is_not_there_is_named() {
    let setup = Setup::new().await;
    let settings = Settings {
        endpoint: "http://127.0.0.1:1".parse().unwrap(),
        retry: RetryPolicy {
            first_pause: Duration::ZERO,
            longest_pause: Duration::ZERO,
            give_up_after: Duration::ZERO,
        },
        ..setup.settings(&[])
    };
    let hub = Hub::new(settings).unwrap();
    let error = hub
        .resolve(&crate::setup::model(), &whence_hub::Revision::default())
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "whence cannot reach the Hub at `127.0.0.1:1`"
    );
    assert!(error.help().unwrap().contains("HF_HUB_OFFLINE=1"));
}
