//! An example of a page as a block of JSON.
//!
//! Scores are base64 of little-endian float32, column by column, which takes 5.3 bytes per score and
//! loses no digit. A column ends after its last score, so the empty half of a prefix heatmap takes no
//! room. What a heatmap shares with the one before it is left out: its columns and step scores.

use std::io::{self, Write};

use data_encoding::BASE64;
use serde::Serialize;

use super::entry::{Entry, Picture};
use crate::viz::heatmap::{Axes, Column, Heatmap};
use crate::viz::label::Label;

/// Bits of a score that is missing between others. They are a NaN that no computation gives.
const NO_SCORE: u32 = u32::MAX;

#[derive(Serialize)]
struct Example<'a> {
    name: String,
    anchor: String,
    texts: &'a [(&'a str, &'a str)],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    measures: &'a [(&'a str, Option<f64>)],
    limit: f32,
    maps: Vec<Map<'a>>,
}

#[derive(Serialize)]
struct Map<'a> {
    title: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    run: &'a str,
    axes: &'static str,
    rows: Tokens<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    columns: Option<Tokens<'a>>,
    /// The row of each column's token.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    at: Vec<usize>,
    scores: String,
    /// Number of scores per column; left out if each column has one per row.
    #[serde(skip_serializing_if = "Option::is_none")]
    lengths: Option<Vec<usize>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<Vec<(&'a str, String)>>,
}

#[derive(Serialize)]
struct Tokens<'a> {
    #[serde(rename = "tokens")]
    texts: Vec<&'a str>,
    /// The vocabulary entries, if any of them is not what is shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    raw: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    contrast: Vec<Option<&'a str>>,
}

/// Writes the block of an example.
pub(super) fn write(mut out: impl Write, entry: &Entry<'_>) -> io::Result<()> {
    let name = entry.id.to_string();
    let limits = entry
        .pictures
        .iter()
        .map(|picture| match picture.heatmap.axes {
            // They have a scale of their own.
            Axes::Stack => 0.0,
            Axes::Source | Axes::Prefix => picture.heatmap.example_limit,
        });
    let example = Example {
        anchor: name.replace(", ", "-").replace(' ', "-"),
        name,
        texts: entry.texts,
        measures: entry.measures,
        limit: limits.fold(0.0, f32::max),
        maps: maps(entry.pictures),
    };
    let json = serde_json::to_string(&example)?;
    // JSON has `<` only within strings. Without it, the block cannot end early.
    let json = json.replace('<', "\\u003c");
    writeln!(
        out,
        "<script type=\"application/json\" class=\"example\">{json}</script>"
    )
}

fn maps<'a>(pictures: &[Picture<'a>]) -> Vec<Map<'a>> {
    let mut before: Option<&Heatmap> = None;
    let mut maps = Vec::with_capacity(pictures.len());
    for picture in pictures {
        let map = Map::new(*picture, before);
        before = Some(picture.heatmap);
        maps.push(map);
    }
    maps
}

impl<'a> Map<'a> {
    fn new(Picture { run, heatmap }: Picture<'a>, before: Option<&Heatmap>) -> Self {
        let heads = |heatmap: &Heatmap| -> Vec<_> {
            let columns = heatmap.columns.iter();
            columns
                .map(|column| (column.token.clone(), column.contrast.clone()))
                .collect()
        };
        let has_same_columns = before.is_some_and(|before| heads(before) == heads(heatmap));
        let has_same_steps = before.is_some_and(|before| before.step_scores == heatmap.step_scores);
        let (scores, lengths) = scores(heatmap);
        let steps = heatmap.step_scores.iter();
        let steps = steps.map(|(name, values)| (name.as_str(), encoded(values.iter().copied())));
        Self {
            title: &heatmap.title,
            run,
            axes: match heatmap.axes {
                Axes::Source => "source",
                Axes::Prefix => "prefix",
                Axes::Stack => "stack",
            },
            rows: Tokens::new(heatmap.rows.iter().map(|row| &row.token)),
            columns: (!has_same_columns).then(|| Tokens::of_columns(&heatmap.columns)),
            at: heatmap
                .columns
                .iter()
                .filter_map(|column| column.row)
                .collect(),
            scores,
            lengths,
            steps: (!has_same_steps).then(|| steps.collect()),
        }
    }
}

impl<'a> Tokens<'a> {
    fn new(labels: impl Iterator<Item = &'a Label> + Clone) -> Self {
        let is_decoded = labels.clone().any(|label| label.text != label.raw);
        Self {
            texts: labels.clone().map(|label| label.text.as_str()).collect(),
            raw: (labels.filter(|_| is_decoded))
                .map(|label| label.raw.as_str())
                .collect(),
            contrast: Vec::new(),
        }
    }

    fn of_columns(columns: &'a [Column]) -> Self {
        let contrasts = columns.iter().map(|column| column.contrast.as_ref());
        let has_contrast = contrasts.clone().any(|contrast| contrast.is_some());
        let texts = contrasts.map(|contrast| contrast.map(|label| label.text.as_str()));
        Self {
            contrast: texts.filter(|_| has_contrast).collect(),
            ..Self::new(columns.iter().map(|column| &column.token))
        }
    }
}

/// Returns the scores of all columns, and how many each has unless all have one per row.
fn scores(heatmap: &Heatmap) -> (String, Option<Vec<usize>>) {
    let columns = 0..heatmap.columns.len();
    let length = |column: usize| {
        let last = heatmap
            .rows
            .iter()
            .rposition(|row| row.scores[column].is_some());
        last.map_or(0, |last| last + 1)
    };
    let lengths: Vec<_> = columns.clone().map(length).collect();
    let scores = columns.flat_map(|column| {
        let rows = heatmap.rows[..lengths[column]].iter();
        rows.map(move |row| row.scores[column].unwrap_or(f32::from_bits(NO_SCORE)))
    });
    let encoded = encoded(scores);
    let is_full = lengths.iter().all(|length| *length == heatmap.rows.len());
    (encoded, (!is_full).then_some(lengths))
}

fn encoded(values: impl Iterator<Item = f32>) -> String {
    let bytes: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
    BASE64.encode(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::viz::heatmap::HeatmapRow;

    fn heatmap(axes: Axes, rows: &[(&str, [Option<f32>; 2])]) -> Heatmap {
        let column = |text: &str| Column {
            token: Label::of_raw(text),
            contrast: None,
            row: None,
        };
        Heatmap {
            title: "t".to_owned(),
            axes,
            columns: vec![column("c"), column("d")],
            rows: (rows.iter())
                .map(|(token, scores)| HeatmapRow {
                    token: Label::of_raw(token),
                    scores: scores.to_vec(),
                })
                .collect(),
            step_scores: vec![("probability".to_owned(), vec![0.5, 0.25])],
            example_limit: 1.0,
        }
    }

    fn floats(text: &str) -> Vec<f32> {
        let bytes = BASE64.decode(text.as_bytes()).unwrap();
        let words = bytes.chunks_exact(4);
        words
            .map(|word| f32::from_le_bytes(word.try_into().unwrap()))
            .collect()
    }

    #[test]
    fn columns_end_after_their_last_score() {
        let prefix = heatmap(
            Axes::Prefix,
            &[
                ("a", [Some(0.5), Some(-0.25)]),
                ("b", [None, None]),
                ("c", [None, Some(f32::INFINITY)]),
                ("d", [None, None]),
            ],
        );
        let (encoded, lengths) = scores(&prefix);
        assert_eq!(lengths, Some(vec![1, 3]));
        let read = floats(&encoded);
        assert_eq!(read[..2], [0.5, -0.25]);
        assert_eq!(read[2].to_bits(), NO_SCORE);
        assert_eq!(read[3], f32::INFINITY);
        let source = heatmap(Axes::Source, &[("a", [Some(0.5), Some(0.1)])]);
        let (encoded, lengths) = scores(&source);
        assert_eq!((floats(&encoded), lengths), (vec![0.5, 0.1], None));
    }

    #[test]
    fn what_a_heatmap_shares_with_the_one_before_is_left_out() {
        let source = heatmap(Axes::Source, &[("a", [Some(0.5), Some(0.1)])]);
        let prefix = heatmap(Axes::Prefix, &[("b", [Some(0.5), Some(0.1)])]);
        let mut other = prefix.clone();
        other.columns[1].token = Label::of_raw("e");
        other.step_scores.clear();
        let [source, prefix, other] =
            [&source, &prefix, &other].map(|heatmap| Picture { run: "", heatmap });
        let maps = maps(&[source, prefix, other]);
        assert!(maps[0].columns.is_some() && maps[0].steps.is_some());
        assert!(maps[1].columns.is_none() && maps[1].steps.is_none());
        assert!(maps[2].columns.is_some() && maps[2].steps.is_some());
    }

    #[test]
    fn raw_tokens_are_written_if_they_are_not_what_is_shown() {
        let plain = [Label::of_raw("a"), Label::of_raw("b")];
        assert!(Tokens::new(plain.iter()).raw.is_empty());
        let decoded = Label {
            text: " b".to_owned(),
            raw: "Ġb".to_owned(),
        };
        let tokens = [Label::of_raw("a"), decoded];
        assert_eq!(Tokens::new(tokens.iter()).raw, ["a", "Ġb"]);
    }
}
