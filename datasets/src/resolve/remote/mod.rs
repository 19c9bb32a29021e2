//! Files anywhere: on this machine, on web servers, in buckets and in repositories on the Hub.
//!
//! Each path says where it leads, so that one dataset may have files in several places. A row of
//! the dispatch below is one file here.

mod anywhere;
mod bucket;
mod named;
mod repositories;
mod web;

pub use anywhere::Anywhere;
pub use named::{Named, named, pinned};
pub use repositories::RepoAddress;
