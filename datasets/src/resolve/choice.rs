//! Chooses one of the configurations of a card.

use whence_schemas::location::DatasetLocation;

use super::card::{Card, Config};
use crate::Error;

/// Returns the configuration of the card that is asked for, or its default. `None` if the card has
/// none, or none is needed because the files are given.
pub(super) fn config<'c>(
    location: &DatasetLocation,
    card: &'c Card,
    are_files_given: bool,
) -> Result<Option<&'c Config>, Error> {
    let configs = &card.configs;
    let names = || -> Vec<String> {
        match &configs[..] {
            [] => vec!["default".to_owned()],
            configs => configs.iter().map(|config| config.name.clone()).collect(),
        }
    };
    let default = default_config(card)?;
    let Some(name) = location.config.as_deref().or(default) else {
        if configs.len() > 1 && !are_files_given {
            return Err(Error::ConfigMissing { configs: names() });
        }
        return Ok(configs.first().filter(|_| configs.len() == 1));
    };
    match configs.iter().find(|config| config.name == name) {
        Some(config) => Ok(Some(config)),
        None if configs.is_empty() && name == "default" => Ok(None),
        None => Err(Error::ConfigUnknown {
            config: name.to_owned(),
            suggestion: whence_schemas::suggest::nearest(
                name,
                configs.iter().map(|config| config.name.as_str()),
            )
            .map(str::to_owned),
            configs: names(),
        }),
    }
}

fn default_config(card: &Card) -> Result<Option<&str>, Error> {
    let is_only = card.configs.len() == 1;
    let is_default = |config: &&Config| is_only || config.name == "default" || config.is_default;
    let mut defaults = card.configs.iter().filter(is_default);
    let first = defaults.next().map(|config| config.name.as_str());
    if let (Some(first), Some(second)) = (first, defaults.next()) {
        return Err(Error::Card {
            file: "README.md".to_owned(),
            reason: format!(
                "it has several default configurations, `{first}` and `{}`; name one with \
                 `--dataset-config` after mending the card",
                second.name
            ),
        });
    }
    let of_infos = match &card.info_names[..] {
        [only] => Some(only.as_str()),
        _ => None,
    };
    Ok(first.or(of_infos))
}
