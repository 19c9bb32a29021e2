//! `expression`: a step function written in the job and differentiated automatically.
//!
//! Quantities have one number per token: `logits`, `logp` and `p` of the model's prediction, and
//! `contrast_logits`, `contrast_logp` and `contrast_p` of the contrast's. `v[target]`,
//! `v[contrast]` and `v[17]` select the number of one token. The operators are `+ - * / ^`. The
//! functions `exp`, `log`, `sqrt`, `abs`, `min` and `max` apply to numbers, or token by token.
//! `sum`, `mean`, `min` and `max` reduce over the tokens. For example,
//! `logp[target] - logp[contrast]` is `contrast_prob_diff` with `logprob`, and `-sum(p * logp)` is
//! `entropy`. A name of the form `expr:…` is short for an expression.

mod evaluate;
mod parse;
mod tree;

use serde::{Deserialize, Serialize};
use whence_schemas::Compat;

use super::{Slopes, Step, StepFunction};
use crate::aggregate::Reduction;
use crate::registry::Describe;
use parse::{ParseError, parse};
use tree::Tree;

/// Prefix of a function name that is itself an expression.
pub(super) const PREFIX: &str = "expr:";

/// A step function written in the job.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Parameters", into = "Parameters")]
pub(super) struct Expression {
    parameters: Parameters,
    tree: Tree,
}

/// The parameters of [`Expression`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Parameters {
    /// The expression.
    expression: String,
    /// How scores are merged when tokens are merged into one.
    merged_by: Reduction,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            expression: "p[target]".to_owned(),
            merged_by: Reduction::AbsMax,
        }
    }
}

impl TryFrom<Parameters> for Expression {
    type Error = ParseError;

    fn try_from(parameters: Parameters) -> Result<Self, ParseError> {
        let tree = parse(&parameters.expression)?;
        Ok(Self { parameters, tree })
    }
}

impl From<Expression> for Parameters {
    fn from(expression: Expression) -> Self {
        expression.parameters
    }
}

impl Default for Expression {
    fn default() -> Self {
        Self::try_from(Parameters::default()).expect("the default is an expression")
    }
}

impl Describe for Expression {
    const NAME: &'static str = "expression";
    const SUMMARY: &'static str =
        "a formula such as `logp[target] - logp[contrast]`; `expr:…` for short";
}

impl StepFunction for Expression {
    fn value(&self, step: &Step<'_>) -> f64 {
        evaluate::value(&self.tree, step)
    }

    fn add_gradient(&self, step: &Step<'_>, slopes: &mut Slopes) {
        evaluate::add_gradient(&self.tree, step, slopes);
    }

    fn is_contrastive(&self) -> bool {
        self.tree.reads_contrast()
    }

    fn merged_by(&self, _: Compat) -> Reduction {
        self.parameters.merged_by
    }
}

#[cfg(test)]
mod tests;
