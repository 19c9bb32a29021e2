//! The analysis of an example, from its texts to the cues.

use super::attribution::ContextAttribution;
use super::attributor::ContextAttributor;
use super::cues::CueSearch;
use super::questions::Questions;
use super::reading::Readings;
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
    ) -> Result<ContextAttribution, Error> {
        check_example(&self.spec, example)?;
        let outputs = self.outputs(example, questions)?;
        let texts = WholeTexts {
            input_current: &example.input_current,
            input_context: example.input_context.as_deref().unwrap_or_default(),
            output_current: &outputs.current,
            output_context: &outputs.context,
        };
        let separator = (!self.has_encoder).then_some(self.spec.separator.as_str());
        let templates = &self.spec.templates;
        let readings = Readings {
            with: self.read(templates.with_context(&texts, separator))?,
            without: self.read(templates.without_context(&texts, separator))?,
        };
        let contexts = self.contexts(&readings.with);
        let comparison = self.compare(example.id, &readings)?;
        let selection = self.spec.sensitivity;
        let selected = selection.select(&comparison.scores);
        let cues = CueSearch {
            example,
            readings: &readings,
            contexts: &contexts,
            comparison: &comparison,
            selected: &selected,
        };
        Ok(ContextAttribution {
            cues: self.find_cues(&cues, questions)?,
            input_context: contexts.input.map(|passage| passage.text),
            output_context: contexts.output.map(|passage| passage.text),
            cti_threshold: selection.threshold(&comparison.scores),
            output_current: comparison.current,
            cti_scores: comparison.scores,
            comparison: comparison.attribution,
            notices: outputs.notices,
        })
    }
}
