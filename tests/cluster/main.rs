//! Clusters: exactly once, whatever happens to whom.

mod commit;
mod failures;
mod kills;
