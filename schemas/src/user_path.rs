//! Paths as users type them: a leading `~` is the home folder.
//!
//! Shells expand `~` only in some places: not in quotes, not in `--root=~/tables`, and not in the
//! environment of a container. A folder that is really called `~` is never what the user meant.

/// Returns `path` with a leading `~` replaced by the home folder.
///
/// Fails if the home folder is unknown, or if `path` begins with another user's (`~name`).
pub fn expand(path: &str) -> Result<String, String> {
    expand_with(path, std::env::var("HOME").ok().as_deref())
}

fn expand_with(path: &str, home: Option<&str>) -> Result<String, String> {
    let Some(rest) = path.strip_prefix('~') else {
        return Ok(path.to_owned());
    };
    if !rest.is_empty() && !rest.starts_with('/') {
        return Err(format!(
            "home folders of other users are not looked up; write the whole path, or `./{path}` for \
             a name that begins with `~`"
        ));
    }
    match home.filter(|home| !home.is_empty()) {
        Some(home) => Ok(format!("{}{rest}", home.trim_end_matches('/'))),
        None => Err("`~` is unknown, because HOME is not set; write the whole path".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_leading_tilde_is_the_home_folder() {
        let expand = |path| expand_with(path, Some("/home/a/"));
        assert_eq!(expand("~"), Ok("/home/a".to_owned()));
        assert_eq!(expand("~/out"), Ok("/home/a/out".to_owned()));
        assert_eq!(expand("data/~/x"), Ok("data/~/x".to_owned()));
        assert_eq!(expand("s3://bucket/~"), Ok("s3://bucket/~".to_owned()));
        assert!(expand("~b/out").unwrap_err().contains("`./~b/out`"));
        assert!(expand_with("~/out", None).unwrap_err().contains("HOME"));
    }
}
