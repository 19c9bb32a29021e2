//! Pages that are kept up to date.

use std::time::Duration;

use tokio::time::timeout;

use super::browser::{Events, Served, form_secret};
use crate::access::Admission;
use crate::testing::registration;

const SOON: Duration = Duration::from_secs(20);

async fn next(events: &mut Events) -> (String, String) {
    timeout(SOON, events.next()).await.expect("an event")
}

/// Returns where a page hears of changes.
fn live(page: &str) -> String {
    let (_, rest) = page.split_once("data-live=\"").unwrap();
    rest.split('"').next().unwrap().replace("&#38;", "&")
}

#[tokio::test]
async fn a_page_hears_of_what_has_changed_and_of_nothing_else() {
    let served = Served::new(Admission::Everybody).await;
    let stage = &served.stage;
    let (first, _) = stage.coordinator.jobs().submit(stage.job(2)).await.unwrap();
    let (second, _) = stage.coordinator.jobs().submit(stage.job(3)).await.unwrap();
    let page = served.browser.get("/").await.ended_with(200);
    let mut events = served.browser.follow(&live(&page)).await;
    stage.coordinator.jobs().pause(&first, true).await.unwrap();
    let (name, data) = next(&mut events).await;
    assert_eq!(name, "update");
    let update: serde_json::Value = serde_json::from_str(&data).unwrap();
    assert!(update.get("regions").is_none(), "{update}");
    let row = update["parts"][format!("job-{first}")].as_str().unwrap();
    assert!(
        row.starts_with("<tr id=") && row.contains("paused"),
        "{row}"
    );
    assert!(update["parts"].get(format!("job-{second}")).is_none());

    // A job that is new moves the others, so the list is sent.
    let (third, _) = stage.coordinator.jobs().submit(stage.job(4)).await.unwrap();
    let (_, data) = next(&mut events).await;
    let update: serde_json::Value = serde_json::from_str(&data).unwrap();
    assert!(
        update["regions"]["jobs"]
            .as_str()
            .unwrap()
            .contains(third.as_str())
    );

    // A page that was away for a while, and whose version is an old one, gets everything.
    let mut late = served.browser.follow("/live/?version=0").await;
    let (_, data) = next(&mut late).await;
    assert!(data.contains("totals-now") && data.contains(second.as_str()));
}

#[tokio::test]
async fn a_job_and_the_workers_are_followed() {
    let served = Served::new(Admission::Everybody).await;
    let stage = &served.stage;
    let (id, _) = stage.coordinator.jobs().submit(stage.job(2)).await.unwrap();
    let job = served
        .browser
        .get(&format!("/jobs/{id}"))
        .await
        .ended_with(200);
    let workers = served.browser.get("/workers").await.ended_with(200);
    let mut of_job = served.browser.follow(&live(&job)).await;
    let mut of_workers = served.browser.follow(&live(&workers)).await;
    stage
        .coordinator
        .dispatch()
        .register(&registration("a"))
        .unwrap();
    let leased = stage.acquire("a", 1).await;
    // Both may come in more than one update.
    let mut seen = String::new();
    while !seen.contains(&format!("slot-{}", leased[0].at.slot)) || !seen.contains("leases") {
        seen.push_str(&next(&mut of_job).await.1);
    }
    assert!(seen.contains("leased, 0 of 1 row"), "{seen}");
    let mut seen = String::new();
    while !seen.contains("working") {
        seen.push_str(&next(&mut of_workers).await.1);
    }
    assert!(seen.contains(id.as_str()), "{seen}");
}

#[tokio::test]
async fn streams_end_when_the_coordinator_drains() {
    let served = Served::new(Admission::Everybody).await;
    let mut events = served.browser.follow("/live/workers").await;
    served.stage.coordinator.drain();
    let (mut name, mut data) = next(&mut events).await;
    if name == "update" {
        (name, data) = next(&mut events).await;
    }
    assert_eq!((name.as_str(), data.as_str()), ("end", ""));
    assert_eq!(next(&mut events).await, (String::new(), String::new()));
}

#[tokio::test]
async fn streams_end_at_the_shutdown_and_at_the_logout() {
    let served = Served::with_tokens().await;
    let visitor = served.visitor("viewer").await;
    let other = served.visitor("submitter").await;
    let page = visitor.get("/workers").await.ended_with(200);
    let mut events = visitor.follow(&live(&page)).await;
    let mut of_other = other.follow(&live(&page)).await;
    let form = format!("form_secret={}", form_secret(&page));
    visitor.post("/logout", &form).await.ended_with(303);
    assert_eq!(next(&mut events).await.0, "end");
    served.shutdown.cancel();
    assert_eq!(next(&mut of_other).await.0, "end");
}

#[tokio::test]
async fn there_are_only_so_many_streams() {
    let served = Served::new(Admission::Everybody).await;
    let mut open = Vec::new();
    for _ in 0..64 {
        open.push(served.browser.follow("/live/workers").await);
    }
    served.browser.get("/live/workers").await.ended_with(503);
    // The pages themselves are still there, and one that is closed makes room.
    served.browser.get("/workers").await.ended_with(200);
    open.clear();
    let room = async {
        while served.browser.try_follow("/live/workers").await.is_none() {
            // It is noticed within some seconds that nobody listens.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(SOON, room).await.expect("room for another stream");
}
