//! Text and weights: the same ids, logits and greedy texts as transformers.
//!
//! Goldens and small models are made by `generate.py` beside this file. `tests/optional` compares the
//! real SmolLM2.

#![allow(
    clippy::unwrap_used,
    reason = "a suite stops where a fixture is not what it must be"
)]

mod chat;
mod damaged;
mod gguf;
mod offsets;
mod pytorch;
mod unserved;
mod vocabularies;
