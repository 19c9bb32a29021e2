//! Files of attributions in the format of Inseq: `inseq.FeatureAttributionOutput.load(path)` reads
//! what [`InseqFile`] writes, and [`SavedAttributions`] reads what Inseq's `save` writes.
//!
//! A file is JSON, which may be compressed with gzip. Each score map in it is a safetensors file
//! with one tensor, in base64. The class name of an example says how it is aggregated by default:
//! not at all if there is already one score per token, by vector norm for gradients, by mean for
//! attention. Both directions hold one example at a time, whatever the length of the file.

mod blob;
mod characters;
mod class;
mod info;
mod model_classes;
mod python_json;
mod read;
mod write;
mod written;

pub use blob::Precision;
pub use info::Outline;
pub use model_classes::ModelClasses;
pub use read::{SavedAttributions, SavedExample};
pub use write::{InseqFile, Origin};
