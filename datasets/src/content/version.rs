//! What tells a version of a file on a server from the ones before and after it.
//!
//! Servers and stores give no digest of the bytes, but an entity tag that changes with them, or at
//! least the time of the last change. A job pins what there is, and every answer is compared with it.

use std::fmt;

/// A version of a file, as its server names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Version {
    /// The header `ETag`, with its quotes.
    Tag(String),
    /// The header `Last-Modified`.
    Modified(String),
}

const TAG: &str = "etag:";
const MODIFIED: &str = "modified:";

impl Version {
    /// Returns the version that the headers `ETag` and `Last-Modified` name; `None` if neither is
    /// there. Some stores list tags without the quotes that the header has.
    pub(crate) fn from_headers(tag: Option<&str>, modified: Option<&str>) -> Option<Self> {
        let tag = tag.map(|tag| match tag {
            tag if tag.ends_with('"') => Self::Tag(tag.to_owned()),
            tag => Self::Tag(format!("\"{tag}\"")),
        });
        tag.or_else(|| modified.map(|time| Self::Modified(time.to_owned())))
    }

    /// Reads what [`fmt::Display`] writes. `None` if it is something else, such as a digest.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let tag = text.strip_prefix(TAG).map(|tag| Self::Tag(tag.to_owned()));
        let modified = |text: &str| Some(Self::Modified(text.strip_prefix(MODIFIED)?.to_owned()));
        tag.or_else(|| modified(text))
    }

    /// Returns the value of the header `If-Match`. A weak tag never matches there.
    pub(crate) fn if_match(&self) -> Option<&str> {
        match self {
            Self::Tag(tag) if !tag.starts_with("W/") => Some(tag),
            Self::Tag(_) | Self::Modified(_) => None,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => write!(f, "{TAG}{tag}"),
            Self::Modified(time) => write!(f, "{MODIFIED}{time}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_as_it_was_written() {
        let time = "Wed, 25 Nov 2026 00:00:00 GMT";
        let strong = Version::from_headers(Some("\"a\""), Some(time)).unwrap();
        let weak = Version::from_headers(Some("W/\"a\""), None).unwrap();
        let dated = Version::from_headers(None, Some(time)).unwrap();
        assert_eq!(Version::from_headers(None, None), None);
        assert_eq!(
            Version::from_headers(Some("a"), None).as_ref(),
            Some(&strong)
        );
        for version in [&strong, &weak, &dated] {
            assert_eq!(Version::parse(&version.to_string()).as_ref(), Some(version));
        }
        assert_eq!(Version::parse("0123abcd"), None);
        let matches = [&strong, &weak, &dated].map(Version::if_match);
        assert_eq!(matches, [Some("\"a\""), None, None]);
    }
}
