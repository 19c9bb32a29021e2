//! From an example's texts to an instance that methods explain.
//!
//! `texts` turns texts into tokens (`continuation` says where a text leaves its prompt), `contrast` does it for what an example is contrasted with and
//! pairs the positions of both by `alignment` and `likeness`, `instances` puts everything together.

mod continuation;
mod texts;

mod alignment;
mod contrast;
mod likeness;

mod instances;

pub(crate) use texts::{Encoded, Encoder, Target};
