//! A Hugging Face Hub on loopback, for tests.
//!
//! It serves repositories from folders or from memory, over the routes that `huggingface_hub`,
//! `datasets` and whence use, and it fails on demand. Large files are served from a second port, as
//! the Hub serves them from another host, so that tests can see who is sent the access token.
//!
//! ```no_run
//! # async fn example() {
//! use whence_fake_hub::{Fault, FaultKind, FakeHub};
//!
//! let hub = FakeHub::start().await;
//! hub.publish("datasets", "ns/name", "main", &[("data.csv", b"text\nhello\n")]);
//! hub.inject(Fault::new("data.csv", FaultKind::Status(500)));
//! println!("HF_ENDPOINT={}", hub.endpoint());
//! # }
//! ```

mod answer;
mod bytes;
mod content;
mod fault;
mod log;
mod repos;
mod route;
mod server;

pub use fault::{Fault, FaultKind};
pub use log::Logged;
pub use repos::Access;
pub use server::FakeHub;
