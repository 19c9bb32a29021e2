//! JSON whose objects keep the order of their keys.
//!
//! `serde_json` sorts keys. That is right for a specification and wrong for a conversation: a chat
//! template prints a tool call's arguments in the order the row has them, and the prompt must equal
//! the one of transformers byte for byte.

use std::fmt;

use indexmap::IndexMap;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Number, Value};

/// Any JSON value, with the keys of objects in the order they were written.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum OrderedJson {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<OrderedJson>),
    /// An object. If a key occurs twice, its last value counts, as in Python.
    Object(#[serde(serialize_with = "in_order")] IndexMap<String, OrderedJson>),
}

fn in_order<S: Serializer>(
    fields: &IndexMap<String, OrderedJson>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(fields)
}

impl OrderedJson {
    /// Converts to a `serde_json` value, which sorts the keys.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(number) => Value::Number(number.clone()),
            Self::Text(text) => Value::String(text.clone()),
            Self::List(items) => items.iter().map(Self::to_value).collect(),
            Self::Object(fields) => {
                let fields = fields.iter();
                Value::Object(fields.map(|(k, v)| (k.clone(), v.to_value())).collect())
            }
        }
    }
}

impl fmt::Display for OrderedJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::to_string(self).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

impl<'de> Deserialize<'de> for OrderedJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Anything;

        impl<'de> Visitor<'de> for Anything {
            type Value = OrderedJson;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_unit<E>(self) -> Result<OrderedJson, E> {
                Ok(OrderedJson::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<OrderedJson, E> {
                Ok(OrderedJson::Bool(value))
            }

            fn visit_u64<E>(self, number: u64) -> Result<OrderedJson, E> {
                Ok(OrderedJson::Number(number.into()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<OrderedJson, E> {
                Ok(OrderedJson::Number(number.into()))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<OrderedJson, E> {
                let number = Number::from_f64(number);
                let number = number.ok_or_else(|| E::custom("a number of JSON is finite"))?;
                Ok(OrderedJson::Number(number))
            }

            fn visit_str<E>(self, text: &str) -> Result<OrderedJson, E> {
                Ok(OrderedJson::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<OrderedJson, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(OrderedJson::List(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<OrderedJson, A::Error> {
                let mut fields = IndexMap::new();
                while let Some((name, value)) = map.next_entry()? {
                    fields.insert(name, value);
                }
                Ok(OrderedJson::Object(fields))
            }
        }

        deserializer.deserialize_any(Anything)
    }
}

/// JSON kept as its text, so that its keys are still in order after a specification was written in
/// its canonical form, which sorts keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JsonText(String);

impl JsonText {
    /// Returns the JSON text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&OrderedJson> for JsonText {
    fn from(json: &OrderedJson) -> Self {
        Self(json.to_string())
    }
}

impl<'de> Deserialize<'de> for JsonText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = match OrderedJson::deserialize(deserializer)? {
            OrderedJson::Text(text) => serde_json::from_str(&text)
                .map_err(|error| D::Error::custom(format!("it is not JSON: {error}")))?,
            json => json,
        };
        Ok(Self::from(&json))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_their_order_and_values_their_kind() {
        let text = r#"{"zone":"Paris","at":5,"b":{"y":[1.5,-2,null],"x":true},"big":18446744073709551615}"#;
        let json: OrderedJson = serde_json::from_str(text).unwrap();
        assert_eq!(json.to_string(), text);
        assert_eq!(json.to_value()["b"]["y"][0], 1.5);
    }

    #[test]
    fn of_a_key_that_is_there_twice_the_last_counts_where_the_first_stood() {
        let json: OrderedJson = serde_json::from_str(r#"{"a":1,"b":2,"a":3}"#).unwrap();
        assert_eq!(json.to_string(), r#"{"a":3,"b":2}"#);
    }

    #[test]
    fn a_text_of_json_is_that_json() {
        let read = |text| serde_json::from_str::<JsonText>(text);
        let (given, written) = (r#"{"b":1,"a":2}"#, r#""{\"b\":1,\"a\":2}""#);
        assert_eq!(read(given).unwrap(), read(written).unwrap());
        assert_eq!(read(given).unwrap().as_str(), given);
        assert_eq!(
            serde_json::to_string(&read(given).unwrap()).unwrap(),
            written
        );
        assert!(read("\"{\"").is_err());
    }
}
