//! Rules by which a mixture turns the router's logits into a choice of experts and their weights.

/// How a mixture chooses and weighs its experts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RoutingSpec {
    /// What turns the logits of a row into scores.
    pub scoring: Scoring,
    /// Whether the scores of the chosen experts are divided by their sum.
    pub sums_to_one: bool,
    /// Factor of the weights, after that division.
    pub scale: f64,
    /// Groups of experts, if each row may use only the experts of some groups.
    pub groups: Option<ExpertGroups>,
}

/// How the rows of a mixture choose experts.
#[derive(Debug)]
pub(crate) struct Routing {
    pub(crate) spec: RoutingSpec,
    /// How many experts a row uses.
    pub(crate) num_chosen: usize,
    /// What is added to each expert's score for the choice alone, not for the weights. Trained to
    /// keep experts equally busy. `[experts]`
    pub(crate) correction: Option<Vec<f64>>,
}

/// What turns router logits into scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scoring {
    /// The softmax over all experts.
    Softmax,
    /// The sigmoid of each logit.
    Sigmoid,
}

/// Experts in groups of consecutive ones. A row first chooses groups and then experts in them.
///
/// Source: DeepSeek-AI 2024, <https://arxiv.org/abs/2405.04434>, section 2.1.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpertGroups {
    /// Number of groups, all of the same size.
    pub count: usize,
    /// How many groups a row may use.
    pub chosen: usize,
    /// How many of a group's best experts are added up to rank the group.
    pub ranked_by: usize,
}

impl RoutingSpec {
    /// Returns the rule of Shazeer et al. 2017: the softmax over all experts, rescaled to sum to 1
    /// over the chosen ones if `sums_to_one` says so.
    pub fn softmax(sums_to_one: bool) -> Self {
        Self {
            scoring: Scoring::Softmax,
            sums_to_one,
            scale: 1.0,
            groups: None,
        }
    }

    /// Returns the rule of DeepSeek-V3: a sigmoid for each expert.
    pub fn sigmoid(sums_to_one: bool, scale: f64) -> Self {
        Self {
            scoring: Scoring::Sigmoid,
            scale,
            ..Self::softmax(sums_to_one)
        }
    }

    /// Returns whether the weights are the softmax over the logits of the chosen experts alone, so
    /// that the scores of the others do not matter.
    pub(in crate::kernels) fn is_softmax_of_chosen(&self) -> bool {
        self.scoring == Scoring::Softmax && self.sums_to_one
    }
}
