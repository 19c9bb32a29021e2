//! The analysis of an example, from its texts to the cues.

use super::attribution::{ContextAnalysis, ContextAttribution};
use super::attributor::ContextAttributor;
use super::cues::CueSearch;
use super::questions::Questions;
use super::reading::Readings;
use super::selection::select;
use super::specification::check_example;
use super::texts::{ContextExample, WholeTexts};
use crate::Error;

impl ContextAttributor<'_> {
    /// Analyzes an example. Outputs that are not given are generated; `questions` asks the user what
    /// the specification leaves to them.
    pub fn attribute(
        &self,
        example: &ContextExample,
        questions: &dyn Questions,
    ) -> Result<ContextAnalysis, Error> {
        check_example(&self.spec, example)?;
        let outputs = self.outputs(example, questions)?;
        let texts = WholeTexts {
            input_current: &example.input_current,
            input_context: example.input_context.as_deref().unwrap_or_default(),
            output_current: &outputs.current,
            output_context: &outputs.context,
        };
        let separator = (!self.has_encoder).then_some(self.spec.options.separator.as_str());
        let templates = &self.spec.templates;
        let readings = Readings {
            with: self.read(templates.with_context(&texts, separator))?,
            without: self.read(templates.without_context(&texts, separator))?,
        };
        let contexts = self.contexts(&readings.with);
        let comparison = self.compare(example.id, &readings)?;
        let selected = select(self.spec.options.sensitivity, &comparison.scores);
        let cues = CueSearch {
            example,
            readings: &readings,
            contexts: &contexts,
            comparison: &comparison,
            selected: &selected.indices,
        };
        let (cues, attributions) = self.find_cues(&cues, questions)?;
        let result = ContextAttribution {
            cues,
            input_context: contexts.input.map(|passage| passage.text),
            output_context: contexts.output.map(|passage| passage.text),
            cti_threshold: selected.threshold,
            output_current: comparison.current,
            is_forced: example.output_current.is_some(),
            cti_scores: comparison.scores,
            notices: outputs.notices,
        };
        Ok(ContextAnalysis {
            result,
            comparison: comparison.attribution,
            attributions,
        })
    }
}
