//! Who gets in, what a team sees, and who may change something.

use super::browser::{Served, form_secret};
use crate::access::{Admission, Caller};
use crate::job::Phase;

#[tokio::test]
async fn without_a_token_nothing_of_a_job_is_shown() {
    let served = Served::with_tokens().await;
    let (id, _) = served
        .stage
        .coordinator
        .jobs()
        .submit(served.stage.job(2))
        .await
        .unwrap();
    for path in [
        "/",
        "/workers",
        "/schedules",
        &format!("/jobs/{id}"),
        "/jobs/x/errors",
    ] {
        let asked = served.browser.get(path).await;
        assert!(
            asked.header("location").starts_with("/login?next=%2F"),
            "{path}"
        );
        assert!(!asked.ended_with(303).contains(id.as_str()));
    }
    for path in ["/live/", &format!("/live/jobs/{id}")] {
        served.browser.get(path).await.ended_with(401);
    }
    served
        .browser
        .post(&format!("/jobs/{id}/cancel"), "form_secret=")
        .await
        .ended_with(401);
    // What a supervisor and Prometheus ask for stays open.
    served.browser.get("/healthz").await.ended_with(200);
    served.browser.get("/metrics").await.ended_with(200);
    let bearer = ("authorization: Bearer viewer\r\n", "");
    let page = served.browser.ask("GET", "/", bearer).await.ended_with(200);
    assert!(page.contains(id.as_str()));
}

#[tokio::test]
async fn a_visitor_logs_in_and_out() {
    let served = Served::with_tokens().await;
    let mut browser = served.browser.clone();
    for (token, reason) in [
        ("stranger", "does not know"),
        ("worker", "may not see jobs"),
    ] {
        let refused = browser.log_in(token).await;
        assert_eq!(refused.header("set-cookie"), "");
        let page = refused.ended_with(403);
        assert!(
            page.contains(reason) && page.contains("role=\"alert\""),
            "{page}"
        );
    }
    browser
        .post("/login", &"x".repeat(20 << 10))
        .await
        .ended_with(413);
    let form = "token=viewer&next=%2Fworkers";
    let logged_in = browser.post("/login", form).await;
    assert_eq!(logged_in.header("location"), "/workers");
    let cookie = logged_in.header("set-cookie");
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
        "{cookie}"
    );
    assert!(!cookie.contains("viewer"), "{cookie}");
    cookie
        .split(';')
        .next()
        .unwrap()
        .clone_into(&mut browser.cookie);
    let page = browser.get("/").await.ended_with(200);
    assert!(page.contains("v, viewer"), "{page}");
    // Who is logged in needs no form.
    assert_eq!(
        browser
            .get("/login?next=/schedules")
            .await
            .header("location"),
        "/schedules"
    );

    browser
        .post("/logout", "form_secret=0")
        .await
        .ended_with(403);
    browser.get("/").await.ended_with(200);
    let form = format!("form_secret={}", form_secret(&page));
    let out = browser.post("/logout", &form).await;
    assert!(out.header("set-cookie").contains("Max-Age=0"));
    out.ended_with(303);
    browser.get("/").await.ended_with(303);
}

#[tokio::test]
async fn a_team_sees_what_is_its_own() {
    let served = Served::with_tokens().await;
    let stage = &served.stage;
    let jobs = stage.coordinator.jobs();
    let of = |tenant: &str| Caller {
        tenant: Some(tenant.parse().unwrap()),
    };
    let (own, _) = jobs.submit_by(stage.job(2), &of("nlp")).await.unwrap();
    let (other, _) = jobs.submit_by(stage.job(3), &of("web")).await.unwrap();
    stage.acquire("worker-of-one", 1).await;
    let (team, all) = (served.visitor("nlp").await, served.visitor("viewer").await);
    let page = team.get("/").await.ended_with(200);
    assert!(page.contains(own.as_str()) && !page.contains(other.as_str()));
    assert!(!page.contains("web"), "{page}");
    let page = all.get("/").await.ended_with(200);
    assert!(page.contains(own.as_str()) && page.contains(other.as_str()));
    for path in ["", "/errors", "/slots/p000000", "/example"] {
        // To a team, jobs of others do not exist.
        let path = format!("/jobs/{other}{path}");
        team.get(&path).await.ended_with(404);
        assert_ne!(all.get(&path).await.status, 404, "{path}");
    }
    let page = team
        .get("/jobs/aaaaaaaaaaaaaaaaaaaaaaaaaa")
        .await
        .ended_with(404);
    assert!(page.contains("there is no job"));
    let compared = format!("/jobs/{own}/example?row=0&with={other}");
    team.get(&compared).await.ended_with(404);
    let form = format!(
        "form_secret={}",
        form_secret(&team.get("/").await.ended_with(200))
    );
    team.post(&format!("/jobs/{other}/cancel"), &form)
        .await
        .ended_with(404);
    // The worker computes one of the two jobs, and only that team sees its slot.
    let leased = stage
        .coordinator
        .core
        .state
        .read(|state| state.job(&own).unwrap().leased().next().is_some());
    let page = team.get("/workers").await.ended_with(200);
    assert_eq!(page.contains("worker-of-one"), leased);
    assert!(!page.contains(other.as_str()));
    assert!(
        all.get("/workers")
            .await
            .ended_with(200)
            .contains("worker-of-one")
    );
}

#[tokio::test]
async fn only_a_form_of_ones_own_with_the_role_changes_a_job() {
    let served = Served::with_tokens().await;
    let jobs = served.stage.coordinator.jobs();
    let (id, _) = jobs.submit(served.stage.job(2)).await.unwrap();
    let path = |action: &str| format!("/jobs/{id}/{action}");
    let page_of = format!("/jobs/{id}");
    let (viewer, submitter) = (
        served.visitor("viewer").await,
        served.visitor("submitter").await,
    );
    let is_paused = || jobs.summary(&id).unwrap().is_paused;

    let page = viewer.get(&page_of).await.ended_with(200);
    assert!(!page.contains("/cancel") && !page.contains("/pause"));
    let form = format!("form_secret={}", form_secret(&page));
    viewer.post(&path("pause"), &form).await.ended_with(403);
    // A form of somebody else's session, and one without its secret.
    submitter.post(&path("pause"), &form).await.ended_with(403);
    submitter.post(&path("pause"), "").await.ended_with(403);
    let own = submitter.get(&page_of).await.ended_with(200);
    let form = format!("form_secret={}", form_secret(&own));
    let forged = (
        "sec-fetch-site: cross-site\r\nsec-fetch-mode: navigate\r\n",
        form.as_str(),
    );
    submitter
        .ask("POST", &path("pause"), forged)
        .await
        .ended_with(403);
    let bearer = ("authorization: Bearer submitter\r\n", "form_secret=");
    served
        .browser
        .ask("POST", &path("pause"), bearer)
        .await
        .ended_with(403);
    submitter.get(&path("pause")).await.ended_with(405);
    assert!(!is_paused());

    let paused = submitter.post(&path("pause"), &form).await;
    assert_eq!(paused.header("location"), page_of);
    assert!(is_paused());
    let page = submitter.get(&page_of).await.ended_with(200);
    assert!(
        page.contains("/resume") && !page.contains("/pause"),
        "{page}"
    );
    submitter.post(&path("resume"), &form).await.ended_with(303);
    assert!(!is_paused());
    submitter.post(&path("retry"), &form).await.ended_with(400);
    submitter.post(&path("other"), &form).await.ended_with(404);
    submitter.post(&path("cancel"), &form).await.ended_with(303);
    assert_eq!(jobs.summary(&id).unwrap().phase, Phase::Cancelled);
    let page = submitter.get(&page_of).await.ended_with(200);
    assert!(!page.contains("/cancel\""), "{page}");
}

#[tokio::test]
async fn without_tokens_the_pages_are_to_look_at() {
    let served = Served::new(Admission::Everybody).await;
    let jobs = served.stage.coordinator.jobs();
    let (id, _) = jobs.submit(served.stage.job(2)).await.unwrap();
    let page = served
        .browser
        .get(&format!("/jobs/{id}"))
        .await
        .ended_with(200);
    assert!(!page.contains("method=\"post\""), "{page}");
    let path = format!("/jobs/{id}/cancel");
    served
        .browser
        .post(&path, "form_secret=")
        .await
        .ended_with(403);
    assert_eq!(jobs.summary(&id).unwrap().phase, Phase::Running);
    // A site whose name leads here, and a page of another site.
    let rebound = ("host: evil.example\r\n", "");
    let refused = served.browser.ask("GET", "/", rebound).await;
    assert!(refused.ended_with(421).contains("evil.example"));
    let embedded = (
        "sec-fetch-site: cross-site\r\nsec-fetch-mode: no-cors\r\n",
        "",
    );
    served
        .browser
        .ask("GET", "/assets/dashboard.js", embedded)
        .await
        .ended_with(403);
    let closed = Served::new(Admission::Nobody).await;
    let page = closed.browser.get("/").await.ended_with(403);
    assert!(page.contains("--tokens"), "{page}");
}
