//! Flags of Inseq that whence does not support. They are refused with a reason, never ignored.

use crate::Failure;

/// A flag of Inseq, without its dashes, and why it is refused.
struct Refused {
    names: &'static [&'static str],
    reason: &'static str,
}

const HUB: &str =
    "whence cannot reach the Hub; download the dataset and give its path to --dataset-name";

const REFUSED: &[Refused] = &[
    Refused {
        names: &["dataset-config", "config"],
        reason: HUB,
    },
    Refused {
        names: &["dataset-dir", "dir"],
        reason: "give the folder to --dataset-name",
    },
    Refused {
        names: &["dataset-revision", "dataset-auth-token", "auth"],
        reason: HUB,
    },
    Refused {
        names: &["dataset-kwargs"],
        reason: "these are arguments of `datasets`, which does not run here",
    },
];

/// Ends the help of commands that have Inseq's flags.
pub(super) const HELP: &str = "\
Flags may be written with `_` or `-`. Inseq's --device, --model_kwargs, --aggregate_output
and --output_step_attributions are accepted if they change nothing (`--device cpu`). Any other
value, and the --dataset_* flags that reach the Hub, are refused with the reason.

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
            assert!(
                HELP.contains(&flag) || flag.starts_with("--dataset_"),
                "{flag}"
            );
        }
    }
}
