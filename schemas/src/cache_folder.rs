//! The folder on this machine where whence keeps what it can make or fetch again.

use std::path::{Path, PathBuf};

/// Returns the cache folder: `$WHENCE_CACHE`, else `$XDG_CACHE_HOME/whence`, else
/// `~/.cache/whence`. `variable` looks up an environment variable.
pub fn cache_folder(variable: impl Fn(&str) -> Option<String>) -> PathBuf {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    set("WHENCE_CACHE")
        .map(PathBuf::from)
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| Path::new(&cache).join("whence")))
        .or_else(|| set("HOME").map(|home| Path::new(&home).join(".cache/whence")))
        .unwrap_or_else(|| std::env::temp_dir().join("whence"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_that_is_most_specific_decides() {
        let folder = |set: &[(&str, &str)]| {
            cache_folder(|name| {
                let found = set.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        let home = ("HOME", "/h");
        let (own, shared) = (("WHENCE_CACHE", "/w"), ("XDG_CACHE_HOME", "/x"));
        assert_eq!(folder(&[home, shared, own]), Path::new("/w"));
        assert_eq!(folder(&[home, shared]), Path::new("/x/whence"));
        assert_eq!(
            folder(&[home, ("WHENCE_CACHE", "")]),
            Path::new("/h/.cache/whence")
        );
        assert_eq!(folder(&[]), std::env::temp_dir().join("whence"));
    }
}
