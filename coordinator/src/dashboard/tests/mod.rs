//! The pages, asked for over HTTP from a coordinator that is served.

mod access;
mod browser;
mod following;
mod showing;
