//! Jobs that ask which tokens of each row's output depend on a context, and on which of its tokens.

use arrow::array::{RecordBatch, StructArray};
use arrow::error::ArrowError;
use whence_engine::context::{
    ContextAttribution, ContextAttributor, ContextExample, ContextSpec, GivenContexts, NobodyToAsk,
};
use whence_schemas::{JobSpec, RowError};

use super::{Bound, Computation, Results, check_texts, failure, input_text, outcome};
use crate::error::Failure;
use crate::input::InputRow;
use crate::table::{self, ContextRow};

/// Finds context-sensitive tokens and their cues.
#[derive(Debug)]
pub(crate) struct InContext;

impl Computation for InContext {
    type Example = ContextExample;
    type Output = ContextAttribution;

    fn example(row: &InputRow, spec: &JobSpec) -> Result<ContextExample, RowError> {
        let input_current = input_text(row)?;
        let dataset = &spec.dataset;
        check_texts(&[
            ("output", &dataset.generated_field, &row.generated_text),
            (
                "input context",
                &dataset.input_context_field,
                &row.input_context,
            ),
            (
                "output context",
                &dataset.output_context_field,
                &row.output_context,
            ),
        ])?;
        if row.is_messages {
            return Err(RowError::new(
                "context_texts",
                "the input is a list of messages; put its text into a field of its own",
            ));
        }
        Ok(ContextExample {
            id: row.example_id,
            input_current,
            input_context: row.input_context.clone(),
            output_current: row.generated_text.clone(),
            output_context: row.output_context.clone(),
            next_tokens: Vec::new(),
        })
    }

    fn id(example: &ContextExample) -> i64 {
        example.id
    }

    /// Text has about four bytes per token. The current texts are read twice, without and with the
    /// contexts, and an output that is yet to be generated is taken to be as long as its input.
    fn estimated_tokens(example: &ContextExample) -> usize {
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let input = example.input_current.len();
        let current = input + example.output_current.as_ref().map_or(input, String::len);
        let contexts = length(&example.input_context) + length(&example.output_context);
        (2 * current + contexts) / 4 + 2
    }

    fn compute(
        bound: &Bound<'_>,
        examples: &[ContextExample],
    ) -> Result<Results<ContextAttribution>, Failure> {
        let context = context_spec(bound)?;
        let attributor = ContextAttributor::new(bound.engine, &context)
            .map_err(|error| failure(&error))?
            .with_seed(bound.spec.seed)
            .with_stop(bound.stop);
        let attributor = match bound.memory {
            Some(bytes) => attributor.with_memory(bytes),
            None => attributor,
        };
        let analyze = |example: &ContextExample| {
            let analysis = attributor.attribute(example, &NobodyToAsk);
            Ok(vec![outcome(analysis.map(|analysis| analysis.result))?])
        };
        examples.iter().map(analyze).collect()
    }

    fn num_tokens(attribution: &ContextAttribution) -> usize {
        let texts = [&attribution.input_context, &attribution.output_context];
        let contexts = texts.into_iter().flatten();
        let contexts: usize = contexts.map(|text| text.tokens.len()).sum();
        contexts + attribution.output_current.tokens.len()
    }

    fn is_forced(attribution: &ContextAttribution) -> bool {
        attribution.is_forced
    }

    fn storable(attribution: ContextAttribution) -> Result<ContextAttribution, RowError> {
        Ok(attribution)
    }

    fn encode(
        rows: &[ContextRow],
        _: &JobSpec,
        columns: Option<&StructArray>,
    ) -> Result<RecordBatch, ArrowError> {
        table::context::encode(rows, columns)
    }
}

/// Returns what to compute for each example of the job.
fn context_spec(bound: &Bound<'_>) -> Result<ContextSpec, Failure> {
    let spec = bound.spec;
    let Some(options) = spec.context.clone() else {
        let reason = "the job does not say how to find what depends on a context";
        return Err(Failure::Specification(reason.to_owned()));
    };
    let given = GivenContexts {
        input: spec.dataset.input_context_field.is_some(),
        output: spec.dataset.output_context_field.is_some(),
    };
    let spec = ContextSpec::new(bound.attribution.clone(), options, given);
    spec.map_err(|error| failure(&error))
}
