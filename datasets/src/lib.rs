//! Datasets: finds the files of a dataset and reads them as numbered rows.
//!
//! * [`files`] finds the files and describes them, so that a later reader can tell if one changed.
//! * [`Split`] is the grammar that selects rows of them: `train[:20]`.
//! * [`content`] gives the bytes of a file, wherever it is and however it is compressed.
//! * [`formats`] is the table of formats. Each opens a file as a [`RowReader`], which gives the
//!   fields that were asked for as [`Cell`]s.
//!
//! Three things must stay true. Rows are streamed: no file is ever held in memory as a whole, and
//! reading can start in the middle of a file. A row that cannot be read is an error in that row's
//! place, while a file that cannot be read is an error of its own. And nothing here knows what a
//! job, a shard or a model is.

pub mod content;
pub mod error;
pub mod field;
pub mod files;
pub mod format;
pub mod formats;
pub mod split;
pub mod template;

pub use content::{Content, Copies, SharedContent};
pub use error::Error;
pub use field::{Cell, FieldPath, nearest_name};
pub use files::{describe, format_of, local_path, verify};
pub use format::{Format, Row, RowReader};
pub use split::Split;
pub use template::Template;
