//! Keeps an open page up to date: sends what has changed, as server-sent events.
//!
//! A stream ends when the coordinator shuts down and when its visitor logs out. There are only so many of
//! them; a page that gets none says that it is not live.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use super::address::Address;
use super::context::Context;
use super::region::{self, Region, Update};
use crate::shared::changed;

/// Shortest time between two looks at a page.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// Longest time between two looks: ages and speeds change without an event.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The pause after a look that took long is so many times as long. A job with very many slots then costs
/// each open page at most a fiftieth of a processor.
const PAUSE_PER_LOOK: u32 = 50;

/// Answers with the stream of a page. `version` names what the page shows already.
pub(super) fn stream(context: Context, address: Address, version: String) -> Response {
    let permit = Arc::clone(&context.site.streams).try_acquire_owned();
    let Ok(permit) = permit else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many open pages\n").into_response();
    };
    let follower = Follower {
        changes: context.core().state.changes(),
        context,
        address,
        shown: Vec::new(),
        version,
        not_before: Instant::now(),
        _permit: permit,
    };
    let events = stream::unfold(Some(follower), |follower| async {
        let mut follower = follower?;
        match follower.next().await {
            Some(event) => Some((Ok::<_, Infallible>(event), Some(follower))),
            // The page must not ask again by itself.
            None => Some((Ok(Event::default().event("end").data("")), None)),
        }
    });
    Sse::new(events)
        .keep_alive(KeepAlive::default())
        .into_response()
}

/// What one open page has been sent.
struct Follower {
    context: Context,
    address: Address,
    changes: watch::Receiver<u64>,
    shown: Vec<Region>,
    /// What the page has until the first update.
    version: String,
    /// When the page may be looked at again.
    not_before: Instant,
    /// Counts the stream.
    _permit: OwnedSemaphorePermit,
}

impl Follower {
    /// Waits for the next update; `None` if there are no more.
    async fn next(&mut self) -> Option<Event> {
        loop {
            self.wait(self.not_before).await?;
            self.changes.mark_unchanged();
            let Context { site, visitor, .. } = &self.context;
            if self.context.core().serving().is_err() || !site.is_let_in(visitor) {
                return None;
            }
            let began = Instant::now();
            let view = self.address.view(&self.context).await;
            // Workers report all the time, and most of that changes nothing on this page.
            self.not_before = Instant::now() + pause_after(began.elapsed());
            // What cannot be shown now may be shown later: the store may be away for a while.
            if let Ok(view) = view {
                let update = self.update(view.regions);
                if !update.is_empty() {
                    let json = serde_json::to_string(&update).ok()?;
                    return Some(Event::default().event("update").data(json));
                }
            }
            let look_again = Instant::now() + LONGEST_PAUSE;
            tokio::select! {
                () = changed(&mut self.changes, look_again) => {}
                () = self.context.site.shutdown.cancelled() => return None,
            }
        }
    }

    /// Waits until a time; `None` if the coordinator shuts down before.
    async fn wait(&self, until: Instant) -> Option<()> {
        tokio::select! {
            () = tokio::time::sleep_until(until) => Some(()),
            () = self.context.site.shutdown.cancelled() => None,
        }
    }

    fn update(&mut self, regions: Vec<Region>) -> Update {
        let is_known = self.shown.is_empty() && region::version(&regions) == self.version;
        let update = if is_known {
            Update::default()
        } else {
            Update::between(&self.shown, &regions)
        };
        self.shown = regions;
        update
    }
}

/// Returns how long to wait after a look that took `took`.
fn pause_after(took: Duration) -> Duration {
    SHORTEST_PAUSE.max(took.saturating_mul(PAUSE_PER_LOOK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_costs_much_is_looked_at_less_often() {
        let pause = |millis| pause_after(Duration::from_millis(millis)).as_millis();
        assert_eq!([pause(0), pause(20), pause(200)], [1000, 1000, 10_000]);
    }
}
