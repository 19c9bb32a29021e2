//! What the pages show.

use std::sync::Arc;

use whence_schemas::{JobId, RowError, SlotKind, WorkerClass, layout};

use super::browser::Served;
use crate::access::Admission;
use crate::assignment::Registration;
use crate::durable::{Author, quarantine, unread_rows};
use crate::job::{Event, FailureClass};
use crate::testing::{object, registration, slot, worker};

async fn open() -> Served {
    Served::new(Admission::Everybody).await
}

/// Submits a job of `rows` rows, and lets the worker `a` fill its first slot.
async fn half_done(served: &Served, rows: usize) -> JobId {
    let stage = &served.stage;
    let (id, _) = stage
        .coordinator
        .jobs()
        .submit(stage.job(rows))
        .await
        .unwrap();
    let leased = stage.acquire("a", 1).await.remove(0);
    stage.fill(&leased).await;
    stage
        .coordinator
        .dispatch()
        .complete(&leased.at, 9)
        .await
        .unwrap();
    id
}

#[tokio::test]
async fn the_first_page_lists_the_jobs_that_are_asked_for() {
    let served = open().await;
    let stage = &served.stage;
    let id = half_done(&served, 2).await;
    let mut named = stage.job(3);
    named.run_id = Some("nightly".to_owned());
    let (named, _) = stage.coordinator.jobs().submit(named).await.unwrap();
    stage.coordinator.jobs().cancel(&named).await.unwrap();
    let page = served.browser.get("/").await.ended_with(200);
    for text in [
        &format!("<a href=\"/jobs/{id}\">"),
        "50 %, 1 of 2",
        "2 jobs",
        "class=\"state cancelled\"",
        "<dt>Running jobs</dt><dd>1</dd>",
        "<dt>Slots pending</dt><dd>1</dd>",
        "saliency",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    let found = |query: &'static str| async {
        let page = served.browser.get(query).await.ended_with(200);
        [&id, &named].map(|id| page.contains(id.as_str()))
    };
    assert_eq!(found("/?state=running").await, [true, false]);
    assert_eq!(found("/?text=NIGHTLY&state=").await, [false, true]);
    assert_eq!(found("/?text=nightly&state=running").await, [false, false]);
    assert_eq!(found("/?page=9").await, [true, true]);
    served.browser.get("/?page=x").await.ended_with(400);
}

#[tokio::test]
async fn long_lists_have_pages() {
    let served = open().await;
    let mut ids = Vec::new();
    for run in 0..101 {
        let mut spec = served.stage.job(1);
        spec.run_id = Some(format!("run {run}"));
        ids.push(
            served
                .stage
                .coordinator
                .jobs()
                .submit(spec)
                .await
                .unwrap()
                .0,
        );
    }
    let first = served.browser.get("/?text=run").await.ended_with(200);
    let last = served
        .browser
        .get("/?text=run&page=2")
        .await
        .ended_with(200);
    assert!(first.contains("/?text=run&#38;page=2") && last.contains("/?text=run&#38;page=1"));
    assert!(first.contains("1 to 100 of 101 jobs"));
    let on = |page: &str| ids.iter().filter(|id| page.contains(id.as_str())).count();
    assert_eq!([on(&first), on(&last)], [100, 1]);
}

#[tokio::test]
async fn what_users_write_is_text() {
    let served = open().await;
    let stage = &served.stage;
    let hostile = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";
    let mut spec = stage.job(2);
    spec.run_id = Some(hostile.to_owned());
    let (id, _) = stage.coordinator.jobs().submit(spec).await.unwrap();
    let class = WorkerClass {
        device: hostile.to_owned(),
        numerics: hostile.to_owned(),
        memory: Some(3 << 30),
    };
    let introduced = Registration {
        class: class.clone(),
        ..registration("a")
    };
    stage.coordinator.dispatch().register(&introduced).unwrap();
    let leased = stage.acquire("a", 1).await.remove(0);
    let core = &stage.coordinator.core;
    core.state.change(|state| {
        state.workers.introduced(&worker("a"), &class);
        state.store_fault = Some(hostile.to_owned());
    });
    let dispatch = stage.coordinator.dispatch();
    let worker = worker("a");
    let failed = dispatch.fail(
        &leased.at,
        &worker,
        FailureClass::Internal,
        hostile.to_owned(),
    );
    failed.await.unwrap();
    let event = Event::FoundFailed(hostile.to_owned());
    core.state
        .change(|state| state.apply(&id, event, core.clock.now()));
    for path in [
        "/".to_owned(),
        "/workers".to_owned(),
        format!("/jobs/{id}"),
        format!("/jobs/{id}/errors"),
        format!("/jobs/{id}/slots/p000000?text=%3Cscript%3Ealert(1)%3C/script%3E"),
        "/?text=%3Cscript%3Ealert(1)%3C/script%3E%22".to_owned(),
        "/login?next=/%3Cscript%3Ealert(1)%3C/script%3E%22".to_owned(),
        "/jobs/%3Cscript%3Ealert(1)%3C".to_owned(),
    ] {
        let page = served.browser.get(&path).await.body;
        assert!(
            !page.contains("<script>") && !page.contains("<img"),
            "{path}: {page}"
        );
        assert!(!page.contains("\"'>"), "{path}: {page}");
    }
    let page = served.browser.get("/workers").await.ended_with(200);
    assert!(
        page.contains("&#60;img") && page.contains("3.0 GiB"),
        "{page}"
    );
}

#[tokio::test]
async fn every_answer_forbids_what_the_pages_do_not_do() {
    let served = open().await;
    for path in [
        "/",
        "/workers",
        "/login",
        "/assets/dashboard.css",
        "/assets/dashboard.js",
        "/assets/icon.svg",
        "/assets/other",
        "/jobs/x",
    ] {
        let answer = served.browser.get(path).await;
        let policy = answer.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self';"),
            "{path}"
        );
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"));
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "same-origin");
        assert_eq!(answer.header("cache-control"), "no-store");
        for inline in [
            "<style", " style=", " onclick", "<script>", "http://", "https://",
        ] {
            let is_page = answer.header("content-type").starts_with("text/html");
            assert!(
                !is_page || !answer.body.contains(inline),
                "{path}: {inline}"
            );
        }
    }
    let script = served.browser.get("/assets/dashboard.js").await;
    assert_eq!(
        script.header("content-type"),
        "text/javascript; charset=utf-8"
    );
}

#[tokio::test]
async fn a_job_shows_its_slots_and_who_computes_them() {
    let served = open().await;
    let id = half_done(&served, 3).await;
    let leased = served.stage.acquire("b", 1).await.remove(0);
    let page = served
        .browser
        .get(&format!("/jobs/{id}"))
        .await
        .ended_with(200);
    let state = |slot: &str, state: &str| format!("aria-label=\"{slot}: {state}\"");
    for text in [
        state("p000000", "done, 1 row"),
        state(leased.at.slot.as_str(), "leased, 0 of 1 row"),
        format!("<tr id=\"lease-{}-computing\">", leased.at.slot),
        "<td data-label=\"Worker\">b</td>".to_owned(),
        "1 pending".to_owned(),
        "&#34;method&#34;".to_owned(),
    ] {
        assert!(page.contains(&text), "{text}: {page}");
    }
}

#[tokio::test]
async fn a_slot_shows_its_rows_and_a_row_says_what_there_is_of_it() {
    let served = open().await;
    let id = half_done(&served, 2).await;
    let browser = &served.browser;
    let page = |path: String| async move { browser.get(&path).await };
    let slot = page(format!("/jobs/{id}/slots/p000000"))
        .await
        .ended_with(200);
    assert!(
        slot.contains(&format!("/jobs/{id}/example?row=0&amp;sample=0")),
        "{slot}"
    );
    let open = page(format!("/jobs/{id}/slots/p000001"))
        .await
        .ended_with(200);
    assert!(open.contains("no rows so far"), "{open}");
    page(format!("/jobs/{id}/slots/p000009"))
        .await
        .ended_with(404);
    let row = page(format!("/jobs/{id}/example?row=0"))
        .await
        .ended_with(200);
    assert!(
        row.contains("no heatmaps") && row.contains("rel=\"next\""),
        "{row}"
    );
    let row = page(format!("/jobs/{id}/example?row=1"))
        .await
        .ended_with(200);
    assert!(row.contains("has not computed the row") && !row.contains("rel=\"next\""));
    let row = page(format!("/jobs/{id}/example?row=0&sample=7"))
        .await
        .ended_with(200);
    assert!(row.contains("no such sequence"), "{row}");
}

#[tokio::test]
async fn errors_are_shown_with_their_rows() {
    let served = open().await;
    let stage = &served.stage;
    let (id, _) = stage.coordinator.jobs().submit(stage.job(2)).await.unwrap();
    let leased = stage.acquire("a", 1).await.remove(0);
    stage.fail(&leased.at, FailureClass::Internal).await;
    let spec = stage.coordinator.jobs().spec(&id).unwrap();
    let author = Author {
        spec: &spec,
        slot: &slot(1),
        attempt: &leased.at.attempt,
        epoch: stage.coordinator.core.epoch,
    };
    let error = RowError::new("lost", "it takes workers down");
    let bytes = quarantine(author, &unread_rows(&spec, 1..2).unwrap(), &error);
    let key = layout::slot(&layout::table(&spec), &slot(1));
    stage
        .coordinator
        .core
        .store
        .create(&key, bytes.unwrap())
        .await
        .unwrap();
    let mut at = leased.at.clone();
    at.slot = slot(1);
    stage.coordinator.dispatch().complete(&at, 0).await.unwrap();
    let page = served
        .browser
        .get(&format!("/jobs/{id}/errors"))
        .await
        .ended_with(200);
    for text in [
        "1 of 1 error rows",
        "it takes workers down",
        "it broke",
        "1 of 1 attempts",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    let row = served
        .browser
        .get(&format!("/jobs/{id}/example?row=1"))
        .await
        .ended_with(200);
    assert!(row.contains("lost: it takes workers down"), "{row}");
}

#[tokio::test]
async fn a_job_that_ended_before_the_restart_is_shown_from_its_files() {
    let mut served = open().await;
    let stage = &served.stage;
    let (id, _) = stage.coordinator.jobs().submit(stage.job(2)).await.unwrap();
    for leased in stage.acquire("a", 2).await {
        stage.fill(&leased).await;
        stage
            .coordinator
            .dispatch()
            .complete(&leased.at, 9)
            .await
            .unwrap();
    }
    let stop = tokio_util::sync::CancellationToken::new();
    let sealed = async {
        while stage.coordinator.jobs().summary(&id).unwrap().phase != crate::job::Phase::Sealed {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(stage.coordinator.reconciler().run(stop.clone()), sealed);
    ended.unwrap();
    served.stage.restart().await;
    let restarted = Arc::clone(&served.stage.coordinator);
    served.known.send_replace(Some(restarted));
    let page = served
        .browser
        .get(&format!("/jobs/{id}"))
        .await
        .ended_with(200);
    assert!(page.contains("class=\"state sealed\"") && page.contains("p000001: done, 1 row"));
    // It changes no more.
    assert!(!page.contains("data-live"), "{page}");
    let row = served
        .browser
        .get(&format!("/jobs/{id}/example?row=1"))
        .await
        .ended_with(200);
    assert!(row.contains("no heatmaps"), "{row}");
    let errors = served
        .browser
        .get(&format!("/jobs/{id}/errors"))
        .await
        .ended_with(200);
    assert!(errors.contains("No row has an error"));
    let slot = served
        .browser
        .get(&format!("/jobs/{id}/slots/p000001"))
        .await;
    assert!(slot.ended_with(200).contains("example?row=1"));
}

#[tokio::test]
async fn one_in_reserve_says_so() {
    let served = open().await;
    served.known.send_replace(None);
    let page = served.browser.get("/").await.ended_with(503);
    assert!(page.contains("in reserve"), "{page}");
    served.browser.get("/live/").await.ended_with(503);
    served
        .browser
        .get("/assets/dashboard.css")
        .await
        .ended_with(200);
}

#[tokio::test]
async fn a_damaged_slot_is_named_and_hides_nothing_else() {
    let served = open().await;
    let id = half_done(&served, 2).await;
    let spec = served.stage.coordinator.jobs().spec(&id).unwrap();
    let key = layout::slot(&layout::table(&spec), &slot(1));
    let bytes = object(&spec, &slot(1), SlotKind::Full, (1, 0)).slice(..40);
    served
        .stage
        .coordinator
        .core
        .store
        .create(&key, bytes)
        .await
        .unwrap();
    let page = served
        .browser
        .get(&format!("/jobs/{id}/slots/p000001"))
        .await
        .ended_with(500);
    assert!(page.contains("whole Parquet file"), "{page}");
    served
        .browser
        .get(&format!("/jobs/{id}/slots/p000000"))
        .await
        .ended_with(200);
}
