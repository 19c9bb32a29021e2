//! Two runs over the same examples: what differs, and how far they agree.
//!
//! `runs` finds them, and `pairs` walks through the tables of two runs. `shared` decides whether two attributions can be
//! compared, and brings them to the scores that both have. `agreement` measures how alike these are,
//! `pictures` makes their heatmaps, and `tally` sums up.

pub(crate) mod agreement;
pub(crate) mod pairs;
pub(crate) mod pictures;
pub(crate) mod runs;
pub(crate) mod shared;
pub(crate) mod tally;
