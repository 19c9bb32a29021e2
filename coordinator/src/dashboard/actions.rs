//! What a visitor may do to a job: pause it, let it go on, cancel it, and retry its failed rows.
//!
//! A form must carry the secret of its session, and the role must be one that may make the same call over
//! gRPC.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use whence_schemas::JobId;

use super::context::Context;
use super::gate::{Refusal, Visitor};
use super::site::Site;
use super::{layout, login};
use crate::Error;

/// An action, as the path of its form names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Pause,
    Resume,
    Cancel,
    Retry,
}

impl Action {
    fn named(name: &str) -> Option<Self> {
        match name {
            "pause" => Some(Self::Pause),
            "resume" => Some(Self::Resume),
            "cancel" => Some(Self::Cancel),
            "retry" => Some(Self::Retry),
            _ => None,
        }
    }

    /// Returns the call that does the same.
    fn call(self) -> &'static str {
        match self {
            Self::Pause => "PauseJob",
            Self::Resume => "ResumeJob",
            Self::Cancel => "CancelJob",
            Self::Retry => "RetryJob",
        }
    }
}

/// Acts on a job, and shows it or the one that retries it.
pub(super) async fn act(
    State(site): State<Arc<Site>>,
    Extension(visitor): Extension<Visitor>,
    Path((job, action)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    let Some(action) = Action::named(&action) else {
        return layout::message(
            StatusCode::NOT_FOUND,
            "Not found",
            "There is no such action.",
            "",
        );
    };
    if !site.is_own_form(&visitor, &login::field(&body, "form_secret")) {
        return layout::refused(&Refusal::OtherSite);
    }
    let Some(coordinator) = site.coordinator() else {
        return layout::failed(&Error::Draining);
    };
    let context = Context {
        site,
        coordinator,
        visitor,
    };
    if !context.may(action.call()) {
        let text = "Your role may not change jobs.";
        return layout::message(StatusCode::FORBIDDEN, "Not done", text, "");
    }
    match done(&context, &job, action).await {
        Ok(job) => login::to(&format!("/jobs/{job}")),
        Err(error) => layout::failed(&error),
    }
}

async fn done(context: &Context, job: &str, action: Action) -> Result<JobId, Error> {
    let id: JobId = job.parse()?;
    context.look_up(&id).await?;
    let jobs = context.coordinator.jobs();
    let by = context.visitor.login.as_ref();
    let by = by.map_or("", |login| login.holder.name.as_str());
    tracing::info!(job = %id, ?action, by, "asked for on the dashboard");
    match action {
        Action::Pause => jobs.pause(&id, true).await.map(|summary| summary.id),
        Action::Resume => jobs.pause(&id, false).await.map(|summary| summary.id),
        Action::Cancel => jobs.cancel(&id).await.map(|summary| summary.id),
        Action::Retry => jobs.retry(&id).await.map(|(next, _)| next),
    }
}
