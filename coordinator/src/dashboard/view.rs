//! A page without what all pages have.

use super::markup::Markup;
use super::region::Region;

/// The part of the navigation that a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tab {
    Jobs,
    Workers,
    Schedules,
}

/// A page, without its head and its navigation.
#[derive(Debug)]
pub(super) struct View {
    pub(super) title: String,
    pub(super) tab: Tab,
    pub(super) body: Markup,
    /// The parts that change while the page is open; none if it does not change.
    pub(super) regions: Vec<Region>,
}
