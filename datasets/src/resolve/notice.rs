//! What a user should know about how a dataset is read, although it can be read.

use std::fmt;

/// Something about a dataset that is read otherwise than its card says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The card gives arguments that no builder has. `datasets` ignores them too.
    UnknownArguments {
        /// The configuration.
        config: String,
        /// The arguments' names.
        names: Vec<String>,
    },
    /// The card gives the types of the columns, to which `datasets` casts what it reads.
    TypesNotApplied {
        /// The configuration.
        config: String,
    },
    /// The repository is a program, and its rows are read from the Hub's own copy in Parquet.
    ParquetBranch {
        /// The repository.
        repository: String,
    },
    /// The Hub's copy in Parquet has only the first rows of the split.
    PartialSplit {
        /// The split.
        split: String,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownArguments { config, names } => write!(
                f,
                "the configuration `{config}` sets `{}`, which the format does not have; ignored",
                names.join("`, `")
            ),
            Self::TypesNotApplied { config } => write!(
                f,
                "the configuration `{config}` gives its columns types (`features`); values are \
                 read as the files hold them"
            ),
            Self::ParquetBranch { repository } => write!(
                f,
                "`{repository}` is loaded by a script, which is never run; reading the Hub's copy \
                 in Parquet, the branch `refs/convert/parquet`"
            ),
            Self::PartialSplit { split } => write!(
                f,
                "the Hub's copy in Parquet has only the first rows of `{split}`"
            ),
        }
    }
}
