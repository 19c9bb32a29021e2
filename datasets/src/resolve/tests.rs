//! Resolves listings of paths, which need no files.

use super::listing::{Listing, listing, names};
use super::*;

fn repository() -> DatasetLocation {
    DatasetLocation::of(DatasetOrigin::Hub {
        repository: "a/b".to_owned(),
        commit: "0".repeat(40),
        is_export: false,
    })
}

/// Returns the splits as text: `train: a.csv b.csv; test: c.csv`.
fn splits(location: &DatasetLocation, source: &Listing) -> String {
    match resolve(location, source) {
        Ok(resolved) => {
            let splits = resolved.splits.iter();
            let splits: Vec<_> = splits
                .map(|(split, files)| format!("{split}: {}", files.join(" ")))
                .collect();
            splits.join("; ")
        }
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn names_of_folders_and_files_tell_the_splits() {
    let table: &[(&[&str], &str)] = &[
        (&["b.csv", "a.csv", "README.md"], "train: a.csv b.csv"),
        (
            &["test.csv", "train.csv"],
            "train: train.csv; test: test.csv",
        ),
        (
            &["x-dev.csv", "y/valid_1.csv"],
            "validation: y/valid_1.csv x-dev.csv",
        ),
        // A folder's name comes before a file's.
        (
            &["train/test.csv", "train/a.csv"],
            "train: train/a.csv train/test.csv",
        ),
        (
            &[
                "data/fr-00000-of-00001.parquet",
                "data/train-00000-of-00002-x.parquet",
                "test.parquet",
            ],
            "train: data/train-00000-of-00002-x.parquet; fr: data/fr-00000-of-00001.parquet",
        ),
        // A file that two patterns match is read twice.
        (
            &["train-train.csv"],
            "train: train-train.csv train-train.csv",
        ),
        // What is not of the format is left out, and so is what is hidden.
        (
            &[
                "a.csv",
                "b.csv",
                "c.jsonl",
                ".d.csv",
                "__x__/e.csv",
                "config.json",
            ],
            "train: a.csv b.csv",
        ),
        (&["latest.csv"], "train: latest.csv"),
        // Both are read as JSON.
        (
            &["train.json", "test.jsonl"],
            "train: train.json; test: test.jsonl",
        ),
    ];
    for (files, expected) in table {
        assert_eq!(&splits(&repository(), &names(files)), expected, "{files:?}");
    }
}

#[test]
fn what_whence_has_no_reader_for_is_refused_by_name() {
    let table: &[(&[&str], &str)] = &[
        (&["a.png", "b.png", "metadata.csv"], "`imagefolder`"),
        (&["x/run.eval", "a.csv"], "`eval`"),
        (&["x/task.toml", "a.csv"], "`harbor`"),
        (&["a.tar"], "`webdataset`"),
        (&["README.md"], "no data file"),
        (&["a.unknown"], "no data file"),
        (
            &["train.csv", "test.jsonl"],
            "`train` are of `csv`, those of `test` of `json`",
        ),
    ];
    for (files, expected) in table {
        let error = splits(&repository(), &names(files));
        assert!(error.contains(expected), "{files:?} {error}");
    }
}

const CARD: &str = "---
configs:
- config_name: en
  data_files:
  - {split: train, path: en/*.csv}
  - {split: held.out, path: [en/x.tsv]}
  sep: ';'
- config_name: fr
  data_dir: fr
---
";

fn with_card(card: &str) -> Listing {
    let empty = [
        "en/a.csv",
        "en/b.csv",
        "en/x.tsv",
        "fr/test.csv",
        "fr/train.csv",
    ];
    let mut files: Vec<_> = empty.map(|path| (path, "")).to_vec();
    files.push(("README.md", card));
    listing(&files)
}

#[test]
fn a_configuration_of_the_card_is_chosen_by_name_or_default() {
    let of = |config: &str| DatasetLocation {
        config: Some(config.to_owned()),
        ..repository()
    };
    let error = splits(&repository(), &with_card(CARD));
    assert!(
        error.contains("`csv`, those of `held.out` of `csv` with tabs"),
        "{error}"
    );
    let card = CARD.replace("en/x.tsv", "en/b.csv");
    let source = with_card(&card);
    let error = splits(&repository(), &source);
    assert!(error.contains("`en`, `fr`"), "{error}");
    let error = splits(&of("fz"), &source);
    assert!(error.contains("did you mean `fr`"), "{error}");
    assert_eq!(
        splits(&of("en"), &source),
        "train: en/a.csv en/b.csv; held.out: en/b.csv"
    );
    assert_eq!(
        splits(&of("fr"), &source),
        "train: fr/train.csv; test: fr/test.csv"
    );
    let english = resolve(&of("en"), &source).unwrap();
    assert_eq!(english.format.options.sep.as_deref(), Some(";"));
    let card = card.replace("  data_dir: fr", "  data_dir: fr\n  default: true");
    let source = with_card(&card);
    assert_eq!(
        splits(&repository(), &source),
        "train: fr/train.csv; test: fr/test.csv"
    );
}

#[test]
fn files_that_are_asked_for_replace_those_of_the_card() {
    let source = with_card(CARD);
    let files = DatasetLocation {
        data_files: vec!["fr/*".to_owned(), "en/a.csv".to_owned()],
        ..repository()
    };
    assert_eq!(
        splits(&files, &source),
        "train: fr/test.csv fr/train.csv en/a.csv"
    );
    let folder = DatasetLocation {
        data_dir: Some("fr".to_owned()),
        ..repository()
    };
    assert_eq!(
        splits(&folder, &source),
        "train: fr/train.csv; test: fr/test.csv"
    );
    let missing = DatasetLocation {
        data_files: vec!["fr/none.csv".to_owned()],
        ..repository()
    };
    assert!(splits(&missing, &source).contains("fr/none.csv"));
}

#[test]
fn arguments_that_cannot_be_honored_are_refused_by_name() {
    let error = splits(
        &repository(),
        &with_card(
            "---\nconfigs:\n- config_name: a\n  data_files: en/*.csv\n  skipfooter: 2\n---\n",
        ),
    );
    assert!(error.contains("`skipfooter: 2`"), "{error}");
    let source = with_card(
        "---\nconfigs:\n- {config_name: a, data_files: en/*.csv, colour: red, skipfooter: 0}\n---\n",
    );
    let resolved = resolve(&repository(), &source).unwrap();
    let names = vec!["colour".to_owned()];
    let config = "a".to_owned();
    assert_eq!(
        resolved.notices,
        [Notice::UnknownArguments { config, names }]
    );
    let mut location = repository();
    location.arguments.insert("colour".to_owned(), "red".into());
    assert!(splits(&location, &source).contains("`--dataset-kwargs` asks for `colour: \"red\"`"));
}

#[test]
fn archives_are_read_as_what_is_in_them() {
    let source = listing(&[("a.zip", "x.jsonl y.jsonl z.csv"), ("b.zip", "x.csv")]);
    let resolved = resolve(&repository(), &source).unwrap();
    assert_eq!(resolved.format.name.as_str(), "json");
    assert_eq!(splits(&repository(), &source), "train: a.zip b.zip");
}

#[test]
fn folders_of_the_hubs_own_copy_are_configurations_and_splits() {
    let location = |config: Option<&str>| {
        let DatasetOrigin::Hub {
            repository, commit, ..
        } = repository().origin
        else {
            unreachable!("it is on the Hub");
        };
        DatasetLocation {
            config: config.map(str::to_owned),
            ..DatasetLocation::of(DatasetOrigin::Hub {
                repository,
                commit,
                is_export: true,
            })
        }
    };
    let source = names(&[
        "en/held_out/0000.parquet",
        "en/train/0001.parquet",
        "en/train/0000.parquet",
        "fr/partial-train/0000.parquet",
        ".gitattributes",
    ]);
    assert_eq!(
        splits(&location(Some("en")), &source),
        "train: en/train/0000.parquet en/train/0001.parquet; held_out: en/held_out/0000.parquet"
    );
    let french = resolve(&location(Some("fr")), &source).unwrap();
    let split = "train".to_owned();
    assert_eq!(french.notices, [Notice::PartialSplit { split }]);
    assert!(splits(&location(None), &source).contains("`en`, `fr`"));
    assert!(splits(&location(Some("de")), &source).contains("`en`, `fr`"));
}
