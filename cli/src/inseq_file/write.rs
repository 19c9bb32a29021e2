//! Writes attributions to a file that Inseq can load: `inseq.FeatureAttributionOutput.load(path)`.
//!
//! Each example is written as soon as it arrives and the list of texts comes last, so memory holds
//! one example and the texts.

use std::io::{self, Write};

use serde_json::{Value, json};
use whence_engine::{Attribution, ScoreRows, SequenceScores, StepAttribution, Token};
use whence_schemas::{AttributionSpec, FunctionSpec};

use super::blob::{self, Precision, square};
use super::class::{DATA, OUTPUT, SequenceClass, TOKEN};
use super::model_classes::ModelClasses;
use super::written::Written;

/// Where the attributions of a file come from, and how they are written.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// Name of the model.
    pub model: String,
    /// Classes of the model and its tokenizer.
    pub classes: ModelClasses,
    /// The aggregators that made one score per token; `None` if the scores are raw.
    pub aggregators: Option<Vec<FunctionSpec>>,
    /// Precision of the scores.
    pub precision: Precision,
}

/// An Inseq file that is being written.
#[derive(Debug)]
pub struct InseqFile<W> {
    out: W,
    spec: AttributionSpec,
    step_scores: Vec<String>,
    origin: Origin,
    input_texts: Vec<String>,
    generated_texts: Vec<String>,
    positions: Option<(usize, usize)>,
    is_forced: bool,
}

impl<W: Write> InseqFile<W> {
    /// Begins a file for the attributions that `spec` computed.
    ///
    /// `step_scores` names the step scores, in the order in which attributions list them.
    pub fn begin(
        mut out: W,
        spec: &AttributionSpec,
        step_scores: &[String],
        origin: Origin,
    ) -> io::Result<Self> {
        write!(
            out,
            r#"{{"__instance_type__":["{DATA}","{OUTPUT}"],"attributes":{{"sequence_attributions":["#
        )?;
        Ok(Self {
            out,
            spec: spec.clone(),
            step_scores: step_scores.to_vec(),
            origin,
            input_texts: Vec::new(),
            generated_texts: Vec::new(),
            positions: None,
            is_forced: true,
        })
    }

    /// Adds an example with the input text `input`.
    pub fn add(&mut self, input: &str, attribution: &Attribution) -> io::Result<()> {
        if !self.input_texts.is_empty() {
            self.out.write_all(b",")?;
        }
        let sequence = self.sequence(attribution);
        serde_json::to_writer(&mut self.out, &sequence)?;
        self.input_texts.push(input.to_owned());
        self.generated_texts
            .push(attribution.generated_text.clone());
        self.is_forced &= attribution.forced;
        let (start, end) = (attribution.attr_pos_start, attribution.attr_pos_end);
        self.positions = Some(match self.positions {
            Some((first, last)) => (first, last.max(end)),
            None => (start, end),
        });
        Ok(())
    }

    fn sequence(&self, attribution: &Attribution) -> Value {
        let own = whence_engine::default_aggregators(&self.spec.method).unwrap_or_default();
        let function = own.first().copied();
        let precision = self.origin.precision;
        sequence(attribution, &self.step_scores, (function, precision))
    }

    /// Writes the end of the file and returns the underlying writer.
    pub fn finish(mut self) -> io::Result<W> {
        let info = self.info();
        write!(self.out, r#"],"step_attributions":null,"info":{info}}}}}"#)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn info(&self) -> Value {
        let written = Written {
            spec: &self.spec,
            step_scores: &self.step_scores,
            model: &self.origin.model,
            classes: &self.origin.classes,
            positions: self.positions.unwrap_or_default(),
            input_texts: &self.input_texts,
            generated_texts: &self.generated_texts,
            is_forced: self.is_forced,
            aggregators: self.origin.aggregators.as_deref(),
        };
        written.to_json()
    }
}

fn sequence(
    attribution: &Attribution,
    step_scores: &[String],
    (function, precision): (Option<&str>, Precision),
) -> Value {
    let rows = attribution.steps.first();
    let shape = rows.and_then(|step| step.source.as_ref().or(step.target.as_ref()));
    let dimensions = shape.map_or(0, |scores| scores.row_shape.len());
    let class = SequenceClass::of_scores(dimensions, function);
    // For decoder-only models Inseq stores the prompt as the source.
    let source = if attribution.source.is_empty() {
        &attribution.target[..attribution.attr_pos_start]
    } else {
        &attribution.source
    };
    let scores = step_scores.iter().enumerate().map(|(index, name)| {
        let values: Vec<f32> = attribution
            .steps
            .iter()
            .map(|step| step.step_scores[index])
            .collect();
        let blob = blob::encode(&values, &[values.len()], precision);
        (name.clone(), Value::from(blob))
    });
    let scores: serde_json::Map<String, Value> = scores.collect();
    let map = |num_tokens, side| map(attribution, num_tokens, side, precision);
    instance(
        (DATA, class.name()),
        &json!({
            "source": tokens(source),
            "target": targets(attribution),
            "source_attributions": map(attribution.source.len(), |step| step.source.as_ref()),
            "target_attributions": map(attribution.attr_pos_end, |step| step.target.as_ref()),
            "step_scores": scores,
            "sequence_scores": sequence_scores(attribution, precision),
            "attr_pos_start": attribution.attr_pos_start,
            "attr_pos_end": attribution.attr_pos_end,
        }),
    )
}

/// Returns the target's tokens.
///
/// A token that differs from its contrast is written as `contrast → token`. It then stands for two
/// tokens, so its id is -1.
fn targets(attribution: &Attribution) -> Vec<Value> {
    let mut targets = tokens(&attribution.target);
    for step in &attribution.steps {
        let token = &attribution.target[step.target_pos];
        if let Some(contrast) = step
            .contrast
            .as_ref()
            .filter(|other| other.text != token.text)
        {
            let text = format!("{} → {}", contrast.text, token.text);
            let attributes = json!({"token": text, "id": -1});
            targets[step.target_pos] = instance(TOKEN, &attributes);
        }
    }
    targets
}

fn tokens(tokens: &[Token]) -> Vec<Value> {
    let token = |token: &Token| {
        let attributes = json!({"token": token.text, "id": token.id.map_or(-1, i64::from)});
        instance(TOKEN, &attributes)
    };
    tokens.iter().map(token).collect()
}

fn instance((module, class): (&str, &str), attributes: &Value) -> Value {
    json!({"__instance_type__": [module, class], "attributes": attributes})
}

/// Returns the score map of one side, with shape `[tokens, steps, …]`; `None` if any step has no
/// scores for it. Cells of target tokens that come after a step's prefix are NaN.
fn map(
    attribution: &Attribution,
    num_tokens: usize,
    side: fn(&StepAttribution) -> Option<&ScoreRows>,
    precision: Precision,
) -> Option<String> {
    let columns: Option<Vec<_>> = attribution.steps.iter().map(side).collect();
    let columns = columns.filter(|columns| !columns.is_empty())?;
    Some(square(&columns, num_tokens, f32::NAN, precision))
}

/// Returns the scores between tokens of the same stack (encoder or decoder), by name.
///
/// A decoder token cannot attend to later tokens. Their attention weight is 0; any other kind of
/// score is NaN there.
fn sequence_scores(
    attribution: &Attribution,
    precision: Precision,
) -> serde_json::Map<String, Value> {
    let of_sequence = |scores: &SequenceScores| {
        let columns: Vec<_> = scores.columns.iter().collect();
        let num_tokens = columns.iter().map(|column| column.num_rows()).max();
        let is_weight = scores.name.ends_with("attentions");
        let missing = if is_weight { 0.0 } else { f32::NAN };
        let blob = square(&columns, num_tokens.unwrap_or(0), missing, precision);
        (scores.name.clone(), Value::from(blob))
    };
    attribution
        .sequence_scores
        .iter()
        .map(of_sequence)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribution() -> Attribution {
        let token = |id: u32| Token {
            id: Some(id),
            text: format!("t{id}"),
            offsets: None,
        };
        let step = |target_pos: usize, values: &[f32]| StepAttribution {
            target_pos,
            source: None,
            target: Some(ScoreRows {
                values: values.to_vec(),
                row_shape: vec![],
            }),
            contrast: None,
            step_scores: vec![0.5],
        };
        Attribution {
            source: vec![],
            target: (0..4).map(token).collect(),
            generated_text: "a b c d".to_owned(),
            forced: true,
            attr_pos_start: 2,
            attr_pos_end: 4,
            steps: vec![step(2, &[0.75, 0.25]), step(3, &[0.5, 0.25, 0.25])],
            sequence_scores: Vec::new(),
        }
    }

    #[test]
    fn a_file_is_json_with_every_example() {
        let mut bytes = Vec::new();
        let spec = AttributionSpec::of_method("saliency");
        let names = ["probability".to_owned()];
        let mut file = InseqFile::begin(&mut bytes, &spec, &names, Origin::default()).unwrap();
        file.add("a b", &attribution()).unwrap();
        file.add("a b", &attribution()).unwrap();
        file.finish().unwrap();
        let read: Value = serde_json::from_slice(&bytes).unwrap();
        let attributes = &read["attributes"];
        assert_eq!(
            attributes["sequence_attributions"]
                .as_array()
                .unwrap()
                .len(),
            2
        );
        assert_eq!(attributes["info"]["input_texts"], json!(["a b", "a b"]));
        let source = &attributes["sequence_attributions"][0]["attributes"]["source"];
        assert_eq!(source.as_array().unwrap().len(), 2);
    }
}
