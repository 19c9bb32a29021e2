//! Questions that only a person can answer.

use crate::Error;

/// Asks the user.
pub trait Questions {
    /// Asks which beginning of `generated` is the context of the output. `candidate` is a guess.
    fn output_context(&self, generated: &str, candidate: Option<&str>) -> Result<String, Error>;

    /// Asks for the word to contrast `token` with, which follows `prefix`. `None` means what the
    /// model predicts without context.
    fn next_token(&self, prefix: &str, token: &str) -> Result<Option<String>, Error>;
}

/// There is nobody to ask: every question is refused with the option that answers it.
#[derive(Debug, Clone, Copy)]
pub struct NobodyToAsk;

impl Questions for NobodyToAsk {
    fn output_context(&self, generated: &str, _: Option<&str>) -> Result<String, Error> {
        Err(Error::ContextTexts {
            reason: format!(
                "which part of the generated output {generated:?} is its context must be asked, \
                 and there is no terminal to ask on; give the output context, or \
                 --handle-output-context-strategy auto"
            ),
        })
    }

    fn next_token(&self, _: &str, token: &str) -> Result<Option<String>, Error> {
        Err(Error::ContextTexts {
            reason: format!(
                "the word to contrast `{token}` with must be asked, and there is no terminal to ask \
                 on; give --contextless-output-next-tokens"
            ),
        })
    }
}
