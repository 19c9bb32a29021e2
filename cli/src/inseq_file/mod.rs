//! Attributions as a file that Inseq loads: `inseq.FeatureAttributionOutput.load(path)`.
//!
//! JSON, in which each map of scores is a base64 text of a safetensors file with one tensor. The
//! class an example is given tells Inseq how to aggregate it: none for scores that are one per token
//! already, the vector norm for gradients, the mean for attention. Examples are written as they
//! come, and the list of texts last, so that memory holds one example and the texts.

mod blob;

use std::io::{self, Write};

use serde_json::{Value, json};
use whence_engine::{Attribution, ScoreRows, SequenceScores, StepAttribution, Token};
use whence_schemas::AttributionSpec;

use blob::{blob, square};

/// A file that is being written.
#[derive(Debug)]
pub struct InseqFile<W> {
    out: W,
    spec: AttributionSpec,
    step_scores: Vec<String>,
    model: String,
    input_texts: Vec<String>,
    generated_texts: Vec<String>,
    positions: Option<(usize, usize)>,
    is_forced: bool,
}

impl<W: Write> InseqFile<W> {
    /// Begins a file of what `spec` computed with the model called `model`; `step_scores` names the
    /// step scores in the order attributions have them.
    pub fn begin(
        mut out: W,
        spec: &AttributionSpec,
        step_scores: &[String],
        model: &str,
    ) -> io::Result<Self> {
        write!(
            out,
            r#"{{"__instance_type__":["inseq.data.attribution","FeatureAttributionOutput"],"attributes":{{"sequence_attributions":["#
        )?;
        Ok(Self {
            out,
            spec: spec.clone(),
            step_scores: step_scores.to_vec(),
            model: model.to_owned(),
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
        serde_json::to_writer(&mut self.out, &sequence(attribution, &self.step_scores))?;
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

    /// Ends the file, and returns what it was written to.
    pub fn finish(mut self) -> io::Result<W> {
        let info = self.info();
        write!(self.out, r#"],"step_attributions":null,"info":{info}}}}}"#)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn info(&self) -> Value {
        let (start, end) = self.positions.unwrap_or_default();
        json!({
            "attribution_method": self.spec.method.name,
            "attribution_args": self.spec.method.params,
            "attr_pos_start": start,
            "attr_pos_end": end,
            "output_step_attributions": false,
            "attribute_target": self.spec.attribute_target,
            "step_scores": self.step_scores,
            "step_scores_args": {},
            "model_name": self.model,
            "include_eos_baseline": self.spec.include_eos_baseline,
            "attributed_fn": self.spec.attributed_fn.name,
            "attributed_fn_args": self.spec.attributed_fn.params,
            "input_texts": self.input_texts,
            "generated_texts": self.generated_texts,
            "generation_args": self.spec.generation,
            "constrained_decoding": self.is_forced,
            "generate_from_target_prefix": false,
        })
    }
}

fn sequence(attribution: &Attribution, step_scores: &[String]) -> Value {
    let rows = attribution.steps.first();
    let shape = rows.and_then(|step| step.source.as_ref().or(step.target.as_ref()));
    let class = match shape.map_or(0, |scores| scores.row_shape.len()) {
        0 => "CoarseFeatureAttributionSequenceOutput",
        1 => "GranularFeatureAttributionSequenceOutput",
        _ => "MultiDimensionalFeatureAttributionSequenceOutput",
    };
    // Decoder-only models have their prompt as source, as in Inseq.
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
        (name.clone(), Value::from(blob(&values, &[values.len()])))
    });
    let scores: serde_json::Map<String, Value> = scores.collect();
    instance(
        "inseq.data.attribution",
        class,
        &json!({
            "source": tokens(source),
            "target": targets(attribution),
            "source_attributions": map(attribution, attribution.source.len(), |step| step.source.as_ref()),
            "target_attributions": map(attribution, attribution.attr_pos_end, |step| step.target.as_ref()),
            "step_scores": scores,
            "sequence_scores": sequence_scores(attribution),
            "attr_pos_start": attribution.attr_pos_start,
            "attr_pos_end": attribution.attr_pos_end,
        }),
    )
}

/// Returns the target's tokens; one that differs from its contrast names both, and is no one id.
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
            targets[step.target_pos] = instance("inseq.utils.typing", "TokenWithId", &attributes);
        }
    }
    targets
}

fn tokens(tokens: &[Token]) -> Vec<Value> {
    let token = |token: &Token| {
        let attributes = json!({"token": token.text, "id": token.id.map_or(-1, i64::from)});
        instance("inseq.utils.typing", "TokenWithId", &attributes)
    };
    tokens.iter().map(token).collect()
}

fn instance(module: &str, class: &str, attributes: &Value) -> Value {
    json!({"__instance_type__": [module, class], "attributes": attributes})
}

/// Returns the map of one side: `[tokens, steps, …]`, not a number where a token came too late.
fn map(
    attribution: &Attribution,
    num_tokens: usize,
    side: fn(&StepAttribution) -> Option<&ScoreRows>,
) -> Option<String> {
    let columns: Option<Vec<_>> = attribution.steps.iter().map(side).collect();
    let columns = columns.filter(|columns| !columns.is_empty())?;
    Some(square(&columns, num_tokens, f32::NAN))
}

/// Returns the scores of a stack's tokens for each other, by name. What a decoder's token cannot attend
/// to has no weight, and no other score.
fn sequence_scores(attribution: &Attribution) -> serde_json::Map<String, Value> {
    let of_sequence = |scores: &SequenceScores| {
        let columns: Vec<_> = scores.columns.iter().collect();
        let num_tokens = columns.iter().map(|column| column.num_rows()).max();
        let is_weight = scores.name.ends_with("attentions");
        let missing = if is_weight { 0.0 } else { f32::NAN };
        let blob = square(&columns, num_tokens.unwrap_or(0), missing);
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
        let mut file =
            InseqFile::begin(&mut bytes, &spec, &["probability".to_owned()], "m").unwrap();
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
