//! The heatmaps of two runs.

use super::shared::SharedScores;
use crate::args::CompareMode;
use crate::viz::{self, Heatmap};

/// A heatmap and the run that it is from: `A`, `B` or `A − B`.
#[derive(Debug)]
pub(crate) struct RunHeatmap {
    pub(crate) run: &'static str,
    pub(crate) heatmap: Heatmap,
}

/// The step scores of two runs.
#[derive(Debug)]
pub(crate) struct StepScores {
    names: [Vec<String>; 2],
}

impl StepScores {
    /// Makes them of the names of both runs, in the order in which attributions list them.
    pub(crate) fn new(names: [Vec<String>; 2]) -> Self {
        Self { names }
    }

    /// Returns the step scores that both runs have: their names, and their indices in both.
    fn shared(&self) -> (Vec<String>, Vec<(usize, usize)>) {
        let [first, second] = &self.names;
        let own = first.iter().enumerate();
        let shared = own.filter_map(|(index, name)| {
            let other = second.iter().position(|other| other == name)?;
            Some((name.clone(), (index, other)))
        });
        shared.unzip()
    }

    /// Returns the heatmaps of an example. Those of both runs share one scale of colors.
    pub(crate) fn heatmaps(&self, shared: &SharedScores, mode: CompareMode) -> Vec<RunHeatmap> {
        match mode {
            CompareMode::Difference => {
                let (names, indices) = self.shared();
                let heatmaps = viz::heatmaps(&shared.difference(&indices), &names);
                (heatmaps.into_iter())
                    .map(|heatmap| of_run("A − B", heatmap))
                    .collect()
            }
            CompareMode::SideBySide => {
                let [first, second] = &self.names;
                let mut first = viz::heatmaps(&shared.first, first);
                let mut second = viz::heatmaps(&shared.second, second);
                let all = first.iter_mut().chain(&mut second);
                let limit = all.fold(0.0, |limit: f32, own| limit.max(own.example_limit));
                for heatmap in first.iter_mut().chain(&mut second) {
                    heatmap.example_limit = limit;
                }
                let pairs = first.into_iter().zip(second);
                pairs
                    .flat_map(|(first, second)| [of_run("A", first), of_run("B", second)])
                    .collect()
            }
        }
    }
}

fn of_run(run: &'static str, mut heatmap: Heatmap) -> RunHeatmap {
    heatmap.title = format!("{run}: {}", heatmap.title);
    RunHeatmap { run, heatmap }
}

#[cfg(test)]
mod tests {
    use super::super::shared::tests::attribution;
    use super::*;

    #[test]
    fn both_runs_have_one_scale_and_keep_their_own_step_scores() {
        let shared = SharedScores::new(
            &attribution(&[0.5], &[0.25, 0.75]),
            &attribution(&[2.0], &[0.25, 0.75]),
        )
        .unwrap();
        let names = |name: &str| vec![name.to_owned()];
        let scores = StepScores::new([names("probability"), names("entropy")]);
        let beside = scores.heatmaps(&shared, CompareMode::SideBySide);
        let titles: Vec<_> = beside
            .iter()
            .map(|own| own.heatmap.title.as_str())
            .collect();
        assert_eq!(
            titles,
            ["A: Target Saliency Heatmap", "B: Target Saliency Heatmap"]
        );
        for own in &beside {
            assert_eq!(own.heatmap.example_limit, 2.0);
            assert_eq!(own.heatmap.step_scores.len(), 1);
        }
        let difference = scores.heatmaps(&shared, CompareMode::Difference);
        assert_eq!(
            difference[0].heatmap.rows[0].scores,
            [Some(-1.5), Some(0.0)]
        );
        assert!(difference[0].heatmap.step_scores.is_empty());
    }
}
