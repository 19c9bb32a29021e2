//! The names of columns and the words for missing values, as pandas has them.

use std::collections::{HashMap, HashSet};

/// The cells that are null.
const NA_WORDS: [&str; 19] = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
];

/// Returns whether a cell stands for a missing value, quoted or not.
pub(super) fn is_na(cell: &str) -> bool {
    // The longest word has 9 bytes. Most cells are texts, and longer.
    cell.len() <= 9 && NA_WORDS.contains(&cell)
}

/// Returns the names of the columns under a header line: a column without a name is called
/// `Unnamed: 1` by its place, and a second `text` becomes `text.1`.
pub(super) fn column_names(header: Vec<String>) -> Vec<String> {
    let unnamed: Vec<usize> = (0..header.len())
        .filter(|&column| header[column].is_empty())
        .collect();
    let mut names = header;
    for &column in &unnamed {
        names[column] = format!("Unnamed: {column}");
    }
    let given: HashSet<String> = names.iter().cloned().collect();
    let mut uses: HashMap<String, usize> = HashMap::new();
    // Names that were given are kept before those that were made up.
    let named = (0..names.len()).filter(|column| !unnamed.contains(column));
    for column in named.chain(unnamed.iter().copied()) {
        let first = names[column].clone();
        let mut name = first.clone();
        let mut count = uses.get(&name).copied().unwrap_or(0);
        while count > 0 {
            uses.insert(first.clone(), count + 1);
            name = format!("{first}.{count}");
            count = if given.contains(&name) {
                count + 1
            } else {
                uses.get(&name).copied().unwrap_or(0)
            };
        }
        uses.insert(name.clone(), count + 1);
        names[column] = name;
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(header: &str) -> String {
        column_names(header.split(',').map(str::to_owned).collect()).join(",")
    }

    /// The values are those of pandas 3.1.
    #[test]
    fn names_are_made_unique_as_pandas_does() {
        assert_eq!(named("a,a,a"), "a,a.1,a.2");
        assert_eq!(named("a,a,a.1"), "a,a.2,a.1");
        assert_eq!(named("a,a.1,a"), "a,a.1,a.2");
        assert_eq!(named("a,,b"), "a,Unnamed: 1,b");
        assert_eq!(named("a,,Unnamed: 1"), "a,Unnamed: 1.1,Unnamed: 1");
    }
}
