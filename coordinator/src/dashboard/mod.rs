//! The dashboard: pages that show the cluster, its jobs and its schedules to people with a browser.
//!
//! The coordinator renders the pages, so that they work without a script. With one, they follow what
//! happens: `live` sends the elements that have changed. `gate` decides who may see what, before a
//! handler runs, and every text of a user is escaped by the templates. Nothing is loaded from anywhere
//! else, and no script or style is in a page, so that the policy in `headers` can forbid both.
//!
//! Two things must stay true. A visitor sees what the same person could ask for over gRPC, and no more.
//! And nothing here may hold up workers: pages read a copy of the state, reads of the store are few at a
//! time, and streams are counted.

mod actions;
mod address;
mod assets;
mod context;
mod figures;
mod gate;
mod headers;
mod heatmap;
mod history;
mod layout;
mod live;
mod login;
mod markup;
mod pages;
mod region;
mod routes;
mod schedule_lines;
mod sessions;
mod site;
#[cfg(test)]
mod tests;
mod view;

pub(crate) use routes::router;
pub(crate) use site::Site;
