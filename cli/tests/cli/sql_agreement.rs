//! The views that compare jobs with each other: `run_params`, `pairwise` and `drift`.

use crate::run::{attribute_dataset, sql};

/// Returns the answer to a query, without its header.
fn answer(root: &std::path::Path, query: &str) -> String {
    let answer = sql(root, query, &["--format", "csv"]).succeeded();
    let lines: Vec<_> = answer.lines().skip(1).collect();
    lines.join("\n")
}

/// Three jobs over the same rows: two methods, and a repetition of the first.
fn jobs() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for more in [
        &["-a", "saliency", "--run-id", "monday"][..],
        &["-a", "attention"],
        &["-a", "saliency", "--run-id", "tuesday"],
    ] {
        let more = [more, &["--attribute_target", "--hide"]].concat();
        attribute_dataset(folder.path(), "train[:4]", &more).succeeded();
    }
    folder
}

#[test]
fn a_pair_of_jobs_agrees_as_far_as_its_ranks_and_shares_do() {
    let root = jobs();
    let root = root.path();
    // The same from the scores, in another way: `corr` of the ranks, and sets of the strongest tokens.
    let by_hand = "WITH both AS (SELECT a.job AS first, b.job AS second, a.example_id, a.step, \
           a.rank AS one, b.rank AS other, \
           a.share AS own, b.share AS others \
         FROM attributions a JOIN attributions b ON a.example_id = b.example_id AND a.step = b.step \
           AND a.side = b.side AND a.source_position = b.source_position \
         WHERE a.side = 'source' AND a.job < b.job AND a.method <> b.method), \
         steps AS (SELECT corr(one, other) AS rho, \
           max(CASE WHEN one = 1 AND other = 1 THEN 1.0 ELSE 0.0 END) AS same, \
           sum(abs(own - others)) / 2 AS moved FROM both \
           GROUP BY first, second, example_id, step) \
         SELECT count(*), round(avg(rho), 5), round(avg(same), 5), round(avg(moved), 5) FROM steps";
    let view = "SELECT sum(steps), round(avg(rank_correlation), 5), round(avg(same_strongest), 5), \
           round(avg(moved_share), 5) FROM pairwise p \
         JOIN runs a ON p.job = a.job JOIN runs b ON p.other_job = b.job \
         WHERE side = 'source' AND a.method <> b.method";
    // Saliency is there twice, with the same numbers, so both have two equal pairs.
    assert_eq!(answer(root, by_hand), answer(root, view));
    // Of the three strongest tokens, `shared` are common: shared / 3 and shared / (6 − shared).
    let shares = "SELECT count(*) FROM pairwise WHERE top_overlap < top_jaccard OR top_overlap > 1 \
         OR top_jaccard <= 0";
    assert_eq!(answer(root, shares), "0");
    assert_eq!(answer(root, "SELECT count(*) FROM pairwise"), "6");
}

#[test]
fn a_job_drifts_from_the_one_that_it_repeats() {
    let root = jobs();
    let drift = "SELECT later.run_id, earlier.run_id, side, rank_correlation, top_jaccard, moved_share \
         FROM drift JOIN jobs later ON later.job = drift.job \
         JOIN jobs earlier ON earlier.job = drift.before ORDER BY side";
    assert_eq!(
        answer(root.path(), drift),
        "tuesday,monday,source,1.0,1.0,0.0\ntuesday,monday,target,1.0,1.0,0.0"
    );
    let differ = "SELECT a.name, a.value, b.value FROM run_params a \
         JOIN run_params b ON a.name = b.name AND a.value <> b.value \
         WHERE a.job IN (SELECT job FROM jobs WHERE run_id = 'monday') \
           AND b.job IN (SELECT job FROM jobs WHERE run_id = 'tuesday')";
    assert_eq!(answer(root.path(), differ), "run_id,monday,tuesday");
}
