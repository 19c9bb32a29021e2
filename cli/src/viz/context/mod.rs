//! The result of a context attribution, as running texts in which the tokens that matter are marked.
//!
//! A [`ContextView`] holds what is shown. `terminal` draws it as lines, `html` as a page.

mod html;
mod terminal;

mod marks;
mod view;

pub use html::{Page, write_page};
pub use terminal::render;
pub use view::{ContextView, Description};
