//! Files that are read without being downloaded.

use whence_fake_hub::{Fault, FaultKind};
use whence_hub::{Error, RemoteStream};

use crate::setup::{Setup, WEIGHTS, WEIGHTS_BYTES, bytes_sent, file, weights};

#[tokio::test]
async fn a_range_costs_its_bytes_and_one_request() {
    let setup = Setup::new().await;
    let hub = setup.hub();
    let (snapshot, file) = file(&hub, WEIGHTS).await;
    let remote = hub.open(&snapshot, &file).unwrap();
    setup.fake.take_log();
    let expected = weights();
    for start in [999_900, 500_000, 0] {
        let bytes = remote.read(start..start + 100).await.unwrap();
        assert_eq!(bytes, expected[start as usize..start as usize + 100]);
    }
    assert!(remote.read(7..7).await.unwrap().is_empty());
    let log = setup.fake.log();
    assert_eq!(bytes_sent(&log), 300);
    // The Hub is asked once where the file is.
    let asked = log.iter().filter(|request| !request.is_storage).count();
    assert_eq!((log.len(), asked), (4, 1));
}

#[tokio::test]
async fn an_address_that_has_expired_is_renewed() {
    let setup = Setup::new().await;
    let hub = setup.hub();
    let (snapshot, file) = file(&hub, WEIGHTS).await;
    let remote = hub.open(&snapshot, &file).unwrap();
    remote.read(0..10).await.unwrap();
    setup.fake.expire_addresses();
    assert_eq!(remote.read(10..20).await.unwrap(), weights()[10..20]);
}

#[tokio::test]
async fn a_range_that_is_cut_is_read_again() {
    let setup = Setup::new().await;
    let hub = setup.hub();
    let (snapshot, file) = file(&hub, WEIGHTS).await;
    setup.fake.inject(Fault::new(WEIGHTS, FaultKind::Cut(10)));
    setup.fake.inject(Fault::new(WEIGHTS, FaultKind::NoRanges));
    let bytes = hub
        .open(&snapshot, &file)
        .unwrap()
        .read(50..150)
        .await
        .unwrap();
    assert_eq!(bytes, weights()[50..150]);
}

#[tokio::test]
async fn bytes_behind_the_end_are_refused() {
    let setup = Setup::new().await;
    let hub = setup.hub();
    let (snapshot, file) = file(&hub, "config.json").await;
    let remote = hub.open(&snapshot, &file).unwrap();
    assert_eq!(remote.size(), 2);
    let error = remote.read(1..3).await.unwrap_err();
    assert!(matches!(error, Error::OutOfRange { .. }), "{error:?}");
}

async fn drain(mut stream: RemoteStream) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await? {
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

#[tokio::test]
async fn a_stream_continues_after_a_cut() {
    let setup = Setup::new().await;
    let hub = setup.hub();
    let (snapshot, file) = file(&hub, WEIGHTS).await;
    setup.fake.take_log();
    setup
        .fake
        .inject(Fault::new(WEIGHTS, FaultKind::Cut(123_456)));
    let stream = hub.open(&snapshot, &file).unwrap().stream();
    assert_eq!(drain(stream).await.unwrap(), weights());
    assert_eq!(bytes_sent(&setup.fake.log()), WEIGHTS_BYTES as u64);
}

#[tokio::test]
async fn a_stream_of_wrong_bytes_fails_at_its_end() {
    let setup = Setup::new().await;
    let hub = setup.hub();
    let (snapshot, file) = file(&hub, WEIGHTS).await;
    setup.fake.inject(Fault::new(WEIGHTS, FaultKind::WrongByte));
    let stream = hub.open(&snapshot, &file).unwrap().stream();
    let drained = drain(stream).await.map(|bytes| bytes.len());
    let error = drained.unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
}
