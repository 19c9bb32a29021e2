//! The names of Inseq's classes, which the objects of a file carry.

/// Module of the classes that hold attributions.
pub(super) const DATA: &str = "inseq.data.attribution";
/// Class of the whole file.
pub(super) const OUTPUT: &str = "FeatureAttributionOutput";
/// Module and class of a token.
pub(super) const TOKEN: (&str, &str) = ("inseq.utils.typing", "TokenWithId");

/// The class of an example: how its raw scores are aggregated by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SequenceClass {
    /// Without scores of tokens, as of the method `dummy`.
    Plain,
    /// One vector per token, reduced by its length.
    Granular,
    /// One score per token.
    Coarse,
    /// Layers and heads, reduced by the mean.
    MultiDimensional,
}

impl SequenceClass {
    const ALL: [Self; 4] = [
        Self::Plain,
        Self::Granular,
        Self::Coarse,
        Self::MultiDimensional,
    ];

    /// Returns the name of the class.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain => "FeatureAttributionSequenceOutput",
            Self::Granular => "GranularFeatureAttributionSequenceOutput",
            Self::Coarse => "CoarseFeatureAttributionSequenceOutput",
            Self::MultiDimensional => "MultiDimensionalFeatureAttributionSequenceOutput",
        }
    }

    /// Returns the class called `name`.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }

    /// Returns the class of scores with `dimensions` further dimensions per token, which their
    /// method reduces by `function`.
    pub(super) fn of_scores(dimensions: usize, function: Option<&str>) -> Self {
        match (dimensions, function) {
            (0, _) => Self::Coarse,
            (1, Some("vnorm") | None) => Self::Granular,
            _ => Self::MultiDimensional,
        }
    }

    /// Returns the aggregators that leave one score per token of scores with `dimensions` further
    /// dimensions.
    pub(super) fn default_aggregators(self, dimensions: usize) -> Vec<&'static str> {
        let function = match self {
            Self::MultiDimensional => "mean",
            Self::Plain | Self::Granular | Self::Coarse => "vnorm",
        };
        vec![function; dimensions]
    }
}
