//! What each tenant of a coordinator may have: a part of the workers, and jobs within bounds.
//!
//! A file has one line per tenant: its name, and any of `weight=N`, `slots=N`, `rows=N` and
//! `allow=PLACE`, the last as often as needed. Empty lines and lines after `#` are ignored.

use std::collections::BTreeMap;

use super::places::Place;
use crate::job::tenants::{Tenant, TenantShare, Tenants};

/// What the jobs of a tenant may be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Rows that one job may have; any number if none.
    pub most_rows: Option<u64>,
    /// Where everything must be that a job names; anywhere if empty.
    pub allowed: Vec<Place>,
}

/// What every tenant may have.
#[derive(Debug, Clone, Default)]
pub struct Tenancy {
    /// Their parts of the workers.
    pub shares: Tenants,
    bounds: BTreeMap<Tenant, Bounds>,
}

impl Tenancy {
    /// Reads a file of tenants. Fails with the number of the line that cannot be read.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut tenancy = Self::default();
        for (index, line) in text.lines().enumerate() {
            let refuse = |reason: String| format!("line {}: {reason}", index + 1);
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let Some(name) = words.next() else {
                continue;
            };
            let name: Tenant = name.parse().map_err(refuse)?;
            let mut share = TenantShare::default();
            let mut bounds = Bounds::default();
            for word in words {
                read(word, &mut share, &mut bounds).map_err(refuse)?;
            }
            if tenancy.bounds.insert(name.clone(), bounds).is_some() {
                return Err(refuse(format!("`{name}` has another line")));
            }
            tenancy.shares.0.insert(name, share);
        }
        Ok(tenancy)
    }

    /// Returns what the jobs of a tenant may be. Those of nobody, and of a tenant that is not listed, may
    /// be anything.
    pub fn bounds(&self, tenant: Option<&Tenant>) -> Bounds {
        let listed = tenant.and_then(|tenant| self.bounds.get(tenant));
        listed.cloned().unwrap_or_default()
    }
}

/// Reads one setting of a tenant.
fn read(word: &str, share: &mut TenantShare, bounds: &mut Bounds) -> Result<(), String> {
    let (key, value) = word.split_once('=').unwrap_or((word, ""));
    let number = || match value.parse::<u64>() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("`{key}` must be a number from 1 on, not `{value}`")),
    };
    match key {
        "weight" => share.weight = number()?.min(MOST_WEIGHT),
        "slots" => share.most_slots = Some(number()?),
        "rows" => bounds.most_rows = Some(number()?),
        "allow" => bounds.allowed.push(value.parse()?),
        _ => {
            return Err(format!(
                "unknown setting `{word}`; there are `weight=N`, `slots=N`, `rows=N` and `allow=PLACE`"
            ));
        }
    }
    Ok(())
}

/// A heavier tenant gets all but a millionth of the workers anyway.
const MOST_WEIGHT: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_has_what_its_line_says() {
        let text =
            "# teams\nnlp weight=3 rows=100 allow=s3://nlp/ allow=/data/nlp # main\n\nweb slots=8";
        let tenancy = Tenancy::parse(text).unwrap();
        let (nlp, web): (Tenant, Tenant) = ("nlp".parse().unwrap(), "web".parse().unwrap());
        let share = |weight, most_slots| TenantShare { weight, most_slots };
        let shares = [
            (nlp.clone(), share(3, None)),
            (web.clone(), share(1, Some(8))),
        ];
        assert_eq!(tenancy.shares.0, BTreeMap::from(shares));
        let bounds = Bounds {
            most_rows: Some(100),
            allowed: vec!["s3://nlp/".parse().unwrap(), "/data/nlp".parse().unwrap()],
        };
        assert_eq!(tenancy.bounds(Some(&nlp)), bounds);
        for anybody in [Some(&web), None] {
            assert_eq!(tenancy.bounds(anybody), Bounds::default());
        }
    }

    #[test]
    fn a_line_that_is_not_understood_is_refused_with_its_number() {
        for (text, named) in [
            ("\nnlp wait=3", "line 2: unknown setting `wait=3`"),
            (
                "nlp weight=0",
                "line 1: `weight` must be a number from 1 on",
            ),
            ("nlp slots", "line 1: `slots` must be"),
            ("nlp allow=data", "line 1: `data` is neither"),
            ("n/a", "line 1: `n/a` cannot be the name of a tenant"),
            ("nlp\nnlp", "line 2: `nlp` has another line"),
        ] {
            let refused = Tenancy::parse(text).unwrap_err();
            assert!(refused.contains(named), "{refused}");
        }
    }
}
