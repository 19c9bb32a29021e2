//! The digest of a table file, kept in the file itself.
//!
//! The value of one key of the footer is the BLAKE3 digest of all bytes of the file, counted with zeros
//! in the place of the digest. Whoever has the file can tell that it is whole: not cut, not doubled,
//! and with no bit changed. The file stays an ordinary Parquet file.

use std::ops::Range;

/// The key whose value is the digest.
pub(crate) const KEY: &str = "whence.digest";
/// Length of a digest in hexadecimal digits.
const LENGTH: usize = 64;
/// What stands in the place of a digest while it is computed.
pub(crate) const PLACEHOLDER: &str =
    "0000000000000000000000000000000000000000000000000000000000000000";
/// In the footer, Thrift's compact protocol writes the type and the length of a value before it: here
/// a binary field and [`LENGTH`], which fit into one byte each.
const BEFORE_VALUE: [u8; 2] = [0x18, LENGTH as u8];
/// The length of the footer and the magic number, which end every Parquet file.
const END: usize = 8;

/// Replaces the placeholder in `file` by the digest. Returns false if it has no placeholder.
#[must_use]
pub(crate) fn embed(file: &mut [u8]) -> bool {
    let Some(place) = place(file).filter(|place| file[place.clone()] == *PLACEHOLDER.as_bytes())
    else {
        return false;
    };
    let digest = blake3::hash(file).to_hex();
    file[place].copy_from_slice(digest.as_bytes());
    true
}

/// Returns the digest that a file holds if it is that of its bytes, otherwise what is wrong.
pub(crate) fn verified(file: &[u8]) -> Result<String, &'static str> {
    let place = place(file).ok_or("it has no digest")?;
    let found = &file[place.clone()];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&file[..place.start]);
    hasher.update(PLACEHOLDER.as_bytes());
    hasher.update(&file[place.end..]);
    let expected = hasher.finalize().to_hex();
    if found != expected.as_bytes() {
        return Err("its bytes are not those that were written: the digest differs");
    }
    Ok(expected.to_string())
}

/// Returns where the digest is. Nothing about the file is believed; only its end is searched.
fn place(file: &[u8]) -> Option<Range<usize>> {
    let end = file.len().checked_sub(END)?;
    let length: [u8; 4] = file[end..end + 4].try_into().ok()?;
    let start = end.checked_sub(u32::from_le_bytes(length) as usize)?;
    let pattern = [KEY.as_bytes(), &BEFORE_VALUE].concat();
    let footer = &file[start..end];
    let found = footer
        .windows(pattern.len())
        .position(|window| window == pattern)?;
    let value = start + found + pattern.len();
    (value + LENGTH <= end).then_some(value..value + LENGTH)
}
