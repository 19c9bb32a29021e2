//! From an example's texts to an instance that methods explain.
//!
//! `texts` encodes texts (`continuation` explains why a text does not continue its prompt).
//! `contrast` encodes what an example is contrasted with, and pairs the positions of the two with
//! `alignment` and `likeness`. `instances` puts everything together.

mod continuation;
mod texts;

mod alignment;
mod contrast;
mod likeness;

mod instances;

pub(crate) use texts::{Encoded, Encoder, Target};
