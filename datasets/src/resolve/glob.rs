//! Patterns of file paths, with the meaning that `datasets` gives them.
//!
//! `*` and `?` stay within one component, `[a-z]` and `[!a-z]` are sets, and `**` stands for any
//! number of components but only as a whole one. There are no braces and no escapes: a special
//! character is taken literally inside a set, such as `[*]`.

use super::wildcard::{Piece, matches_name, pieces};

/// A pattern, joined to the folder that it is relative to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob {
    /// The part before the first special character, up to a slash. Taken literally.
    pub(super) folder: String,
    /// The components after `folder`. Empty if nothing in the pattern is special; `folder` is then
    /// the path of one file.
    components: Vec<Component>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Component {
    text: String,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// `**`
    AnyDepth,
    /// Anything else, as the pieces that a name must consist of.
    Name(Vec<Piece>),
}

impl Glob {
    /// Parses `pattern`, relative to `base` unless it begins with a slash or a scheme such as `s3://`.
    /// Nothing in `base` is special. Fails with the reason if the pattern has no meaning.
    pub(super) fn parse(base: &str, pattern: &str) -> Result<Self, String> {
        let base = match pattern {
            _ if pattern.contains("://") => "",
            _ if pattern.starts_with('/') => "/",
            _ => base,
        };
        let mut literal: Vec<&str> = match base.trim_end_matches('/') {
            "" if base.is_empty() => Vec::new(),
            base => base.split('/').collect(),
        };
        let mut components = Vec::new();
        for part in pattern.trim_start_matches('/').split('/') {
            match part {
                "." => {}
                // Only a leading `..` can be resolved without looking at the disk.
                ".." if components.is_empty() => {
                    if literal.len() <= num_of_root(&literal) {
                        return Err("it leaves the dataset".to_owned());
                    }
                    literal.pop();
                }
                ".." => return Err("`..` cannot follow a wildcard".to_owned()),
                _ if components.is_empty() && !is_magic(part) => literal.push(part),
                _ => components.push(Component::parse(part)?),
            }
        }
        Ok(Self {
            folder: literal.join("/"),
            components,
        })
    }

    /// Returns whether the pattern can match more than one path.
    pub(super) fn is_magic(&self) -> bool {
        !self.components.is_empty()
    }

    /// Returns how many folders deep a match can be below the literal one, if that is bounded.
    pub(super) fn depth(&self) -> Option<usize> {
        let is_bounded = self
            .components
            .iter()
            .all(|component| component.kind != Kind::AnyDepth);
        is_bounded.then_some(self.components.len())
    }

    /// Returns the last component as it was written.
    pub(super) fn last(&self) -> &str {
        match self.components.last() {
            Some(component) => &component.text,
            None => self.folder.rsplit('/').next().unwrap_or_default(),
        }
    }

    /// Returns whether a file matches. `path` is relative to the literal folder.
    ///
    /// A hidden file or folder must be asked for: as many components of the pattern as of the path
    /// must begin with a dot. The same holds for folders that begin with two underscores, such as
    /// `__pycache__`.
    pub(super) fn matches(&self, path: &str) -> bool {
        let names: Vec<&str> = path.split('/').collect();
        let parts: Vec<&str> = self
            .components
            .iter()
            .map(|component| component.text.as_str())
            .collect();
        num_hidden(&names) == num_hidden(&parts)
            && num_special(&names) == num_special(&parts)
            && matches(&self.components, &names)
    }
}

/// Returns how many components the root of a path has, above which there is nothing: the one before
/// the first slash, or the scheme and the bucket of `s3://bucket/folder`.
fn num_of_root(literal: &[&str]) -> usize {
    match literal {
        ["", ..] => 1,
        [scheme, "", ..] if scheme.ends_with(':') => 3,
        _ => 0,
    }
}

/// Returns whether a path component has a special character.
pub fn is_magic(part: &str) -> bool {
    part.contains(['*', '?', '['])
}

/// Returns a pattern that matches exactly `text`.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '*' | '?' | '[' => escaped.extend(['[', c, ']']),
            _ => escaped.push(c),
        }
    }
    escaped
}

fn num_hidden(parts: &[&str]) -> usize {
    let is_hidden = |part: &&&str| part.starts_with('.') && part.contains(|c| c != '.');
    parts.iter().filter(is_hidden).count()
}

fn num_special(parts: &[&str]) -> usize {
    let folders = parts.split_last().map_or(&[][..], |(_, folders)| folders);
    folders.iter().filter(|part| part.starts_with("__")).count()
}

fn matches(components: &[Component], names: &[&str]) -> bool {
    let Some((first, others)) = components.split_first() else {
        return names.is_empty();
    };
    match &first.kind {
        // At the end it takes at least the name of the file; elsewhere it may stand for nothing.
        Kind::AnyDepth if others.is_empty() => !names.is_empty(),
        Kind::AnyDepth => (0..=names.len()).any(|skipped| matches(others, &names[skipped..])),
        Kind::Name(pieces) => names.split_first().is_some_and(|(name, rest)| {
            let name: Vec<char> = name.chars().collect();
            matches_name(pieces, &name) && matches(others, rest)
        }),
    }
}

impl Component {
    fn parse(text: &str) -> Result<Self, String> {
        let kind = if text == "**" {
            Kind::AnyDepth
        } else if text.contains("**") {
            return Err("`**` must be a whole component, such as `data/**/*.csv`".to_owned());
        } else if text == "*" {
            // A name has at least one character.
            Kind::Name(vec![Piece::AnyOne, Piece::AnyRun])
        } else {
            Kind::Name(pieces(text))
        };
        Ok(Self {
            text: text.to_owned(),
            kind,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_match(pattern: &str, path: &str) -> bool {
        let glob = Glob::parse("", pattern).unwrap();
        let rest = if glob.folder.is_empty() {
            Some(path)
        } else if glob.is_magic() {
            path.strip_prefix(&format!("{}/", glob.folder))
        } else {
            return glob.folder == path;
        };
        rest.is_some_and(|rest| glob.matches(rest))
    }

    #[test]
    fn patterns_match_what_they_match_in_datasets() {
        let yes = [
            ("**", "a/b.csv"),
            ("**/*.csv", "a.csv"),
            ("**/*.csv", "x/y/a.csv"),
            ("data/*.csv", "data/a.csv"),
            ("./data/*.csv", "data/a.csv"),
            ("**/train/**", "x/train/y/a.csv"),
            ("**/train[-._ 0-9]*", "x/train-0.csv"),
            ("a[!b]c", "axc"),
            ("a[]]c", "a]c"),
            ("a[", "a["),
            ("[a-c-e]", "-"),
            ("*-[0-9]*.*", "train-1.a-2.csv"),
            (".*", ".hidden.csv"),
            (".git/*", ".git/a.csv"),
            ("__x__/*", "__x__/a.csv"),
            ("*a*b*c", "xaybzzbc"),
        ];
        let no = [
            ("*.csv", "x/a.csv"),
            ("data/**", "a.csv"),
            ("**/train/**", "x/trainer/a.csv"),
            ("**/train/**", "train"),
            ("**/train[-._ 0-9]*", "x/trainer.csv"),
            ("a[!b]c", "abc"),
            ("[z-a]", "b"),
            ("**", ".hidden.csv"),
            ("**", ".git/a.csv"),
            ("**", "__pycache__/a.csv"),
            ("*/b.txt", "__pycache__/b.txt"),
            (".*/*", ".hidden_dir/a.txt\n/"),
            ("*a*b*c", "xaybzzb"),
        ];
        for (pattern, path) in yes {
            assert!(is_match(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in no {
            assert!(!is_match(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn the_folder_before_the_first_wildcard_is_literal() {
        let glob = |base, pattern| {
            let glob = Glob::parse(base, pattern).unwrap();
            (glob.folder.clone(), glob.depth())
        };
        assert_eq!(glob("/d[1]", "a/*.csv"), ("/d[1]/a".to_owned(), Some(1)));
        assert_eq!(glob("/d", "../e/**"), ("/e".to_owned(), None));
        assert_eq!(glob("/d", "/x/*/y"), ("/x".to_owned(), Some(2)));
        assert_eq!(glob("", "data/a.csv"), ("data/a.csv".to_owned(), Some(0)));
        assert_eq!(glob("/", "*.csv"), (String::new(), Some(1)));
        assert_eq!(glob("/", "a.csv"), ("/a.csv".to_owned(), Some(0)));
        assert_eq!(
            glob("/d", "s3://b/a/*.csv"),
            ("s3://b/a".to_owned(), Some(1))
        );
        assert_eq!(glob("s3://b/a", "../c/*"), ("s3://b/c".to_owned(), Some(1)));
        assert!(Glob::parse("s3://b", "../c").is_err());
        assert!(Glob::parse("", "../a").is_err());
        assert!(Glob::parse("/", "../a").is_err());
        assert!(Glob::parse("", "a**/b").is_err());
        assert!(is_match(&escape("a*[x]?"), "a*[x]?"));
    }
}
