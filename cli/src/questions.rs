//! Questions to the user on a terminal: they are printed to standard error and answered on standard
//! input.

use std::cell::RefCell;
use std::io::{self, BufRead, IsTerminal, Write};

use whence_engine::Error;
use whence_engine::context::Questions;

/// A conversation over a reader and a writer.
#[derive(Debug)]
pub(crate) struct Dialog<R, W>(RefCell<(R, W)>);

/// Returns whether there is somebody to ask: standard input and standard error are a terminal.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Returns a conversation with the user at the terminal.
pub(crate) fn at_terminal() -> Dialog<io::BufReader<io::Stdin>, io::Stderr> {
    Dialog::new(io::BufReader::new(io::stdin()), io::stderr())
}

impl<R: BufRead, W: Write> Dialog<R, W> {
    fn new(input: R, output: W) -> Self {
        Self(RefCell::new((input, output)))
    }

    /// Prints a question and returns the answer without its line end. Fails at the end of the input.
    fn ask(&self, question: &str) -> Result<String, Error> {
        let failed = |reason: String| Error::ContextTexts { reason };
        let (input, output) = &mut *self.0.borrow_mut();
        let asked = write!(output, "{question} ").and_then(|()| output.flush());
        asked.map_err(|error| failed(format!("cannot ask: {error}")))?;
        let mut answer = String::new();
        match input.read_line(&mut answer) {
            Ok(0) => Err(failed("the question was not answered".to_owned())),
            Ok(_) => Ok(answer.trim_end_matches(['\r', '\n']).to_owned()),
            Err(error) => Err(failed(format!("cannot read the answer: {error}"))),
        }
    }

    fn confirms(&self, question: &str) -> Result<bool, Error> {
        loop {
            match self.ask(&format!("{question} [y/n]"))?.trim() {
                "y" | "Y" | "yes" => return Ok(true),
                "n" | "N" | "no" => return Ok(false),
                _ => {}
            }
        }
    }
}

impl<R: BufRead, W: Write> Questions for Dialog<R, W> {
    fn output_context(&self, generated: &str, candidate: Option<&str>) -> Result<String, Error> {
        let told = format!("The model generated {generated:?}.");
        if let Some(candidate) = candidate
            && self.confirms(&format!("{told}\nIs {candidate:?} its context?"))?
        {
            return Ok(candidate.to_owned());
        }
        loop {
            let context = self.ask(&format!("{told}\nWhich beginning of it is its context?"))?;
            let is_meant = !context.trim().is_empty() || self.confirms("No context at all?")?;
            if generated.starts_with(&context) && is_meant {
                return Ok(context);
            }
        }
    }

    fn next_token(&self, prefix: &str, token: &str) -> Result<Option<String>, Error> {
        let question = format!(
            "In context, {token:?} follows {prefix:?}.\nContrast it with a word of yours, instead of \
             what the model predicts without context?"
        );
        if !self.confirms(&question)? {
            return Ok(None);
        }
        loop {
            let word = self.ask("Which word?")?;
            if !word.trim().is_empty() {
                return Ok(Some(word));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialog(answers: &str) -> Dialog<&[u8], Vec<u8>> {
        Dialog::new(answers.as_bytes(), Vec::new())
    }

    #[test]
    fn a_guess_is_confirmed_or_corrected() {
        let asked = |answers, candidate| dialog(answers).output_context("Oui. Non.", candidate);
        assert_eq!(asked("y\n", Some("Oui.")).unwrap(), "Oui.");
        assert_eq!(asked("what?\nn\nNon\nOui\n", Some("Oui.")).unwrap(), "Oui");
        assert_eq!(asked("\nn\n\ny\n", None).unwrap(), "");
        assert!(asked("n\n", Some("Oui.")).is_err());
    }

    #[test]
    fn a_word_is_asked_for_if_it_is_wanted() {
        assert_eq!(dialog("n\n").next_token("to", "come").unwrap(), None);
        let word = dialog("y\n\n go\r\n").next_token("to", "come").unwrap();
        assert_eq!(word.as_deref(), Some(" go"));
    }
}
