//! Which tokens of an output depend on a context, and on which of its tokens (PECoRe, Sarti et
//! al. 2024, "Quantifying the Plausibility of Context Reliance in Neural Machine Translation").
//!
//! Two steps (`analysis` runs them). *Context-sensitive token identification* (CTI, `sensitivity`): a
//! metric compares the prediction of each output token without and with the context; tokens whose
//! score stands out are selected. *Contextual cues imputation* (CCI, `cues`): each selected token is attributed, and the
//! scores of the context's tokens are its cues.
//!
//! One pass without and one with the context serve all tokens of the first step, and the selected
//! tokens of the second share batches. Each text is encoded once, as a whole: the tokens of its
//! parts are found by the characters they cover (`spans`), so that the tokens that are selected,
//! attributed and named are the same.

mod analysis;
mod cues;
mod outputs;
mod reading;
mod sensitivity;

mod attributor;
mod cue_attributors;

mod spans;
mod split;
mod template;

mod attribution;
mod questions;
mod selection;
mod specification;
mod texts;

pub use attribution::{Alternative, ContextAnalysis, ContextAttribution, TextTokens, TokenCues};
pub use attributor::ContextAttributor;
pub use questions::{NobodyToAsk, Questions};
pub use specification::{ContextSpec, check_context, check_context_example};
pub use template::Template;
pub use texts::{ContextExample, GivenContexts, Templates};
