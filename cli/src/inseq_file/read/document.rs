//! The JSON of a whole file, read without keeping it: examples are handed on as they come.

use std::fmt;
use std::io::{self, Read};
use std::marker::PhantomData;
use std::ops::ControlFlow;

use serde::de::{
    DeserializeOwned, DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::super::class::{DATA, OUTPUT};

/// What a file holds besides its examples.
#[derive(Debug)]
pub(super) struct Document<S> {
    /// The description of the run.
    pub(super) info: Value,
    /// Number of examples that were read.
    pub(super) sequences: usize,
    /// Whether the file holds the attributions of single steps too.
    pub(super) has_steps: bool,
    sequence: PhantomData<S>,
}

/// Why a file cannot be read.
#[derive(Debug)]
pub(super) enum Broken {
    /// Its bytes cannot be read.
    Io(io::Error),
    /// Its content is not understood, for this reason.
    Content(String),
}

/// An object with the name of its class.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Instance<T> {
    /// Module and name.
    #[serde(rename = "__instance_type__")]
    pub(super) class: [String; 2],
    pub(super) attributes: T,
}

impl<T> Instance<T> {
    /// Returns the attributes of an object of the class `name` of `module`. Fails if it has another
    /// class.
    pub(super) fn of(&self, (module, name): (&str, &str)) -> Result<&T, String> {
        if self.class == [module, name] {
            return Ok(&self.attributes);
        }
        Err(format!(
            "it has an object of the class `{}.{}` in place of a `{module}.{name}`",
            self.class[0], self.class[1]
        ))
    }
}

impl<S: DeserializeOwned> Document<S> {
    /// Reads a file and hands each example with its index to `visit`. Ends early if `visit` breaks
    /// off; then only what came before it is known.
    pub(super) fn read(
        json: impl Read,
        visit: impl FnMut(usize, S) -> ControlFlow<()>,
    ) -> Result<Self, Broken> {
        let mut reading = Reading {
            visit,
            document: Self {
                info: Value::Null,
                sequences: 0,
                has_steps: false,
                sequence: PhantomData,
            },
            is_stopped: false,
            wrong_sequence: None,
        };
        let mut json = serde_json::Deserializer::from_reader(json);
        let read = Root(&mut reading).deserialize(&mut json);
        let read = read.and_then(|()| json.end());
        match (read, reading.wrong_sequence) {
            (Ok(()), _) => Ok(reading.document),
            (Err(_), _) if reading.is_stopped => Ok(reading.document),
            (Err(error), _) if error.is_io() => Err(Broken::Io(error.into())),
            (Err(error), Some(index)) => Err(Broken::Content(format!("sequence {index}: {error}"))),
            (Err(error), None) => Err(Broken::Content(error.to_string())),
        }
    }
}

/// A file that is being read.
struct Reading<S, V> {
    visit: V,
    document: Document<S>,
    /// Whether `visit` broke off. The reader knows no other way to end than an error.
    is_stopped: bool,
    /// The example that is not understood.
    wrong_sequence: Option<usize>,
}

/// Reads the outermost object.
struct Root<'r, S, V>(&'r mut Reading<S, V>);

impl<'de, S: DeserializeOwned, V: FnMut(usize, S) -> ControlFlow<()>> DeserializeSeed<'de>
    for Root<'_, S, V>
{
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de, S: DeserializeOwned, V: FnMut(usize, S) -> ControlFlow<()>> Visitor<'de>
    for Root<'_, S, V>
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the object that Inseq's `save` writes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut has_class, mut has_attributes) = (false, false);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "__instance_type__" => {
                    let class: [String; 2] = map.next_value()?;
                    let object = Instance {
                        class,
                        attributes: (),
                    };
                    object.of((DATA, OUTPUT)).map_err(A::Error::custom)?;
                    has_class = true;
                }
                "attributes" => {
                    map.next_value_seed(Attributes(&mut *self.0))?;
                    has_attributes = true;
                }
                "info" | "sequence_attributions" | "step_attributions" => {
                    return Err(A::Error::custom(
                        "it was saved with `use_primitives`, which leaves out what its scores \
                         mean; save it again without that",
                    ));
                }
                other => return Err(unknown(other)),
            }
        }
        match (has_class, has_attributes) {
            (true, true) => Ok(()),
            (false, _) => Err(A::Error::missing_field("__instance_type__")),
            (_, false) => Err(A::Error::missing_field("attributes")),
        }
    }
}

/// Reads the attributes of the outermost object.
struct Attributes<'r, S, V>(&'r mut Reading<S, V>);

impl<'de, S: DeserializeOwned, V: FnMut(usize, S) -> ControlFlow<()>> DeserializeSeed<'de>
    for Attributes<'_, S, V>
{
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de, S: DeserializeOwned, V: FnMut(usize, S) -> ControlFlow<()>> Visitor<'de>
    for Attributes<'_, S, V>
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the attributes of a `FeatureAttributionOutput`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut has_sequences = false;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "info" => self.0.document.info = map.next_value()?,
                "sequence_attributions" => {
                    map.next_value_seed(Sequences(&mut *self.0))?;
                    has_sequences = true;
                }
                "step_attributions" => {
                    let steps = map.next_value::<Option<IgnoredAny>>()?;
                    self.0.document.has_steps = steps.is_some();
                }
                other => return Err(unknown(other)),
            }
        }
        if has_sequences {
            return Ok(());
        }
        Err(A::Error::missing_field("sequence_attributions"))
    }
}

/// Reads the examples.
struct Sequences<'r, S, V>(&'r mut Reading<S, V>);

impl<'de, S: DeserializeOwned, V: FnMut(usize, S) -> ControlFlow<()>> DeserializeSeed<'de>
    for Sequences<'_, S, V>
{
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de, S: DeserializeOwned, V: FnMut(usize, S) -> ControlFlow<()>> Visitor<'de>
    for Sequences<'_, S, V>
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of sequences")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        loop {
            let index = self.0.document.sequences;
            self.0.wrong_sequence = Some(index);
            let Some(sequence) = list.next_element::<S>()? else {
                self.0.wrong_sequence = None;
                return Ok(());
            };
            self.0.document.sequences += 1;
            if (self.0.visit)(index, sequence).is_break() {
                self.0.is_stopped = true;
                return Err(A::Error::custom("no more sequences are wanted"));
            }
        }
    }
}

fn unknown<E: serde::de::Error>(key: &str) -> E {
    E::custom(format!("`{key}` is not a field of Inseq's files"))
}
