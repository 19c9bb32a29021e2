//! What a coordinator answers over HTTP: whether it runs, whether it serves, its metrics, and the pages of
//! its dashboard.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::access::Visitors;
pub use crate::coordinator::Serving;
use crate::dashboard::{self, Site};
use crate::{Error, metrics};

/// Listens on `address`, where port 0 means any free port. Returns the actual address as well.
pub async fn listen(address: &str) -> Result<(TcpListener, SocketAddr), Error> {
    let failed =
        |error: std::io::Error| refused(address, &error, "; give another with `--http-listen`");
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Answers until `shutdown`, also before there is a coordinator: a supervisor must not take one in
/// reserve for dead. `visitors` says who may open the dashboard; the other paths are open to everybody.
pub async fn serve(
    listener: TcpListener,
    serving: Serving,
    visitors: Visitors,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let site = Site::new(serving.clone(), visitors, shutdown.clone());
    let site = Arc::new(site);
    let router = Router::new()
        .route("/healthz", get(async || "runs\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(measured))
        .with_state(serving)
        .merge(dashboard::router(Arc::clone(&site)))
        .into_make_service_with_connect_info::<SocketAddr>();
    tokio::select! {
        served = axum::serve(listener, router) => {
            served.map_err(|error| refused("the given listener", &error, ""))
        }
        never = site.watch() => match never {},
        () = shutdown.cancelled() => Ok(()),
    }
}

async fn ready(State(serving): State<Serving>) -> (StatusCode, String) {
    let Some(coordinator) = serving.borrow().clone() else {
        let told = "starts, or is in reserve for another coordinator\n".to_owned();
        return (StatusCode::SERVICE_UNAVAILABLE, told);
    };
    if let Err(reason) = coordinator.core.serving() {
        return (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n"));
    }
    // Workers hold out through an outage of the store, and must still reach their coordinator.
    let fault = coordinator
        .core
        .state
        .read(|state| state.store_fault.clone());
    let told = match fault {
        None => "serves\n".to_owned(),
        Some(fault) => format!("serves, but the store does not answer: {fault}\n"),
    };
    (StatusCode::OK, told)
}

async fn measured(State(serving): State<Serving>) -> impl IntoResponse {
    // One in reserve has no metrics of its own, and says so by having none.
    let coordinator = serving.borrow().clone();
    let text = coordinator.map_or_else(String::new, |it| it.core.state.read(metrics::render));
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text)
}

fn refused(address: &str, error: &std::io::Error, next: &str) -> Error {
    Error::Listen {
        address: address.to_owned(),
        reason: format!("{error}{next}"),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::sync::watch;

    use super::*;
    use crate::access::Admission;
    use crate::testing::Stage;

    /// Returns the answer to a request, with its head.
    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_coordinator_says_that_it_runs_serves_and_what_it_counts() {
        let stage = Stage::new().await;
        stage.coordinator.jobs().submit(stage.job(3)).await.unwrap();
        let (listener, address) = listen("127.0.0.1:0").await.unwrap();
        let shutdown = CancellationToken::new();
        let (coordinator, known) = watch::channel(None);
        let visitors = Visitors {
            admission: Admission::Everybody,
            are_anywhere: false,
        };
        let serving = serve(listener, known, visitors, shutdown.clone());
        let asking = async {
            assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200"));
            assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 503"));
            assert!(!get(address, "/metrics").await.contains("whence_jobs"));
            coordinator.send_replace(Some(Arc::clone(&stage.coordinator)));
            assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200"));
            let metrics = get(address, "/metrics").await;
            assert!(metrics.contains(metrics::CONTENT_TYPE), "{metrics}");
            assert!(
                metrics.contains("whence_slots{state=\"pending\"} 3"),
                "{metrics}"
            );
            assert!(get(address, "/other").await.starts_with("HTTP/1.1 404"));
            let state = &stage.coordinator.core.state;
            state.change(|state| state.store_fault = Some("503".to_owned()));
            let ready = get(address, "/readyz").await;
            assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
            assert!(ready.contains("does not answer: 503"), "{ready}");
            stage.coordinator.drain();
            let draining = get(address, "/readyz").await;
            assert!(draining.starts_with("HTTP/1.1 503"), "{draining}");
            assert!(draining.contains("shutting down"), "{draining}");
            assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200"));
            shutdown.cancel();
        };
        let (served, ()) = tokio::join!(serving, asking);
        served.unwrap();
    }

    #[tokio::test]
    async fn an_address_in_use_is_refused_with_its_flag() {
        let (_listener, address) = listen("127.0.0.1:0").await.unwrap();
        let refused = listen(&address.to_string()).await.unwrap_err().to_string();
        assert!(refused.contains("--http-listen"), "{refused}");
    }
}
