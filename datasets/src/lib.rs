//! Datasets: finds the files of a dataset and reads them as numbered rows.
//!
//! * [`resolve`](mod@resolve) finds the files of each split, as `load_dataset` finds them, here or
//!   anywhere else.
//! * [`pin`](mod@pin) lists those that are needed, so that a later reader can tell if one changed.
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
mod files;
pub mod format;
pub mod formats;
pub mod pin;
pub mod read;
pub mod resolve;
pub mod split;
pub mod template;

pub use content::{Content, Copies, SharedContent};
pub use error::Error;
pub use field::{Cell, FieldPath, nearest_name};
pub use files::local_path;
pub use format::{Format, Row, RowReader};
pub use pin::{Pinned, files_of, members_of, open, open_at, pin};
pub use read::DatasetReader;
pub use resolve::{Notice, Resolved, Source, env_hub as hub, resolve};
pub use split::Split;
pub use template::Template;
