//! Flags of Inseq that whence does not support. They are refused with a reason, never ignored.

use crate::Failure;

/// A flag of Inseq, without its dashes, and why it is refused.
struct Refused {
    names: &'static [&'static str],
    reason: &'static str,
}

const REFUSED: &[Refused] = &[Refused {
    names: &["dataset-auth-token", "auth"],
    reason: "a token does not belong on a command line; set HF_TOKEN, or log in with `hf auth login`",
}];

/// Ends the help of commands that have Inseq's flags.
pub(super) const HELP: &str = "\
Flags may be written with `_` or `-`. Inseq's --model_kwargs, --aggregate_output and
--output_step_attributions are accepted if they change nothing. Any other value, and
--dataset_auth_token, are refused with the reason.

Exit status: 0 done, 1 something failed, 2 invalid request, 130 interrupted.";

/// Ends the help of `attribute-context`, which in Inseq too has fewer flags.
pub(super) const CONTEXT_HELP: &str = "\
Flags may be written with `_` or `-`. Inseq's --model_kwargs are accepted if they change nothing.
Any other value is refused with the reason.

Exit status: 0 done, 1 something failed, 2 invalid request, 130 interrupted.";

/// Fails if `flag`, normalized and without its dashes, is not supported.
pub(super) fn check(flag: &str) -> Result<(), Failure> {
    let found = REFUSED.iter().find(|refused| refused.names.contains(&flag));
    found.map_or(Ok(()), |refused| {
        Err(Failure::request(format!(
            "`--{flag}` is not supported: {}",
            refused.reason
        )))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_what_is_refused() {
        for refused in REFUSED {
            let flag = format!("--{}", refused.names[0].replace('-', "_"));
            assert!(HELP.contains(&flag), "{flag}");
        }
    }
}
