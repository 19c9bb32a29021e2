//! Damaged bytes that make a library panic are damaged bytes, and no defect of the process.
//!
//! The Parquet reader checks most of what it reads, not all. What it cannot take becomes an error
//! that names the file, as any other damage does.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `read`, whose panic becomes an error: what the panic said.
///
/// What `read` was changing must not be used again after an error.
pub fn caught<T>(read: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(read)).map_err(|panic| message(panic.as_ref()))
}

/// Returns what a panic said.
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
