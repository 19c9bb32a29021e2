//! Who may call a coordinator, over what, and what their jobs may name.
//!
//! [`tokens`] knows who holds which token, `roles` which calls a role may make, [`Guard`] checks every
//! call before a service sees it, [`places`] bounds what a job may name, and [`Tenancy`] says what each
//! team may have. `docs/security.md` says
//! against whom.

mod caller;
mod guard;
mod options;
pub mod places;
mod requirements;
mod roles;
mod tenancy;
pub mod tokens;

pub use caller::Caller;
pub use guard::Guard;
pub use options::AccessOptions;
pub use requirements::{Access, Admission, Visitors};
pub use roles::Role;
pub(crate) use roles::may;
pub use tenancy::{Bounds, Tenancy};
