//! One example of a file: from Inseq's rectangles to the cells that exist.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use whence_engine::{Attribution, StepAttribution, Token};

use super::super::class::{DATA, SequenceClass, TOKEN};
use super::super::info::{Info, Texts};
use super::document::Instance;
use super::scores::{Blob, StepScores, column, prefix, read, sequences, shaped};

/// An example as it is saved.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Sequence(Instance<Fields>);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    source: Vec<Instance<TokenFields>>,
    target: Vec<Instance<TokenFields>>,
    source_attributions: Option<Blob>,
    target_attributions: Option<Blob>,
    step_scores: Option<BTreeMap<String, Blob>>,
    sequence_scores: Option<BTreeMap<String, Blob>>,
    attr_pos_start: usize,
    attr_pos_end: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenFields {
    token: String,
    id: i64,
}

/// The names of an example's step scores, without anything else of it.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Names(Instance<NameFields>);

#[derive(Debug, Deserialize)]
struct NameFields {
    step_scores: Option<NamesOnly>,
}

/// The keys of an object.
#[derive(Debug)]
struct NamesOnly(Vec<String>);

impl<'de> Deserialize<'de> for NamesOnly {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct KeysVisitor;

        impl<'de> Visitor<'de> for KeysVisitor {
            type Value = NamesOnly;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("scores by their names")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NamesOnly, A::Error> {
                let mut names = Vec::new();
                while let Some((name, IgnoredAny)) = map.next_entry()? {
                    names.push(name);
                }
                Ok(NamesOnly(names))
            }
        }

        json.deserialize_map(KeysVisitor)
    }
}

impl Names {
    /// Returns the names.
    pub(super) fn step_scores(&self) -> impl Iterator<Item = &String> {
        let scores = self.0.attributes.step_scores.iter();
        scores.flat_map(|NamesOnly(names)| names)
    }
}

impl Sequence {
    /// Returns the aggregators that Inseq runs on the example by default. Fails if its scores cannot
    /// be read.
    pub(super) fn default_aggregators(&self) -> Result<Vec<&'static str>, String> {
        let class = self.class()?;
        let fields = &self.0.attributes;
        let maps = [
            ("source_attributions", &fields.source_attributions),
            ("target_attributions", &fields.target_attributions),
        ];
        let read = maps.into_iter().find_map(|(name, map)| {
            let map = map.as_ref()?;
            Some(read(name, map))
        });
        let dimensions = read.transpose()?.map_or(2, |tensor| tensor.shape.len());
        Ok(class.default_aggregators(dimensions.saturating_sub(2)))
    }

    fn class(&self) -> Result<SequenceClass, String> {
        let [module, name] = &self.0.class;
        let class = SequenceClass::of_name(name).filter(|_| module == DATA);
        class.ok_or_else(|| format!("it has the unknown class `{module}.{name}`"))
    }

    /// Returns the attribution, with a value for each of `step_scores`. Fails with the field that is
    /// not understood.
    pub(super) fn attribution(
        self,
        step_scores: &[String],
        info: &Info,
        texts: Texts<'_>,
    ) -> Result<Attribution, String> {
        self.class()?;
        let fields = self.0.attributes;
        let (start, end) = (fields.attr_pos_start, fields.attr_pos_end);
        let source = tokens("source", &fields.source)?;
        let target = tokens("target", &fields.target)?;
        if start > end || end > target.len() {
            return Err(format!(
                "`attr_pos_start` is {start} and `attr_pos_end` is {end}, the target has {} tokens",
                target.len()
            ));
        }
        let steps = steps(&fields, source.len(), step_scores)?;
        let sequence_scores =
            sequences(fields.sequence_scores.as_ref(), source.len(), (start, end))?;
        let has_source_scores = fields.source_attributions.is_some();
        // For decoder-only models Inseq puts the prompt into the source; the target has it too.
        let is_prompt = !has_source_scores && target.starts_with(&source);
        Ok(Attribution {
            source: if is_prompt { Vec::new() } else { source },
            generated_text: match texts.generated {
                Some(text) => text.to_owned(),
                None => target.iter().map(|token| token.text.as_str()).collect(),
            },
            target,
            forced: info.is_forced(),
            attr_pos_start: start,
            attr_pos_end: end,
            steps,
            sequence_scores,
        })
    }
}

/// Returns the scores of each step.
fn steps(
    fields: &Fields,
    source_tokens: usize,
    step_scores: &[String],
) -> Result<Vec<StepAttribution>, String> {
    let (start, end) = (fields.attr_pos_start, fields.attr_pos_end);
    let map = |name: &str, map: &Option<Blob>, rows: usize| {
        let tensor = map.as_ref().map(|map| read(name, map)).transpose()?;
        let tensor = tensor.map(|tensor| shaped(name, tensor, &[rows, end - start]));
        tensor.transpose()
    };
    let source = map(
        "source_attributions",
        &fields.source_attributions,
        source_tokens,
    )?;
    let target = map("target_attributions", &fields.target_attributions, end)?;
    let scores = StepScores::read(fields.step_scores.as_ref(), step_scores, end - start)?;
    let step = |index: usize| -> Result<StepAttribution, String> {
        let position = start + index;
        let target = target.as_ref().map(|map| prefix(map, index, position));
        Ok(StepAttribution {
            target_pos: position,
            source: source.as_ref().map(|map| column(map, index, None)),
            target: target.transpose()?,
            step_scores: scores.of_step(index),
            contrast: None,
        })
    };
    (0..end - start).map(step).collect()
}

fn tokens(side: &str, tokens: &[Instance<TokenFields>]) -> Result<Vec<Token>, String> {
    let token = |token: &Instance<TokenFields>| -> Result<Token, String> {
        let TokenFields { token, id } = token.of(TOKEN)?;
        let id = *id;
        // -1 is the id of a token that was merged from several.
        let known = u32::try_from(id).ok();
        if known.is_none() && id != -1 {
            return Err(format!("`{id}` is not the id of a token"));
        }
        Ok(Token {
            id: known,
            text: token.clone(),
            offsets: None,
        })
    };
    let tokens = tokens.iter().map(token);
    tokens
        .collect::<Result<_, _>>()
        .map_err(|reason| format!("`{side}`: {reason}"))
}
