//! `run_params`: the parameters of each job as rows, for finding what two jobs differ in.

use super::keys::JOB;
use super::view::{Column, Rows, View, column};

pub(super) const VIEW: View = View {
    name: "run_params",
    about: "One row per job and parameter: `runs` turned on its side, to find what jobs differ in. \
            Parameters that a job does not have are left out.",
    columns: COLUMNS,
    rows: Rows::Query(|_| query()),
};

const COLUMNS: &[Column] = &[
    JOB,
    column("name", "Name of the parameter: a column of `runs`."),
    column("value", "Its value as text."),
];

/// The columns of `runs` that become rows.
pub(super) const PARAMETERS: [&str; 20] = [
    "model_path",
    "model_digest",
    "dataset_location",
    "split",
    "input_field",
    "generated_field",
    "method",
    "method_params",
    "attributed_fn",
    "attributed_fn_params",
    "step_scores",
    "aggregators",
    "normalize",
    "attribute_target",
    "generation",
    "dtype",
    "compat",
    "seed",
    "run_id",
    "retry_of",
];

fn query() -> String {
    let of_one = |name: &str| {
        format!(
            "SELECT job, '{name}' AS name, CAST({name} AS VARCHAR) AS value FROM runs \
             WHERE {name} IS NOT NULL"
        )
    };
    PARAMETERS.map(of_one).join(" UNION ALL ")
}

#[cfg(test)]
mod tests {
    use super::super::catalog_tables::RUNS;
    use super::*;

    #[test]
    fn every_parameter_of_a_run_is_a_row() {
        let columns = RUNS.columns.iter().map(|column| column.name);
        let parameters: Vec<_> = columns.filter(|name| *name != "job").collect();
        assert_eq!(parameters, PARAMETERS);
    }
}
