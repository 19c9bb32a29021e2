//! Who may call a coordinator, over what, and what their jobs may name.
//!
//! [`tokens`] knows who holds which token, `roles` which calls a role may make, [`Guard`] checks every
//! call before a service sees it, and [`places`] bounds what a job may name. `docs/security.md` says
//! against whom.

mod guard;
mod options;
pub mod places;
mod requirements;
mod roles;
pub mod tokens;

pub use guard::Guard;
pub use options::AccessOptions;
pub use requirements::Access;
pub use roles::Role;
