//! Which path leads to which page.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;

use super::address::Address;
use super::context::Context;
use super::gate::{Refusal, Visitor};
use super::pages::{example, job, overview, slot};
use super::site::Site;
use super::{actions, assets, headers, layout, live, login};

/// What a form may send. Tokens are short.
const MOST_FORM_BYTES: usize = 16 << 10;

/// Paths below this one are the streams of the pages.
const LIVE: &str = "/live";

/// Returns the pages.
pub(crate) fn router(site: Arc<Site>) -> Router {
    let pages = Router::new()
        .route("/", get(overview))
        .route("/workers", get(workers))
        .route("/schedules", get(schedules))
        .route("/jobs/{job}", get(one_job))
        .route("/jobs/{job}/errors", get(errors))
        .route("/jobs/{job}/slots/{slot}", get(one_slot))
        .route("/jobs/{job}/example", get(one_example))
        .route("/live/", get(overview))
        .route("/live/workers", get(workers))
        .route("/live/schedules", get(schedules))
        .route("/live/jobs/{job}", get(one_job))
        .route("/jobs/{job}/{action}", post(actions::act))
        .route("/logout", post(login::log_out))
        .route_layer(from_fn_with_state(Arc::clone(&site), identified));
    Router::new()
        .route("/login", get(login::show).post(login::log_in))
        .route("/assets/{name}", get(assets::asset))
        .merge(pages)
        .route_layer(from_fn_with_state(Arc::clone(&site), placed))
        .route_layer(from_fn(headers::add))
        .layer(DefaultBodyLimit::max(MOST_FORM_BYTES))
        .with_state(site)
}

/// Lets only requests pass that come from where pages are served to.
async fn placed(
    State(site): State<Arc<Site>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let asked = (request.method(), request.headers());
    match site.check_place(peer.ip(), asked) {
        Ok(()) => next.run(request).await,
        Err(refusal) => layout::refused(&refusal),
    }
}

/// Lets only requests pass of visitors who may see jobs.
async fn identified(State(site): State<Arc<Site>>, mut request: Request, next: Next) -> Response {
    match site.identify(request.headers()) {
        Ok(visitor) => {
            request.extensions_mut().insert(visitor);
            next.run(request).await
        }
        Err(Refusal::LogIn) if is_page(request.method(), request.uri()) => {
            let path = request.uri().path_and_query();
            login::to(&login::url_from(path.map_or("/", |path| path.as_str())))
        }
        Err(refusal) => layout::refused(&refusal),
    }
}

fn is_page(method: &Method, uri: &Uri) -> bool {
    *method == Method::GET && !uri.path().starts_with(LIVE)
}

/// What the path of a stream adds to that of its page.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Shown {
    version: String,
}

/// A request for a page or for its stream, whose sender is known.
struct Asked {
    site: Arc<Site>,
    visitor: Visitor,
    uri: Uri,
}

impl<S: Sync> axum::extract::FromRequestParts<S> for Asked
where
    Arc<Site>: axum::extract::FromRef<S>,
{
    type Rejection = StatusCode;

    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        state: &S,
    ) -> Result<Self, StatusCode> {
        let visitor = parts.extensions.get::<Visitor>().cloned();
        Ok(Self {
            site: axum::extract::FromRef::from_ref(state),
            visitor: visitor.ok_or(StatusCode::UNAUTHORIZED)?,
            uri: parts.uri.clone(),
        })
    }
}

impl Asked {
    /// Answers with the page at `address`, or with its stream.
    async fn answer(self, address: Address) -> Response {
        let Some(coordinator) = self.site.coordinator() else {
            let text = "The coordinator starts, or is in reserve for another one.";
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return layout::message(status, "Not serving", text, "Reload the page in a while.");
        };
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let context = Context {
            site: self.site,
            coordinator,
            visitor: self.visitor,
        };
        if path.starts_with(LIVE) {
            let shown = Query::<Shown>::try_from_uri(&self.uri);
            let version = shown.map(|Query(shown)| shown.version).unwrap_or_default();
            return live::stream(context, address, version);
        }
        match address.view(&context).await {
            Ok(view) => {
                let root = context.coordinator.store_url();
                layout::page(&view, &context.visitor, root, &format!("{LIVE}{path}"))
            }
            Err(error) => layout::failed(&error),
        }
    }
}

async fn overview(asked: Asked, Query(filter): Query<overview::JobFilter>) -> Response {
    asked.answer(Address::Overview(filter)).await
}

async fn workers(asked: Asked) -> Response {
    asked.answer(Address::Workers).await
}

async fn schedules(asked: Asked) -> Response {
    asked.answer(Address::Schedules).await
}

async fn one_job(
    asked: Asked,
    Path(id): Path<String>,
    Query(page): Query<job::SlotPage>,
) -> Response {
    match id.parse() {
        Ok(id) => asked.answer(Address::Job(id, page)).await,
        Err(_) => not_found(),
    }
}

async fn errors(asked: Asked, Path(id): Path<String>) -> Response {
    match id.parse() {
        Ok(id) => asked.answer(Address::Errors(id)).await,
        Err(_) => not_found(),
    }
}

async fn one_slot(
    asked: Asked,
    Path((id, slot)): Path<(String, String)>,
    Query(filter): Query<slot::RowFilter>,
) -> Response {
    match (id.parse(), slot.parse()) {
        (Ok(id), Ok(slot)) => asked.answer(Address::Slot(id, slot, filter)).await,
        _ => not_found(),
    }
}

async fn one_example(
    asked: Asked,
    Path(id): Path<String>,
    Query(choice): Query<example::Choice>,
) -> Response {
    match id.parse() {
        Ok(id) => asked.answer(Address::Example(id, choice)).await,
        Err(_) => not_found(),
    }
}

fn not_found() -> Response {
    let text = "There is no such page.";
    layout::message(StatusCode::NOT_FOUND, "Not found", text, "").into_response()
}
