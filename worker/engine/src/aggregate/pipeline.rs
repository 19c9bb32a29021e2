//! A sequence of aggregators, run as scores are computed, on a stored attribution, or on two.

use std::borrow::Cow;

use whence_schemas::FunctionSpec;

use super::aggregator::{Aggregator, Context, Defaults};
use super::aggregators::AGGREGATORS;
use super::cells::Cells;
use super::raw::{RawScores, RawSequenceScores, StepScores};
use super::scores::Scores;
use super::stage::Stage;
use crate::kernels::Tensor;
use crate::registry;
use crate::{Attribution, Error, ScoreRows, SequenceScores, StepAttribution};

/// A sequence of aggregators.
#[derive(Debug)]
pub struct Pipeline {
    stages: Vec<Stage>,
    defaults: Defaults,
}

impl Pipeline {
    /// Builds a pipeline of `aggregators`. Fails on an unknown name or parameter.
    pub fn build(aggregators: &[FunctionSpec], defaults: Defaults) -> Result<Self, Error> {
        let build = |spec: &FunctionSpec| -> Result<Stage, Error> {
            let (name, params) = (&spec.name, &spec.params);
            let stage = registry::build(AGGREGATORS, name, params, "aggregator", "aggregators")?;
            match &*stage {
                Stage::StepWise(scores) => scores.validate(defaults)?,
                Stage::Whole(aggregator) => aggregator.validate(defaults)?,
                Stage::Paired(_) => {}
            }
            Ok(*stage)
        };
        Ok(Self {
            stages: aggregators.iter().map(build).collect::<Result<_, _>>()?,
            defaults,
        })
    }

    /// Returns the defaults for parameters that stages leave unset.
    pub fn defaults(&self) -> Defaults {
        self.defaults
    }

    /// Fails if a stage needs more than the one example at hand while a job computes: a second
    /// attribution, or the columns of the dataset.
    pub fn check_for_job(&self) -> Result<(), Error> {
        let refused = |reason: &str| {
            let reason = reason.to_owned();
            Err(Error::Specification { reason })
        };
        for stage in &self.stages {
            match stage {
                Stage::Paired(_) => {
                    return refused(
                        "`pair` compares two runs, so it comes after them: \
                         whence aggregate JOB pair --with OTHER",
                    );
                }
                Stage::Whole(aggregator) if aggregator.reads_columns() => {
                    return refused(
                        "spans are read from a column once the job is done: \
                         whence aggregate JOB 'spans:source_column=…'",
                    );
                }
                Stage::Whole(_) | Stage::StepWise(_) => {}
            }
        }
        Ok(())
    }

    /// Returns whether the pipeline has no stages.
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    /// Returns whether a stage compares with a second attribution.
    pub fn needs_partner(&self) -> bool {
        self.partner_stage().is_some()
    }

    /// Returns the index of the stage that needs a second attribution.
    fn partner_stage(&self) -> Option<usize> {
        let is_paired = |stage: &Stage| matches!(stage, Stage::Paired(_));
        self.stages.iter().position(is_paired)
    }

    /// Runs all stages on an attribution whose scores are as they were stored. On raw scores, the
    /// result has the same bits as if the stages had run while the scores were computed.
    ///
    /// Fails if a stage needs a second attribution.
    pub fn aggregate(
        &self,
        attribution: Attribution,
        context: &Context<'_>,
    ) -> Result<Attribution, Error> {
        run(&self.stages, Cow::Owned(attribution), context)
    }

    /// Like [`Pipeline::aggregate`], for raw scores that are kept: they are not copied.
    pub fn aggregate_kept(
        &self,
        attribution: &Attribution,
        context: &Context<'_>,
    ) -> Result<Attribution, Error> {
        run(&self.stages, Cow::Borrowed(attribution), context)
    }

    /// Like [`Pipeline::aggregate`], with a second attribution for the stage `pair`. The stages
    /// before `pair` run on both, and the stages after it on what it makes of the two.
    pub fn aggregate_pair(
        &self,
        (first, second): (Attribution, Attribution),
        (of_first, of_second): (&Context<'_>, &Context<'_>),
    ) -> Result<Attribution, Error> {
        let Some(index) = self.partner_stage() else {
            return self.aggregate(first, of_first);
        };
        let (before, from_pair) = self.stages.split_at(index);
        let first = run(before, Cow::Owned(first), of_first)?;
        let second = run(before, Cow::Owned(second), of_second)?;
        let (Some(Stage::Paired(pair)), after) = (from_pair.first(), &from_pair[1..]) else {
            return run(from_pair, Cow::Owned(first), of_first);
        };
        let pair = pair.apply(&first, &second)?;
        run(after, Cow::Owned(pair), of_first)
    }

    /// Runs the stages that need only one step on the scores of that step. Fails if there are more
    /// stages than axes to reduce.
    pub fn apply(&self, raw: &RawScores) -> Result<StepScores, Error> {
        let (first, further) = self.step_wise();
        let cells = |raw: &Option<Tensor>| {
            let raw = raw.as_ref();
            raw.map(|raw| self.cells(first, raw)).transpose()
        };
        let mut sides = [cells(&raw.source)?, cells(&raw.target)?];
        if let Some(first) = first {
            first.normalize_step(&mut sides, self.defaults);
        }
        for scores in further {
            scores.reduce(&mut sides, self.defaults)?;
        }
        let [source, target] = sides.map(|side| side.map(Cells::into_rows));
        Ok(StepScores { source, target })
    }

    /// Like [`Pipeline::apply`], for scores that belong to no step. They are reduced the same way
    /// but not normalized, as in Inseq.
    pub fn apply_to_sequence(&self, raw: &RawSequenceScores) -> Result<SequenceScores, Error> {
        let column = |raw: &Tensor| {
            let (first, further) = self.step_wise();
            let mut column = self.cells(first, raw)?;
            for scores in further {
                scores.reduce_side(&mut column, self.defaults.reduction)?;
            }
            Ok(column.into_rows())
        };
        Ok(SequenceScores {
            name: raw.name.to_owned(),
            side: raw.side,
            columns: raw
                .columns
                .iter()
                .map(column)
                .collect::<Result<_, Error>>()?,
        })
    }

    /// Returns the stages before the first one that needs the whole attribution, split into the
    /// first, which reduces the raw scores where they are computed, and the rest.
    fn step_wise(&self) -> (Option<&Scores>, impl Iterator<Item = &Scores>) {
        let mut stages = step_wise(&self.stages);
        (stages.next(), stages)
    }

    /// Reduces raw scores by the first stage, or copies them if there is none.
    fn cells(&self, first: Option<&Scores>, raw: &Tensor) -> Result<Cells, Error> {
        match first {
            Some(scores) => scores.reduce_raw(raw, self.defaults.reduction),
            None => Cells::from_tensor(raw),
        }
    }

    /// Runs the remaining stages on an attribution whose steps already went through
    /// [`Pipeline::apply`].
    pub fn finish(
        &self,
        attribution: Attribution,
        context: &Context<'_>,
    ) -> Result<Attribution, Error> {
        let done = step_wise(&self.stages).count();
        run_each(&self.stages[done..], attribution, context)
    }
}

/// Returns the stages before the first one that needs the whole attribution.
fn step_wise(stages: &[Stage]) -> impl Iterator<Item = &Scores> {
    let stages = stages.iter().map_while(|stage| match stage {
        Stage::StepWise(scores) => Some(scores),
        Stage::Whole(_) | Stage::Paired(_) => None,
    });
    // Fused, because `map_while` may continue after it has returned `None`: the stages behind a
    // whole stage must not run here.
    stages.fuse()
}

/// Runs `stages` on stored scores.
///
/// The first stages, if they need only one step, run in double precision without rounding in
/// between, as they do while the scores are computed.
fn run(
    stages: &[Stage],
    attribution: Cow<'_, Attribution>,
    context: &Context<'_>,
) -> Result<Attribution, Error> {
    let first: Vec<_> = step_wise(stages).collect();
    let attribution = if first.is_empty() {
        attribution.into_owned()
    } else {
        reduced(&first, &attribution, context.defaults)?
    };
    run_each(&stages[first.len()..], attribution, context)
}

/// Runs `stages` one after the other.
fn run_each(
    stages: &[Stage],
    mut attribution: Attribution,
    context: &Context<'_>,
) -> Result<Attribution, Error> {
    for stage in stages {
        attribution = match stage {
            Stage::StepWise(scores) => scores.aggregate(attribution, context)?,
            Stage::Whole(aggregator) => aggregator.aggregate(attribution, context)?,
            Stage::Paired(_) => {
                return Err(Error::Specification {
                    reason: "`pair` needs a second run: add --with OTHER".to_owned(),
                });
            }
        };
    }
    Ok(attribution)
}

/// Reduces the scores of all steps by `stages`.
fn reduced(
    stages: &[&Scores],
    attribution: &Attribution,
    defaults: Defaults,
) -> Result<Attribution, Error> {
    let of_step = |step: &StepAttribution| {
        let sides = [&step.source, &step.target];
        let mut sides = sides.map(|side| side.as_ref().map(Cells::from_rows));
        for scores in stages {
            scores.reduce(&mut sides, defaults)?;
        }
        let [source, target] = sides.map(|side| side.map(Cells::into_rows));
        Ok(StepAttribution {
            target_pos: step.target_pos,
            source,
            target,
            step_scores: step.step_scores.clone(),
            contrast: step.contrast.clone(),
        })
    };
    let column = |rows: &ScoreRows| {
        let mut column = Cells::from_rows(rows);
        for scores in stages {
            scores.reduce_side(&mut column, defaults.reduction)?;
        }
        Ok(column.into_rows())
    };
    let of_sequence = |scores: &SequenceScores| {
        let columns = scores.columns.iter().map(column);
        Ok(SequenceScores {
            name: scores.name.clone(),
            side: scores.side,
            columns: columns.collect::<Result<_, Error>>()?,
        })
    };
    let steps = attribution.steps.iter().map(of_step);
    let sequences = attribution.sequence_scores.iter().map(of_sequence);
    Ok(Attribution {
        source: attribution.source.clone(),
        target: attribution.target.clone(),
        generated_text: attribution.generated_text.clone(),
        steps: steps.collect::<Result<_, Error>>()?,
        sequence_scores: sequences.collect::<Result<_, Error>>()?,
        ..*attribution
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{aggregated, attribution, context, defaults, step_scores};
    use super::*;

    #[test]
    fn stored_raw_scores_are_aggregated_as_computed_ones() {
        for stages in [
            json!(["vnorm"]),
            json!(["sum", "subwords"]),
            json!(["subwords", "vnorm"]),
            json!([{"name": "mean", "params": {"normalize": false}}, "rescale"]),
        ] {
            let specs: Vec<FunctionSpec> = serde_json::from_value(stages.clone()).unwrap();
            let pipeline = Pipeline::build(&specs, defaults()).unwrap();
            let stored = pipeline.aggregate(attribution(), &context(&step_scores()));
            // As text, because a missing cell is NaN, which equals nothing.
            let text = |attribution: Attribution| format!("{attribution:?}");
            assert_eq!(text(stored.unwrap()), text(aggregated(stages).unwrap()));
        }
    }

    #[test]
    fn pair_needs_a_second_attribution() {
        let pipeline = Pipeline::build(&[FunctionSpec::named("pair")], defaults()).unwrap();
        assert!(pipeline.needs_partner());
        let alone = pipeline.aggregate(attribution(), &context(&step_scores()));
        assert!(alone.unwrap_err().to_string().contains("--with OTHER"));
        let in_job = pipeline.check_for_job().unwrap_err().to_string();
        assert!(in_job.contains("whence aggregate JOB pair"), "{in_job}");
    }

    /// `vnorm` reduces both attributions before they are paired, and `rescale` what is made of them.
    #[test]
    fn stages_before_pair_run_on_both() {
        let mut other = attribution();
        for step in &mut other.steps {
            for rows in [&mut step.source, &mut step.target].into_iter().flatten() {
                rows.values.iter_mut().for_each(|value| *value *= 3.0);
            }
        }
        let scores = step_scores();
        let context = context(&scores);
        let paired = |function: &str| {
            let raw = json!({"name": "vnorm", "params": {"normalize": false}});
            let pair = json!({"name": "pair", "params": {"aggregate_fn": function}});
            let specs = serde_json::from_value::<Vec<FunctionSpec>>(json!([raw, pair])).unwrap();
            let pipeline = Pipeline::build(&specs, defaults()).unwrap();
            let both = (attribution(), other.clone());
            let found = pipeline.aggregate_pair(both, (&context, &context)).unwrap();
            found.steps[0].source.clone().unwrap().values
        };
        assert_eq!(paired("difference"), [10.0, 0.0]);
        assert_eq!(paired("subtraction"), [-10.0, 0.0]);
        assert_eq!(paired("mean"), [10.0, 0.0]);
        assert_eq!(paired("prod"), [75.0, 0.0]);
        assert_eq!(paired("absmax"), [15.0, 0.0]);
    }
}
