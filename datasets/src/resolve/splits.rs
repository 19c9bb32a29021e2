//! Finds the splits of a dataset that does not say which files they have.
//!
//! The first of these that finds a file decides: files `data/{split}-00000-of-00001*`, whatever the
//! split's name; a folder that is named for a split; a file that is; and then everything is `train`.

use super::find::{Finder, Patterns, Taken};
use crate::Error;
use crate::split::is_split_name;

/// Words that stand for a split, bounded by one of [`BOUNDARY`]. The order is that of the splits.
const KEYWORDS: &[(&str, &[&str])] = &[
    ("train", &["train", "training"]),
    ("validation", &["validation", "valid", "dev", "val"]),
    ("test", &["test", "testing", "eval", "evaluation"]),
];

/// The set of characters that bound a keyword.
const BOUNDARY: &str = "[-._ 0-9]";

/// The ending of a shard's name.
const SHARD: &str = "-[0-9][0-9][0-9][0-9][0-9]-of-[0-9][0-9][0-9][0-9][0-9]*.*";

/// Returns the patterns of each split of the files below `base`. Empty if there are no files.
pub(super) fn patterns(finder: &Finder<'_>, base: &str) -> Result<Patterns, Error> {
    let sharded = sharded(finder, base)?;
    if !sharded.is_empty() {
        return Ok(sharded);
    }
    let everything = vec![("train", vec!["**".to_owned()])];
    let tables = [
        vec![("logs", vec!["**/*.eval".to_owned()])],
        vec![(
            "test",
            ["**/task.toml", "**/instruction.md"]
                .map(str::to_owned)
                .to_vec(),
        )],
        by_keyword(in_folders),
        by_keyword(in_file_names),
        everything,
    ];
    for table in tables {
        let mut found = Vec::new();
        for (split, patterns) in table {
            if any_matches(finder, base, &patterns)? {
                found.push((split.to_owned(), patterns));
            }
        }
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Patterns::new())
}

fn any_matches(finder: &Finder<'_>, base: &str, patterns: &[String]) -> Result<bool, Error> {
    for pattern in patterns {
        if !finder.matches(base, pattern, Taken::All)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns the patterns of files such as `data/train-00000-of-00002.parquet`.
fn sharded(finder: &Finder<'_>, base: &str) -> Result<Patterns, Error> {
    let found = finder.matches(base, &format!("data/*{SHARD}"), Taken::All)?;
    let mut splits: Vec<&str> = found
        .iter()
        .filter_map(|path| split_of_shard(path))
        .collect();
    if let Some(wrong) = splits.iter().find(|split| !is_split_name(split)) {
        return Err(Error::Split {
            split: (*wrong).to_owned(),
            reason: "a file of `data/` gives this name to a split; a name has only letters, \
                     digits, `_` and `.`"
                .to_owned(),
        });
    }
    let known = |split: &str| KEYWORDS.iter().position(|(name, _)| *name == split);
    splits.sort_unstable_by_key(|split| (known(split).unwrap_or(KEYWORDS.len()), *split));
    splits.dedup();
    let pattern = |split: &str| vec![format!("data/{split}{SHARD}")];
    Ok(splits
        .into_iter()
        .map(|split| (split.to_owned(), pattern(split)))
        .collect())
}

/// Returns what is before the last `-ddddd-of-ddddd` of a file name.
fn split_of_shard(path: &str) -> Option<&str> {
    let name = path.rsplit('/').next()?;
    let is_shard = |rest: &str| {
        let bytes = rest.as_bytes();
        let digits = |range: std::ops::Range<usize>| {
            bytes
                .get(range)
                .is_some_and(|part| part.iter().all(u8::is_ascii_digit))
        };
        bytes.first() == Some(&b'-')
            && digits(1..6)
            && bytes.get(6..10) == Some(b"-of-")
            // The fifth digit need not be there: `datasets` takes its own pattern for a regular
            // expression here, in which `[0-9]*` is any number of digits.
            && digits(10..14)
    };
    let ends = name.char_indices().map(|(at, _)| at).rev();
    let mut ends = ends.filter(|&at| at > 0 && is_shard(&name[at..]));
    ends.next().map(|end| &name[..end])
}

fn by_keyword(patterns: fn(&str) -> Vec<String>) -> Vec<(&'static str, Vec<String>)> {
    let of_split = |(split, words): &(&'static str, &[&str])| {
        (
            *split,
            words.iter().flat_map(|word| patterns(word)).collect(),
        )
    };
    KEYWORDS.iter().map(of_split).collect()
}

fn in_folders(word: &str) -> Vec<String> {
    vec![
        format!("**/{word}/**"),
        format!("**/{word}{BOUNDARY}*/**"),
        format!("**/*{BOUNDARY}{word}/**"),
        format!("**/*{BOUNDARY}{word}{BOUNDARY}*/**"),
    ]
}

fn in_file_names(word: &str) -> Vec<String> {
    vec![
        format!("**/{word}{BOUNDARY}*"),
        format!("**/*{BOUNDARY}{word}{BOUNDARY}*"),
    ]
}
