//! Teams that share a coordinator, and the part of its workers that each is given.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of a team.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tenant(String);

impl FromStr for Tenant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if text.is_empty() || !text.chars().all(is_plain) {
            return Err(format!(
                "`{text}` cannot be the name of a tenant; use letters, digits, `-`, `_` and `.`"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Tenant {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Tenant> for String {
    fn from(tenant: Tenant) -> Self {
        tenant.0
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A tenant's part of the workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TenantShare {
    /// Its part, relative to the weights of the others; at least 1.
    pub weight: u64,
    /// Slots that it may have leased at a time; any number if none.
    pub most_slots: Option<u64>,
}

impl Default for TenantShare {
    fn default() -> Self {
        Self {
            weight: 1,
            most_slots: None,
        }
    }
}

/// The parts of all tenants. One that is not listed, and jobs of nobody, have the default.
#[derive(Debug, Clone, Default)]
pub struct Tenants(pub BTreeMap<Tenant, TenantShare>);

impl Tenants {
    /// Returns the part of a tenant.
    pub(super) fn share(&self, tenant: Option<&Tenant>) -> TenantShare {
        let listed = tenant.and_then(|tenant| self.0.get(tenant));
        listed.copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_plain() {
        assert!("nlp-team.1".parse::<Tenant>().is_ok());
        for name in ["", "a b", "a=b", "ä"] {
            assert!(name.parse::<Tenant>().unwrap_err().contains("tenant"));
        }
    }
}
