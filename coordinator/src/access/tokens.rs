//! The tokens that a coordinator knows. It keeps only their digests.
//!
//! A file has one line per token: a name, a role, the token's SHA-256 in hexadecimal digits, and if the
//! holder belongs to a team, the team's name. Empty lines and lines after `#` are ignored. Tokens are random numbers of 256 bits, so a digest tells
//! nothing about one, and looking digests up takes no care about time.

use std::collections::HashMap;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::Role;
use crate::job::Tenant;

/// Random bytes of a token.
const BYTES: usize = 32;
/// What tokens begin with, so that people and scanners recognize them.
const PREFIX: &str = "whence_";

/// Who holds a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The name of a person or a service, for logs.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Its team, to whose jobs it is confined; none if it may see those of every team.
    pub tenant: Option<Tenant>,
}

/// The holders of all tokens.
#[derive(Debug, Default)]
pub struct Tokens(HashMap<String, Holder>);

impl Tokens {
    /// Reads a file of tokens. Fails with the number of the line that cannot be read, and if there is
    /// none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut tokens = HashMap::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            let words: Vec<&str> = line.split_whitespace().collect();
            let refuse = |reason: &str| format!("line {}: {reason}", index + 1);
            let (name, role, digest, tenant) = match words[..] {
                [] => continue,
                [name, role, digest] => (name, role, digest, None),
                [name, role, digest, tenant] => (name, role, digest, Some(tenant)),
                _ => {
                    let needed = "it needs a name, a role, a digest and at most a tenant; \
                                  `whence token` prints them";
                    return Err(refuse(needed));
                }
            };
            let tenant = tenant.map(str::parse).transpose();
            let tenant = tenant.map_err(|reason: String| refuse(&reason))?;
            let role: Role = role.parse().map_err(|reason: String| refuse(&reason))?;
            let digest = digest.to_ascii_lowercase();
            if digest.len() != 64 || !digest.chars().all(|c| c.is_ascii_hexdigit()) {
                let needed = "the digest is not a SHA-256 of 64 hexadecimal digits";
                return Err(refuse(needed));
            }
            let name = name.to_owned();
            let holder = Holder { name, role, tenant };
            if tokens.insert(digest, holder).is_some() {
                return Err(refuse("another line has the same digest"));
            }
        }
        if tokens.is_empty() {
            return Err("it has no token, so nobody could call".to_owned());
        }
        Ok(Self(tokens))
    }

    /// Returns who holds a token.
    pub fn holder(&self, token: &str) -> Option<&Holder> {
        self.0.get(&digest(token))
    }
}

/// Makes a token from these random bytes.
pub fn of_random(bytes: [u8; BYTES]) -> String {
    format!("{PREFIX}{}", HEXLOWER.encode(&bytes))
}

/// Returns the line that a coordinator knows a token by.
pub fn line(name: &str, role: Role, tenant: Option<&Tenant>, token: &str) -> String {
    let line = format!("{name} {role} {}", digest(token));
    match tenant {
        Some(tenant) => format!("{line} {tenant}"),
        None => line,
    }
}

fn digest(token: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_line() {
        let token = of_random([7; BYTES]);
        assert!(token.starts_with("whence_0707"), "{token}");
        let text = format!(
            "# people\n\n{} # on call\n",
            line("ada", Role::Viewer, Some(&"nlp".parse().unwrap()), &token)
        );
        let tokens = Tokens::parse(&text).unwrap();
        let holder = tokens.holder(&token).unwrap();
        assert_eq!((holder.name.as_str(), holder.role), ("ada", Role::Viewer));
        assert_eq!(holder.tenant, Some("nlp".parse().unwrap()));
        assert_eq!(tokens.holder("whence_08"), None);
        assert!(!text.contains(&token) && !format!("{tokens:?}").contains(&token));
        // `printf abc | sha256sum`, so that a line can be made without whence.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest("abc"), abc);
    }

    #[test]
    fn a_file_that_is_not_understood_is_refused_with_the_line() {
        let digest = "0".repeat(64);
        for (text, named) in [
            (String::new(), "no token"),
            (
                format!("\nada viewer {digest} x y"),
                "line 2: it needs a name",
            ),
            (format!("ada root {digest}"), "line 1: `root` is not a role"),
            ("ada viewer abc".to_owned(), "line 1: the digest"),
            (
                format!("a viewer {digest}\nb admin {digest}"),
                "line 2: another line",
            ),
        ] {
            let refused = Tokens::parse(&text).unwrap_err();
            assert!(refused.contains(named), "{refused}");
        }
    }
}
