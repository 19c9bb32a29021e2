//! Settings from the environment, read as `huggingface_hub` 2.4 reads them.
//!
//! [`Settings::from_env`] is a pure function of a lookup, so that every combination of variables is
//! a line of a test. The token file is only named here; [`crate::Hub::new`] reads it.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;
use whence_schemas::ErrorKind;
use whence_schemas::retry::RetryPolicy;

use crate::repo::RepoKind;
use crate::token::Token;

const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// Python waits this long for headers and between the pieces of a body.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// A Hub that is deployed anew or a network that is switched over is back within a minute. The
/// time counts from the last byte that arrived, so a long download can outlive many cuts.
const RETRY: RetryPolicy = RetryPolicy {
    first_pause: Duration::from_millis(500),
    longest_pause: Duration::from_secs(10),
    give_up_after: Duration::from_mins(1),
};

/// Where the Hub and the cache are, and how patiently to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Address of the Hub, without a slash at its end.
    pub endpoint: Url,
    /// Folder of the cache that is shared with Python.
    pub cache: PathBuf,
    /// Where the token comes from.
    pub token: TokenSource,
    /// For what no socket may be opened.
    pub offline: Offline,
    /// Whether the cache copies files where it would otherwise link them.
    pub copies_instead_of_links: bool,
    /// Whether progress bars are unwanted.
    pub hides_progress: bool,
    /// Longest wait for the answer to a question about a file or a repository.
    pub metadata_timeout: Duration,
    /// Longest wait for the next bytes of a file.
    pub download_timeout: Duration,
    /// How long to wait for a Hub that does not answer.
    pub retry: RetryPolicy,
}

/// For what no socket may be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offline {
    /// Everything may be asked of the Hub.
    Nothing,
    /// Datasets come from the cache.
    Datasets,
    /// Everything comes from the cache.
    Everything,
}

/// Where the access token comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// The environment, or the caller.
    Given(Token),
    /// The file that `hf auth login` writes. It need not exist.
    File(PathBuf),
    /// No token is sent.
    Nowhere,
}

/// A variable of the environment that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The endpoint is not an HTTP address.
    #[error("HF_ENDPOINT `{value}` is not an http:// or https:// address")]
    Endpoint {
        /// The variable's value.
        value: String,
    },
    /// A timeout is not a number of seconds.
    #[error("{name} `{value}` is not a number of seconds; give a whole number such as 30")]
    Timeout {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
    },
    /// Nothing says where the cache is.
    #[error("the home folder is unknown, so there is no place for the cache; set HF_HOME")]
    NoHome,
    /// Python would exchange an identity token here, which whence does not do.
    #[error(
        "HF_OIDC_RESOURCE is set, but whence does not exchange identity tokens; unset it and set HF_TOKEN"
    )]
    Oidc,
}

impl SettingsError {
    /// Returns what can be done about the error.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

impl Settings {
    /// Reads the settings. `lookup` returns the value of an environment variable.
    pub fn from_env(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        // An empty variable counts as unset: as a path it would be the current folder.
        let env = Environment(|name: &str| lookup(name).filter(|value| !value.is_empty()));
        let home = env.hf_home();
        Ok(Self {
            endpoint: env.endpoint()?,
            cache: env.cache(home.as_ref())?,
            token: env.token(home)?,
            offline: env.offline(),
            copies_instead_of_links: env.is_on("HF_HUB_DISABLE_SYMLINKS"),
            hides_progress: env.is_on("HF_HUB_DISABLE_PROGRESS_BARS"),
            metadata_timeout: env.timeout("HF_HUB_ETAG_TIMEOUT")?,
            download_timeout: env.timeout("HF_HUB_DOWNLOAD_TIMEOUT")?,
            retry: RETRY,
        })
    }

    /// Returns whether no socket may be opened for repositories of this kind.
    pub fn is_offline(&self, kind: RepoKind) -> bool {
        match self.offline {
            Offline::Nothing => false,
            Offline::Datasets => kind == RepoKind::Dataset,
            Offline::Everything => true,
        }
    }
}

/// The variables, with the rules that several of them share.
struct Environment<F>(F);

impl<F: Fn(&str) -> Option<String>> Environment<F> {
    fn get(&self, name: &str) -> Option<String> {
        (self.0)(name)
    }

    fn is_on(&self, name: &str) -> bool {
        const TRUE: [&str; 4] = ["1", "ON", "YES", "TRUE"];
        let value = self.get(name).map(|value| value.to_uppercase());
        value.is_some_and(|value| TRUE.contains(&value.as_str()))
    }

    fn offline(&self) -> Offline {
        // The first of the two that is set decides, so `HF_HUB_OFFLINE=0` overrides the other.
        let switches = ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"];
        let switch = switches.into_iter().find(|name| self.get(name).is_some());
        if switch.is_some_and(|name| self.is_on(name)) {
            Offline::Everything
        } else if self.is_on("HF_DATASETS_OFFLINE") {
            Offline::Datasets
        } else {
            Offline::Nothing
        }
    }

    fn timeout(&self, name: &'static str) -> Result<Duration, SettingsError> {
        let Some(value) = self.get(name) else {
            return Ok(DEFAULT_TIMEOUT);
        };
        match value.trim().parse() {
            // Python takes 0 for unset.
            Ok(0) => Ok(DEFAULT_TIMEOUT),
            Ok(seconds) => Ok(Duration::from_secs(seconds)),
            Err(_) => Err(SettingsError::Timeout { name, value }),
        }
    }

    fn endpoint(&self) -> Result<Url, SettingsError> {
        let value = self.get("HF_ENDPOINT");
        let value = value.unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
        let parsed = Url::parse(value.trim_end_matches('/')).ok();
        let served = parsed.filter(|url| matches!(url.scheme(), "http" | "https"));
        served.ok_or(SettingsError::Endpoint { value })
    }

    /// Returns the folder of everything that belongs to the Hub. `None` if not even the home folder
    /// is known.
    fn hf_home(&self) -> Option<PathBuf> {
        if let Some(home) = self.get("HF_HOME") {
            return Some(self.expand(&home));
        }
        let cache = match self.get("XDG_CACHE_HOME") {
            Some(cache) => cache,
            None => format!("{}/.cache", self.get("HOME")?),
        };
        Some(self.expand(&format!("{cache}/huggingface")))
    }

    fn cache(&self, home: Option<&PathBuf>) -> Result<PathBuf, SettingsError> {
        let named = self.get("HF_HUB_CACHE");
        let named = named.or_else(|| self.get("HUGGINGFACE_HUB_CACHE"));
        match named {
            Some(named) => Ok(self.expand(&named)),
            None => Ok(home.ok_or(SettingsError::NoHome)?.join("hub")),
        }
    }

    fn token(&self, home: Option<PathBuf>) -> Result<TokenSource, SettingsError> {
        if self.is_on("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
            return Ok(TokenSource::Nowhere);
        }
        if self.get("HF_OIDC_RESOURCE").is_some() {
            return Err(SettingsError::Oidc);
        }
        let given = self.get("HF_TOKEN");
        let given = given.or_else(|| self.get("HUGGING_FACE_HUB_TOKEN"));
        if let Some(token) = given.as_deref().and_then(Token::parse) {
            return Ok(TokenSource::Given(token));
        }
        let named = self.get("HF_TOKEN_PATH").map(|path| self.expand(&path));
        let file = named.or_else(|| Some(home?.join("token")));
        Ok(file.map_or(TokenSource::Nowhere, TokenSource::File))
    }

    /// Replaces a leading `~` and each `$NAME` or `${NAME}`. What is not set stays as it is
    /// written.
    fn expand(&self, path: &str) -> PathBuf {
        let home = self.get("HOME");
        let path = match (path.strip_prefix('~'), home) {
            (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => home + rest,
            _ => path.to_owned(),
        };
        let mut expanded = String::new();
        let mut rest = path.as_str();
        while let Some(at) = rest.find('$') {
            expanded.push_str(&rest[..at]);
            rest = &rest[at..];
            let (written, name) = variable(rest);
            match self.get(name) {
                Some(value) => expanded.push_str(&value),
                None => expanded.push_str(written),
            }
            rest = &rest[written.len()..];
        }
        expanded.push_str(rest);
        PathBuf::from(expanded)
    }
}

/// Returns the variable at the beginning of `text`, which is a dollar sign, as it is written and by
/// its name. The name is empty if the dollar sign stands for itself.
fn variable(text: &str) -> (&str, &str) {
    let after = &text[1..];
    if let Some(braced) = after.strip_prefix('{')
        && let Some(end) = braced.find('}')
    {
        return (&text[..end + 3], &braced[..end]);
    }
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = after.find(|c| !is_part(c)).unwrap_or(after.len());
    (&text[..=end], &after[..end])
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name);
        Settings::from_env(|name| find(name).map(|(_, value)| (*value).to_owned()))
    }

    /// Reads the settings of a person with a home folder.
    fn at_home(variables: &[(&str, &str)]) -> Settings {
        read(&[&[("HOME", "/home/ada")], variables].concat()).unwrap()
    }

    #[test]
    fn without_variables_everything_is_pythons_default() {
        let settings = at_home(&[]);
        assert_eq!(settings.endpoint.as_str(), "https://huggingface.co/");
        assert_eq!(
            settings.cache,
            Path::new("/home/ada/.cache/huggingface/hub")
        );
        let token = PathBuf::from("/home/ada/.cache/huggingface/token");
        assert_eq!(settings.token, TokenSource::File(token));
        assert_eq!(settings.download_timeout, Duration::from_secs(10));
        assert_eq!(settings.offline, Offline::Nothing);
    }

    /// The values are `huggingface_hub.constants` of version 2.4 under the same variables.
    #[test]
    fn the_cache_is_where_python_looks_for_it() {
        let cases: [(&[(&str, &str)], &str); 8] = [
            (&[("XDG_CACHE_HOME", "/x")], "/x/huggingface/hub"),
            (&[("XDG_CACHE_HOME", "/x"), ("HF_HOME", "/hf")], "/hf/hub"),
            (&[("HF_HOME", "~/hf")], "/home/ada/hf/hub"),
            (
                &[("HF_HOME", "$SCRATCH/hf"), ("SCRATCH", "/s")],
                "/s/hf/hub",
            ),
            (
                &[("HF_HOME", "/${USER}/$NONE"), ("USER", "ada")],
                "/ada/$NONE/hub",
            ),
            (&[("HUGGINGFACE_HUB_CACHE", "/old")], "/old"),
            (
                &[("HUGGINGFACE_HUB_CACHE", "/old"), ("HF_HUB_CACHE", "~")],
                "/home/ada",
            ),
            (&[("HF_HOME", "")], "/home/ada/.cache/huggingface/hub"),
        ];
        for (variables, expected) in cases {
            assert_eq!(
                at_home(variables).cache,
                Path::new(expected),
                "{variables:?}"
            );
        }
    }

    #[test]
    fn the_token_is_the_one_python_sends() {
        let given = |text| TokenSource::Given(Token::parse(text).unwrap());
        let file = |path: &str| TokenSource::File(path.into());
        let old = ("HUGGING_FACE_HUB_TOKEN", "hf_old");
        let cases: [(&[(&str, &str)], TokenSource); 6] = [
            (&[("HF_TOKEN", " hf_a\n"), old], given("hf_a")),
            (&[("HF_TOKEN", ""), old], given("hf_old")),
            (&[("HF_TOKEN", "  "), ("HF_HOME", "/hf")], file("/hf/token")),
            (
                &[("HF_TOKEN_PATH", "~/t"), ("HF_HOME", "/hf")],
                file("/home/ada/t"),
            ),
            (
                &[old, ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "yes")],
                TokenSource::Nowhere,
            ),
            (
                &[old, ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "0")],
                given("hf_old"),
            ),
        ];
        for (variables, expected) in cases {
            assert_eq!(at_home(variables).token, expected, "{variables:?}");
        }
    }

    #[test]
    fn offline_is_one_switch_for_all_and_one_for_datasets() {
        let cases = [
            ("HF_HUB_OFFLINE=1", [true, true]),
            ("TRANSFORMERS_OFFLINE=on", [true, true]),
            ("HF_HUB_OFFLINE=0 TRANSFORMERS_OFFLINE=1", [false, false]),
            ("HF_DATASETS_OFFLINE=TRUE", [false, true]),
            ("HF_HUB_OFFLINE=2", [false, false]),
        ];
        for (line, expected) in cases {
            let variables = line.split(' ').filter_map(|pair| pair.split_once('='));
            let settings = at_home(&variables.collect::<Vec<_>>());
            let found = [RepoKind::Model, RepoKind::Dataset].map(|kind| settings.is_offline(kind));
            assert_eq!(found, expected, "{line}");
        }
    }

    #[test]
    fn timeouts_are_whole_seconds() {
        let settings = at_home(&[
            ("HF_HUB_ETAG_TIMEOUT", "3"),
            ("HF_HUB_DOWNLOAD_TIMEOUT", "0"),
        ]);
        assert_eq!(settings.metadata_timeout, Duration::from_secs(3));
        assert_eq!(settings.download_timeout, DEFAULT_TIMEOUT);
    }

    #[test]
    fn what_cannot_be_followed_is_refused_by_its_name() {
        let cases = [
            (
                ("HF_HUB_ETAG_TIMEOUT", "soon"),
                "HF_HUB_ETAG_TIMEOUT `soon`",
            ),
            (("HF_ENDPOINT", "hub.local"), "HF_ENDPOINT `hub.local`"),
            (("HF_ENDPOINT", "file:///hub"), "HF_ENDPOINT `file:///hub`"),
            (("HF_OIDC_RESOURCE", "me/repo"), "HF_OIDC_RESOURCE"),
        ];
        for (variable, expected) in cases {
            let error = read(&[("HOME", "/home/ada"), variable]).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
        assert_eq!(read(&[]).unwrap_err(), SettingsError::NoHome);
    }
}
