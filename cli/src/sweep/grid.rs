//! Combines the axes of a sweep into cells.

use std::collections::HashSet;

use whence_schemas::ordered::OrderedJson;

use super::file::{Settings, SweepFile, word};
use super::options::KnownOptions;
use crate::Failure;

/// More cells than this are a mistake in the file.
const MOST_CELLS: usize = 10_000;
/// The axis that the list of seeds makes.
const SEED: &str = "seed";
/// The key that names a value made of several options.
const LABEL: &str = "label";
/// What a cell of `include` is called on an axis that it does not lie on.
const ELSEWHERE: &str = "-";

/// A combination of options.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cell {
    /// What it is called on each axis.
    pub(crate) labels: Vec<String>,
    pub(super) settings: Settings,
}

/// The cells of a sweep.
#[derive(Debug)]
pub(super) struct Grid {
    /// The names of the axes.
    pub(super) axes: Vec<String>,
    pub(super) cells: Vec<Cell>,
}

/// An axis: its values, each with its label and the options that it sets.
struct Axis {
    name: String,
    values: Vec<(String, Settings)>,
}

impl Grid {
    /// Combines what `file` says. The last axis varies fastest; the cells of `include` come last.
    pub(super) fn of(file: &SweepFile, known: &KnownOptions) -> Result<Self, Failure> {
        let defaults = canonical(&file.defaults, known)?;
        let mut axes = Vec::new();
        for (name, values) in file.axes.iter() {
            axes.push(Axis::of(name, values, known)?);
        }
        if !file.seeds.is_empty() {
            let seeds = file.seeds.iter();
            let seeds: Vec<_> = seeds
                .map(|seed| OrderedJson::Number((*seed).into()))
                .collect();
            axes.push(Axis::of(SEED, &seeds, known)?);
        }
        check_distinct(&axes)?;
        let excluded = excluded(file, &axes)?;
        let mut cells = Vec::new();
        // Without axes, only the cells of `include` are meant, if there are any.
        if !axes.is_empty() || file.include.is_empty() {
            cells = product(&axes, &defaults)?;
            cells.retain(|cell| !excluded.iter().any(|labels| matches(labels, &cell.labels)));
        }
        for included in &file.include {
            cells.push(included_cell(included, &axes, &defaults, known)?);
        }
        if cells.is_empty() {
            return Err(Failure::request("the sweep has no cells"));
        }
        let axes = axes.into_iter().map(|axis| axis.name).collect();
        Ok(Self { axes, cells })
    }
}

impl Axis {
    fn of(name: &str, values: &[OrderedJson], known: &KnownOptions) -> Result<Self, Failure> {
        let mut labelled = Vec::new();
        for value in values {
            labelled.push(Self::value(name, value, known)?);
        }
        let mut seen = HashSet::new();
        if let Some((twice, _)) = labelled.iter().find(|(label, _)| !seen.insert(label)) {
            return Err(Failure::request(format!(
                "axis `{name}` has the value `{twice}` twice"
            )));
        }
        if labelled.is_empty() {
            return Err(Failure::request(format!("axis `{name}` has no values")));
        }
        Ok(Self {
            name: name.to_owned(),
            values: labelled,
        })
    }

    /// Reads one value: that of the option the axis is named after, or several options.
    fn value(
        name: &str,
        value: &OrderedJson,
        known: &KnownOptions,
    ) -> Result<(String, Settings), Failure> {
        if let OrderedJson::Object(fields) = value
            && (!known.knows(name) || (!known.takes_map(name) && is_of_options(fields, known)))
        {
            let mut options = fields.clone();
            let label = options.shift_remove(LABEL).map(|label| word(&label));
            let joined = || options.values().map(word).collect::<Vec<_>>().join(" ");
            let label = label.unwrap_or_else(joined);
            return Ok((label, canonical(&options, known)?));
        }
        if !known.knows(name) {
            return Err(Failure::request(format!(
                "axis `{name}` is no option, so each of its values must be a map of options, and `{}` \
                 is none",
                word(value)
            ))
            .hint("for example: `- {label: long, generation_kwargs: {max_new_tokens: 90}}`"));
        }
        let option = known.name(name)?.to_owned();
        Ok((word(value), Settings::from([(option, value.clone())])))
    }
}

/// Returns whether a map holds options, rather than being the value of one.
fn is_of_options(fields: &Settings, known: &KnownOptions) -> bool {
    let mut names = fields.keys().filter(|name| *name != LABEL).peekable();
    names.peek().is_some() && names.all(|name| known.knows(name))
}

/// Returns the settings under the declared names. Fails on an unknown one, or if two are the same.
fn canonical(settings: &Settings, known: &KnownOptions) -> Result<Settings, Failure> {
    let mut named = Settings::new();
    for (written, value) in settings {
        let name = known.name(written)?.to_owned();
        if named.insert(name, value.clone()).is_some() {
            return Err(Failure::request(format!("`{written}` is set twice")));
        }
    }
    Ok(named)
}

/// Fails if two axes set the same option: one of them would have no effect.
fn check_distinct(axes: &[Axis]) -> Result<(), Failure> {
    for (index, axis) in axes.iter().enumerate() {
        let sets = |axis: &Axis, option: &str| {
            let mut values = axis.values.iter();
            values.any(|(_, settings)| settings.contains_key(option))
        };
        for option in axis.values.iter().flat_map(|(_, settings)| settings.keys()) {
            if let Some(other) = axes[..index].iter().find(|other| sets(other, option)) {
                return Err(Failure::request(format!(
                    "the axes `{}` and `{}` both set `{}`",
                    other.name,
                    axis.name,
                    option.replace('-', "_")
                )));
            }
        }
    }
    Ok(())
}

/// Returns every combination of the axes' values.
fn product(axes: &[Axis], defaults: &Settings) -> Result<Vec<Cell>, Failure> {
    let count = axes.iter().map(|axis| axis.values.len());
    let count = count.fold(1_usize, usize::saturating_mul);
    if count > MOST_CELLS {
        return Err(Failure::request(format!(
            "the axes have {count} combinations; a sweep has {MOST_CELLS} at most"
        )));
    }
    let mut cells = vec![Cell {
        labels: Vec::new(),
        settings: defaults.clone(),
    }];
    for axis in axes {
        let extended = cells.iter().flat_map(|cell| {
            axis.values.iter().map(|(label, settings)| {
                let mut cell = cell.clone();
                cell.labels.push(label.clone());
                cell.settings.extend(settings.clone());
                cell
            })
        });
        cells = extended.collect();
    }
    Ok(cells)
}

/// For each condition, the labels that it names on each axis; none if it names none there.
type Condition = Vec<Option<Vec<String>>>;

/// Reads the conditions of `exclude`. Fails if one names what is not there.
fn excluded(file: &SweepFile, axes: &[Axis]) -> Result<Vec<Condition>, Failure> {
    let mut conditions = Vec::new();
    for condition in &file.exclude {
        let mut labels: Condition = vec![None; axes.len()];
        for (name, value) in condition.iter() {
            let at = axes.iter().position(|axis| axis.name == *name);
            let at = at.ok_or_else(|| {
                Failure::request(format!("`exclude` names `{name}`, which is not an axis"))
            })?;
            let named: Vec<_> = match value {
                OrderedJson::List(items) => items.iter().map(word).collect(),
                value => vec![word(value)],
            };
            let there = |label: &String| axes[at].values.iter().any(|(value, _)| value == label);
            if let Some(label) = named.iter().find(|label| !there(label)) {
                return Err(Failure::request(format!(
                    "`exclude` names `{name}: {label}`, which is not a value of that axis"
                )));
            }
            if named.is_empty() {
                return Err(Failure::request(format!(
                    "`exclude` names no value of the axis `{name}`; leave it out to mean all of them"
                )));
            }
            labels[at] = Some(named);
        }
        if condition.is_empty() {
            return Err(Failure::request("a condition of `exclude` is empty"));
        }
        conditions.push(labels);
    }
    Ok(conditions)
}

fn matches(condition: &Condition, labels: &[String]) -> bool {
    let mut pairs = condition.iter().zip(labels);
    pairs.all(|(named, label)| named.as_ref().is_none_or(|named| named.contains(label)))
}

/// Makes a cell of `include`: the defaults, and its own options instead of them.
fn included_cell(
    included: &Settings,
    axes: &[Axis],
    defaults: &Settings,
    known: &KnownOptions,
) -> Result<Cell, Failure> {
    let own = canonical(included, known)?;
    let label = |axis: &Axis| {
        let option = known.name(&axis.name).ok()?;
        own.get(option).map(word)
    };
    let labels = axes
        .iter()
        .map(|axis| label(axis).unwrap_or_else(|| ELSEWHERE.to_owned()));
    let labels = labels.collect();
    let mut settings = defaults.clone();
    settings.extend(own);
    Ok(Cell { labels, settings })
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    fn grid(yaml: &str) -> Result<Grid, Failure> {
        Grid::of(&file::parse(yaml).unwrap(), &KnownOptions::new())
    }

    fn labels(yaml: &str) -> Vec<String> {
        let cells = grid(yaml).unwrap().cells;
        cells.iter().map(|cell| cell.labels.join("/")).collect()
    }

    #[test]
    fn cells_are_the_combinations_in_the_order_of_the_file() {
        let yaml = "axes: {model: [a, b], method: [lime, saliency]}\nseeds: [1, 2]";
        assert_eq!(
            labels(yaml),
            [
                "a/lime/1",
                "a/lime/2",
                "a/saliency/1",
                "a/saliency/2",
                "b/lime/1",
                "b/lime/2",
                "b/saliency/1",
                "b/saliency/2"
            ]
        );
    }

    #[test]
    fn some_are_left_out_and_others_added() {
        let yaml = "
defaults: {dataset: d}
axes: {model: [a, b, c], method: [lime, saliency]}
exclude: [{model: a, method: lime}, {model: [b, c], method: saliency}]
include: [{model: z, dataset: e}]";
        assert_eq!(labels(yaml), ["a/saliency", "b/lime", "c/lime", "z/-"]);
        let last = grid(yaml).unwrap().cells.pop().unwrap();
        assert_eq!(word(&last.settings["dataset-name"]), "e");
    }

    #[test]
    fn a_value_can_be_several_options() {
        let yaml = "
defaults: {attribution_kwargs: {n_steps: 9}}
axes:
  method:
    - saliency
    - {label: ig50, method: integrated_gradients, attribution_kwargs: {n_steps: 50}}
  attributed_fn: [probability, {name: contrast_prob_diff, params: {}}]
  texts: [{dataset: d, input: text}]";
        let grid = grid(yaml).unwrap();
        assert_eq!(grid.axes, ["method", "attributed_fn", "texts"]);
        assert_eq!(grid.cells[2].labels, ["ig50", "probability", "d text"]);
        let kwargs = |cell: &Cell| word(&cell.settings["attribution-kwargs"]);
        assert_eq!(kwargs(&grid.cells[0]), r#"{"n_steps":9}"#);
        assert_eq!(kwargs(&grid.cells[2]), r#"{"n_steps":50}"#);
        assert!(grid.cells[3].labels[1].contains("contrast_prob_diff"));
    }

    #[test]
    fn the_value_of_an_option_that_takes_a_map_is_never_taken_for_options() {
        let yaml = "
axes:
  attribution_kwargs: [{n_steps: 2}, {method: riemann_left}]
  generation_kwargs: [{seed: 5}]";
        let grid = grid(yaml).unwrap();
        let last = &grid.cells[1].settings;
        assert_eq!(
            word(&last["attribution-kwargs"]),
            r#"{"method":"riemann_left"}"#
        );
        assert_eq!(word(&last["generation-kwargs"]), r#"{"seed":5}"#);
        assert_eq!(last.len(), 2);
    }

    #[test]
    fn what_would_have_no_effect_is_refused() {
        for (yaml, named) in [
            ("axes: {method: [lime, lime]}", "`lime` twice"),
            ("axes: {method: []}", "`method` has no values"),
            ("axes: {how: [lime]}", "`how` is no option"),
            ("axes: {how: [{methd: lime}]}", "`methd`"),
            (
                "axes: {method: [lime], how: [{attribution_method: saliency}]}",
                "both set",
            ),
            (
                "axes: {method: [lime]}\nexclude: [{model: a}]",
                "`model`, which is not an axis",
            ),
            (
                "axes: {method: [lime]}\nexclude: [{method: limes}]",
                "`method: limes`",
            ),
            ("axes: {method: [lime]}\nexclude: [{}]", "is empty"),
            (
                "axes: {method: [lime]}\nexclude: [{method: []}]",
                "names no value of the axis `method`",
            ),
            (
                "axes: {method: [lime]}\nexclude: [{method: lime}]",
                "no cells",
            ),
            ("axes: {seed: [1]}\nseeds: [2]", "both set `seed`"),
            ("defaults: {model: a, model_name_or_path: b}", "set twice"),
            ("include: [{colour: red}]", "`colour`"),
        ] {
            let refused = grid(yaml).unwrap_err();
            assert!(
                refused.message().contains(named),
                "{yaml}: {}",
                refused.message()
            );
        }
    }

    #[test]
    fn more_combinations_than_anybody_means_are_refused() {
        let values: Vec<_> = (0..101).map(|value| value.to_string()).collect();
        let values = values.join(", ");
        let yaml = format!("axes: {{shard_tokens: [{values}]}}\nseeds: [{values}]");
        let refused = grid(&yaml).unwrap_err();
        assert!(refused.message().contains("10201"), "{}", refused.message());
    }
}
