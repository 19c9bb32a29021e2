//! Turns panics of a library into errors.
//!
//! The Parquet reader checks most of what it reads, but some damaged files make it panic. Such a
//! file should give an error that names it, like any other damage, rather than look like a bug in
//! whence.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `read`. If it panics, returns the panic's message as the error.
///
/// After an error, do not use anything that `read` was changing: it may be in an invalid state.
pub fn caught<T>(read: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(read)).map_err(|panic| message(panic.as_ref()))
}

/// Returns the message of a panic, or `no message` if its payload is not text.
pub fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_that_says_what_it_said() {
        let rows: Vec<u32> = Vec::new();
        assert!(caught(|| rows[3]).unwrap_err().contains("index is 3"));
        assert_eq!(caught(|| 1), Ok(1));
    }
}
