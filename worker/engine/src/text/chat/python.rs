//! The Python features that templates use: string methods, type tests, number formatting.
//!
//! The template engine has most of them. This file adds what it lacks or does differently from
//! Jinja.

use minijinja::value::{ValueKind, from_args};
use minijinja::{Environment, Error, State, Value};
use minijinja_contrib::pycompat;

/// Adds the Python features to `environment`.
pub(super) fn teach(environment: &mut Environment<'_>) {
    environment.set_unknown_method_callback(method);
    environment.add_filter("trim", |value: &Value, letters: Option<&str>| {
        strip(&value.to_string(), letters).to_owned()
    });
    // As in Jinja, strings, mappings and undefined values count as sequences and iterables too.
    environment.add_test("sequence", has_items);
    environment.add_test("iterable", has_items);
    environment.set_formatter(|out, state, value| match float(value) {
        Some(text) => out.write_str(&text).map_err(Error::from),
        None => minijinja::escape_formatter(out, state, value),
    });
}

fn has_items(value: &Value) -> bool {
    matches!(
        value.kind(),
        ValueKind::Undefined
            | ValueKind::String
            | ValueKind::Bytes
            | ValueKind::Seq
            | ValueKind::Map
            | ValueKind::Iterable
    )
}

fn method(state: &mut State, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    let Some(text) = value.as_str() else {
        return pycompat::unknown_method_callback(state, value, name, args);
    };
    let letters = || from_args::<(Option<&str>,)>(args).map(|(letters,)| letters);
    let one = || from_args::<(&str,)>(args).map(|(text,)| text);
    Ok(match name {
        "strip" => Value::from(strip(text, letters()?)),
        "lstrip" => Value::from(text.trim_start_matches(of(letters()?))),
        "rstrip" => Value::from(text.trim_end_matches(of(letters()?))),
        "removeprefix" => Value::from(text.strip_prefix(one()?).unwrap_or(text)),
        "removesuffix" => Value::from(text.strip_suffix(one()?).unwrap_or(text)),
        "partition" => {
            let separator = one()?;
            parts(text.split_once(separator), separator, [text, "", ""])
        }
        "rpartition" => {
            let separator = one()?;
            parts(text.rsplit_once(separator), separator, ["", "", text])
        }
        "rsplit" => {
            let (separator, most): (&str, Option<usize>) = from_args(args)?;
            let mut pieces: Vec<_> = match most {
                Some(most) => text.rsplitn(most + 1, separator).collect(),
                None => text.rsplit(separator).collect(),
            };
            pieces.reverse();
            pieces.into_iter().map(Value::from).collect()
        }
        _ => return pycompat::unknown_method_callback(state, value, name, args),
    })
}

/// Returns the result of Python's `partition` or `rpartition`: the text before the separator, the
/// separator and the text after it, or `otherwise` if the text does not contain the separator.
fn parts<'t>(
    found: Option<(&'t str, &'t str)>,
    separator: &'t str,
    otherwise: [&'t str; 3],
) -> Value {
    let parts = found.map_or(otherwise, |(before, behind)| [before, separator, behind]);
    parts.into_iter().map(Value::from).collect()
}

fn strip<'t>(text: &'t str, letters: Option<&str>) -> &'t str {
    let is_stripped = of(letters);
    text.trim_start_matches(&is_stripped)
        .trim_end_matches(&is_stripped)
}

/// Returns a test for the characters to strip: those in `letters`, or whitespace if `letters` is
/// `None`.
fn of(letters: Option<&str>) -> impl Fn(char) -> bool {
    move |letter| match letters {
        Some(letters) => letters.contains(letter),
        // Python counts these four separator characters as whitespace, Rust does not.
        None => letter.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&letter),
    }
}

/// Formats a number as Python does.
pub(super) fn number(value: &Value) -> String {
    float(value).unwrap_or_else(|| value.to_string())
}

/// Formats a non-integer number as Python does: the shortest digits that read back as the same
/// value, with an exponent if it is below 0.0001 or has more than 16 digits before the decimal
/// point.
fn float(value: &Value) -> Option<String> {
    if value.kind() != ValueKind::Number || value.is_integer() {
        return None;
    }
    let number = f64::try_from(value.clone()).ok()?;
    if !number.is_finite() {
        return Some(if number.is_nan() {
            "nan".to_owned()
        } else {
            number.to_string()
        });
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e')?;
    let exponent: i32 = exponent.parse().ok()?;
    if (-4..16).contains(&exponent) {
        return Some(format!("{number:?}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    Some(format!("{digits}e{sign}{:02}", exponent.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(template: &str) -> String {
        let mut environment = Environment::new();
        teach(&mut environment);
        environment.render_str(template, ()).unwrap()
    }

    /// The expected values are the output of Python 3.11 and Jinja 3.1.
    #[test]
    fn strings_have_pythons_methods() {
        for (template, expected) in [
            ("{{ '\u{1f} a '.strip() }}|{{ 'xxaxx'.strip('x') }}", "a|a"),
            ("{{ ' a '.lstrip() }}|{{ ' a '.rstrip() }}|", "a | a|"),
            ("{{ '\u{1c}a\n' | trim }}", "a"),
            ("{{ 'a.b.c'.rsplit('.', 1) }}", "['a.b', 'c']"),
            ("{{ 'a.b'.partition('.') | join('|') }}", "a|.|b"),
            ("{{ 'a.b.c'.rpartition('.')[0] }}", "a.b"),
            (
                "{{ 'ab'.removeprefix('a') }}{{ 'ab'.removesuffix('a') }}",
                "bab",
            ),
            ("{{ 'a</t>b'.split('</t>')[-1] }}", "b"),
        ] {
            assert_eq!(rendered(template), expected, "{template}");
        }
    }

    #[test]
    fn kinds_are_those_of_jinja() {
        assert_eq!(
            rendered(
                "{{ 'a' is sequence }} {{ {} is sequence }} {{ 1 is iterable }} {{ x is iterable }}"
            ),
            "True True False True"
        );
    }

    #[test]
    fn numbers_look_as_in_python() {
        assert_eq!(
            rendered("{{ 1.0 }} {{ 0.1 }} {{ 1e16 }} {{ 123456789.5 }} {{ 0.00001 }} {{ 3 }}"),
            "1.0 0.1 1e+16 123456789.5 1e-05 3"
        );
    }
}
