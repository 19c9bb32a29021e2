//! Reads lines from the terminal, key by key, and draws them while they are typed.

use std::io::{self, Write};

use console::{Term, measure_text_width};

use super::complete::Completer;
use super::editor::{Editor, Event};
use crate::Failure;

/// Most completions that are listed.
const MOST_LISTED: usize = 60;

/// A line that was read.
#[derive(Debug)]
pub(super) enum Line {
    Entered(String),
    /// The user threw it away (Ctrl-C).
    Cancelled,
    /// There is no more input (Ctrl-D).
    Ended,
}

/// The terminal, and what is completed in it.
#[derive(Debug)]
pub(super) struct Terminal {
    term: Term,
    completer: Completer,
}

impl Terminal {
    pub(super) fn new(completer: Completer) -> Self {
        Self {
            term: Term::stdout(),
            completer,
        }
    }

    /// Reads one line after `prompt`.
    pub(super) fn read(&self, prompt: &str, history: &[String]) -> Result<Line, Failure> {
        self.read_line(prompt, history)
            .map_err(|error| Failure::run(format!("cannot read from the terminal: {error}")))
    }

    fn read_line(&self, prompt: &str, history: &[String]) -> io::Result<Line> {
        let mut editor = Editor::default();
        // Rows between the cursor and the first row of the line.
        let mut row = 0;
        self.draw(prompt, &editor, &mut row)?;
        loop {
            let line = match editor.press(&self.term.read_key_raw()?, history) {
                Event::Edited => None,
                Event::Entered => Some(Line::Entered(editor.text())),
                Event::Cancelled => Some(Line::Cancelled),
                Event::Ended => Some(Line::Ended),
                Event::Complete => {
                    if self.complete(&mut editor)? {
                        row = 0;
                    }
                    None
                }
            };
            if line.is_some() {
                editor.move_to_end();
            }
            self.draw(prompt, &editor, &mut row)?;
            if let Some(line) = line {
                self.term.write_line("")?;
                return Ok(line);
            }
        }
    }

    /// Completes the word before the cursor, as far as it is clear. Lists the words that it may
    /// become otherwise, and returns whether it did.
    fn complete(&self, editor: &mut Editor) -> io::Result<bool> {
        let before = editor.before_cursor();
        let found = self.completer.complete(&before);
        let common = found.common();
        if found.words.len() == 1 || common.chars().count() > found.count {
            editor.replace_before_cursor(found.count, &common);
            return Ok(false);
        }
        if found.words.is_empty() {
            return Ok(false);
        }
        let listed = &found.words[..found.words.len().min(MOST_LISTED)];
        let more = if listed.len() < found.words.len() {
            " ..."
        } else {
            ""
        };
        self.term
            .write_line(&format!("\n{}{more}", listed.join("  ")))?;
        Ok(true)
    }

    /// Draws the line again. `row` is where the cursor is now, and where it is afterwards.
    fn draw(&self, prompt: &str, editor: &Editor, row: &mut usize) -> io::Result<()> {
        let columns = usize::from(self.term.size().1).max(1);
        let width = |text: &str| measure_text_width(prompt) + measure_text_width(text);
        let (text, before) = (editor.text(), editor.before_cursor());
        let mut term = &self.term;
        term.move_cursor_up(*row)?;
        write!(term, "\r")?;
        term.clear_to_end_of_screen()?;
        write!(term, "{prompt}{text}")?;
        let (end, cursor) = (width(&text), width(&before));
        // A terminal wraps only when the next character comes.
        if end > 0 && end.is_multiple_of(columns) {
            writeln!(term)?;
        }
        *row = cursor / columns;
        term.move_cursor_up(end / columns - *row)?;
        write!(term, "\r")?;
        term.move_cursor_right(cursor % columns)?;
        term.flush()
    }
}
