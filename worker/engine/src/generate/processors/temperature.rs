//! Divides the scores by the temperature before sampling. Below 1, likely tokens are drawn more
//! often; above 1, less often.

use super::processor::{Hypothesis, LogitsProcessor};
use crate::generate::choices::Choices;

#[derive(Debug)]
struct Temperature(f64);

pub(super) fn build(choices: &Choices) -> Result<Option<Box<dyn LogitsProcessor>>, String> {
    if choices.spec.do_sample != Some(true) {
        return Ok(None);
    }
    match choices.spec.temperature {
        None | Some(1.0) => Ok(None),
        Some(temperature) if temperature > 0.0 => Ok(Some(Box::new(Temperature(temperature)))),
        Some(temperature) => Err(format!(
            "`temperature` is {temperature}, it must be above 0; set `do_sample` to false to take the likeliest token"
        )),
    }
}

impl LogitsProcessor for Temperature {
    fn process(&self, _: &Hypothesis<'_>, scores: &mut [f64]) {
        for score in scores {
            *score /= self.0;
        }
    }
}
