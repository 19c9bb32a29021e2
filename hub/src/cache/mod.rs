//! The cache on disk, in the layout that `huggingface_hub` reads and writes.
//!
//! ```text
//! models--ns--name/refs/<revision>             the commit of a branch or tag
//! models--ns--name/blobs/<digest>              the bytes, named by what they hash to
//! models--ns--name/snapshots/<commit>/<path>   a link to a blob
//! models--ns--name/.no_exist/<commit>/<path>   an empty file: the snapshot has no such file
//! models--ns--name/trees/<commit>.json         all files of a snapshot
//! models--ns--name/whence/<commit>/…           links to the files that a model needs; ours alone
//! .locks/models--ns--name/<digest>.lock        held while a blob is written
//! ```
//!
//! A blob may itself be a link, into the store of Xet files that repositories share. So everything
//! here follows links, and only a blob that is complete and verified ever gets its name.

mod layout;
mod link;
mod listing;
mod lock;
mod whole_file;

pub(crate) use layout::Cache;
pub(crate) use link::BlobAge;
pub use lock::FileLock;
