//! Who makes a call.

use crate::job::Tenant;

/// Who makes a call, as far as its jobs are concerned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caller {
    /// The team of its token. None sees the jobs of all teams: an operator, or a coordinator that asks
    /// for no tokens.
    pub tenant: Option<Tenant>,
}

impl Caller {
    /// Returns whether it may see, pause and cancel the jobs of `tenant`.
    pub fn may_see(&self, tenant: Option<&Tenant>) -> bool {
        self.tenant.is_none() || self.tenant.as_ref() == tenant
    }
}
