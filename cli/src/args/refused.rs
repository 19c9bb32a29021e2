//! Flags that Inseq has and we cannot serve: refused with a reason, never ignored.

use crate::Failure;

/// A flag of Inseq's, without its dashes, and why it is refused.
struct Refused {
    names: &'static [&'static str],
    reason: &'static str,
}

const HUB: &str = "the Hub is not reached from here; download the dataset and give its path";

const REFUSED: &[Refused] = &[
    Refused {
        names: &["device", "dev"],
        reason: "the device is the worker's own; leave it out",
    },
    Refused {
        names: &["model-kwargs"],
        reason: "these are arguments of transformers; the model's own config files decide",
    },
    Refused {
        names: &["generate-from-target-prefix"],
        reason: "give the whole text to explain instead",
    },
    Refused {
        names: &["output-step-attributions"],
        reason: "Inseq cannot load the files it writes with it; every step is in the table",
    },
    Refused {
        names: &["aggregate-output"],
        reason: "in Inseq it only changes a message; name --attribution-aggregators",
    },
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
Flags may be written with `_` or `-`. Inseq's --device, --model_kwargs,
--generate_from_target_prefix, --output_step_attributions, --aggregate_output and the --dataset_*
flags that reach the Hub are refused, each with its reason.";

/// Fails if `flag`, normalized and without its dashes, is one we cannot serve.
pub(super) fn check(flag: &str) -> Result<(), Failure> {
    let found = REFUSED.iter().find(|refused| refused.names.contains(&flag));
    found.map_or(Ok(()), |refused| {
        Err(Failure::request(format!(
            "`--{flag}` cannot be served: {}",
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
