//! Inseq's spellings: `--a_b` for `--a-b`, and short names of several letters.
//!
//! The words are normalized before they are parsed, so that each flag is declared only once.

use std::ffi::OsString;

use super::refused;
use crate::Failure;

/// Commands that have Inseq's flags, and the short names of several letters each of them has there.
const COMMANDS: &[(&str, &[(&str, &str)])] = &[
    ("aggregate", &[("-vv", "--very-verbose")]),
    (
        "attribute",
        &[
            ("-fn", "--attributed-fn"),
            ("-bs", "--batch-size"),
            ("-vv", "--very-verbose"),
        ],
    ),
    (
        "attribute-context",
        &[("-fn", "--attributed-fn"), ("-vv", "--very-verbose")],
    ),
    (
        "attribute-context-dataset",
        &[
            ("-fn", "--attributed-fn"),
            ("-bs", "--batch-size"),
            ("-vv", "--very-verbose"),
            ("-in", "--input-current-field"),
            ("-gen", "--output-current-field"),
        ],
    ),
    ("attribute-dataset", DATASET),
    ("submit", DATASET),
];

const DATASET: &[(&str, &str)] = &[
    ("-fn", "--attributed-fn"),
    ("-bs", "--batch-size"),
    ("-vv", "--very-verbose"),
    ("-in", "--input-text-field"),
    ("-gen", "--generated-text-field"),
];

/// Spells every flag of `arguments` as it is declared. Fails on a flag that is not supported.
pub(crate) fn normalize(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Vec<OsString>, Failure> {
    let mut arguments = arguments.into_iter();
    let mut normalized: Vec<OsString> = arguments.next().into_iter().collect();
    let mut command = None;
    let mut only_values = false;
    for argument in arguments {
        let Some(text) = argument.to_str().filter(|_| !only_values) else {
            normalized.push(argument);
            continue;
        };
        if command.is_none() && !text.starts_with('-') {
            // Inseq's commands have dashes too, but an underscore is a harmless slip.
            let name = text.replace('_', "-");
            command = COMMANDS.iter().find(|(command, _)| *command == name);
            normalized.push(if command.is_some() {
                name.into()
            } else {
                argument
            });
            continue;
        }
        only_values = text == "--";
        normalized.push(flag(text, command)?.into());
    }
    Ok(normalized)
}

type CommandSpelling = (&'static str, &'static [(&'static str, &'static str)]);

fn flag(text: &str, command: Option<&CommandSpelling>) -> Result<String, Failure> {
    let short_names = command.map_or(&[][..], |(_, short_names)| short_names);
    if let Some((_, long)) = short_names.iter().find(|(short, _)| *short == text) {
        return Ok((*long).to_owned());
    }
    let is_long = text.len() > 2 && text.starts_with("--");
    // A text to attribute may begin with dashes, but a flag contains no blanks.
    if !is_long || text.contains(char::is_whitespace) {
        return Ok(text.to_owned());
    }
    let (name, value) = text
        .split_once('=')
        .map_or((text, None), |(n, v)| (n, Some(v)));
    let name = name.replace('_', "-");
    if command.is_some() {
        refused::check(&name[2..])?;
    }
    Ok(value.map_or_else(|| name.clone(), |value| format!("{name}={value}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(text: &str) -> Result<String, Failure> {
        let words = text.split(' ').map(OsString::from);
        let words = normalize(words)?;
        let words: Vec<_> = words
            .iter()
            .map(|word| word.to_str().expect("they were text"))
            .collect();
        Ok(words.join(" "))
    }

    #[test]
    fn underscores_become_dashes_in_flags_alone() {
        assert_eq!(
            spelled("whence attribute_dataset --input_text_field a_b --dataset_files=x_y -fn f_g"),
            Ok("whence attribute-dataset --input-text-field a_b --dataset-files=x_y --attributed-fn f_g".into())
        );
        assert_eq!(
            spelled("whence attribute -i -- --a_b"),
            Ok("whence attribute -i -- --a_b".into())
        );
    }

    #[test]
    fn short_names_belong_to_their_commands() {
        assert_eq!(
            spelled("whence attribute-dataset -in text"),
            Ok("whence attribute-dataset --input-text-field text".into())
        );
        assert_eq!(
            spelled("whence attribute -in text"),
            Ok("whence attribute -in text".into())
        );
    }

    #[test]
    fn what_cannot_be_served_is_refused() {
        let failure = spelled("whence attribute --dataset_auth_token x").unwrap_err();
        assert!(failure.message().contains("--dataset-auth-token"));
    }
}
