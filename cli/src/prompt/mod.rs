//! The prompt of `whence sql`: asks for queries and shows their answers.
//!
//! A query may have several lines and ends with `;`. Ctrl-C while a query runs stops the query, not
//! the prompt. `editor` decides what keys do, `terminal` reads and draws them.

mod complete;
mod editor;
mod history;
mod terminal;

use tokio::time::Instant;

use crate::query::{Session, describe, describe_tables, is_complete, statements, write_table};
use crate::{Failure, output};
use complete::Completer;
use history::History;
use terminal::{Line, Terminal};

const FIRST: &str = "whence> ";
const NEXT: &str = "   ...> ";

const HELP: &str = "\
A query ends with `;` and may have several lines. Tab completes tables, columns and functions.
  \\d         list the tables
  \\d TABLE   explain the columns of a table
  \\?         this help
  \\q         leave (or Ctrl-D)
Ctrl-C stops the query that is running, or clears what was typed.";

/// What was typed.
#[derive(Debug, PartialEq, Eq)]
enum Input<'a> {
    Quit,
    Help,
    Tables,
    Describe(&'a str),
    Unknown(&'a str),
    Queries,
    Nothing,
}

/// Asks for queries about `session` until the user leaves. `root` is named in the greeting.
pub(crate) async fn run(session: &Session, root: &str, max_rows: usize) -> Result<(), Failure> {
    let file = history::file();
    let mut history = History::read(file.as_deref());
    let terminal = Terminal::new(Completer::new(session.words()));
    output::line(&format!(
        "The tables of `{root}`. \\? shows help, \\d the tables."
    ))?;
    // Reading a key blocks this thread, which has nothing else to do.
    while let Some(text) = tokio::task::block_in_place(|| read(&terminal, &history))? {
        history.add(&text);
        if !respond(session, &text, max_rows).await {
            break;
        }
    }
    if let Some(path) = &file
        && let Err(error) = history.save(path)
    {
        output::warn(&format!("the history is not kept: {error}"));
    }
    Ok(())
}

/// Reads lines until they are complete queries or a command. Returns `None` at the end of the input.
fn read(terminal: &Terminal, history: &History) -> Result<Option<String>, Failure> {
    let mut text = String::new();
    loop {
        let prompt = if text.is_empty() { FIRST } else { NEXT };
        match terminal.read(prompt, history.entries())? {
            Line::Entered(line) => text += &line,
            Line::Cancelled => {
                text.clear();
                continue;
            }
            Line::Ended => return Ok(None),
        }
        if text.trim().is_empty() {
            text.clear();
        } else if text.starts_with('\\') || is_complete(&text) {
            return Ok(Some(text));
        } else {
            text.push('\n');
        }
    }
}

/// Responds to what was typed. Returns whether to go on.
async fn respond(session: &Session, text: &str, max_rows: usize) -> bool {
    let queries = match input(text) {
        Input::Quit => return false,
        Input::Nothing => Vec::new(),
        Input::Help => {
            // Nobody reads on if the terminal is gone; the next read ends the prompt.
            let _ = output::line(HELP);
            Vec::new()
        }
        Input::Unknown(command) => {
            let failure = Failure::request(format!("there is no command `{command}`"));
            failure.hint("\\? shows the commands").report();
            Vec::new()
        }
        Input::Tables => vec![describe_tables()],
        Input::Describe(table) => match describe(table) {
            Ok(query) => vec![query],
            Err(failure) => {
                failure.report();
                Vec::new()
            }
        },
        Input::Queries => statements(text),
    };
    for query in queries {
        if !answer(session, &query, max_rows).await {
            break;
        }
    }
    true
}

/// Shows the answer to a query. Returns whether there is one.
async fn answer(session: &Session, query: &str, max_rows: usize) -> bool {
    let begun = Instant::now();
    let answered = async {
        let answer = session.ask(query).await?;
        write_table(answer, &mut std::io::stdout(), max_rows).await
    };
    tokio::select! {
        answered = answered => match answered {
            Ok(()) => {
                eprintln!("{:.2} s", begun.elapsed().as_secs_f64());
                true
            }
            Err(failure) => {
                failure.report();
                false
            }
        },
        _ = tokio::signal::ctrl_c() => {
            eprintln!("stopped");
            false
        }
    }
}

fn input(text: &str) -> Input<'_> {
    let text = text.trim();
    if !text.starts_with('\\') {
        return if text.trim_matches(';').trim().is_empty() {
            Input::Nothing
        } else {
            Input::Queries
        };
    }
    let (command, argument) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    match (command, argument.trim().trim_end_matches(';')) {
        ("\\q", "") => Input::Quit,
        ("\\?" | "\\h", "") => Input::Help,
        ("\\d", "") => Input::Tables,
        ("\\d", table) => Input::Describe(table),
        _ => Input::Unknown(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_from_queries() {
        assert_eq!(input(" \\q "), Input::Quit);
        assert_eq!(input("\\d"), Input::Tables);
        assert_eq!(input("\\d steps;"), Input::Describe("steps"));
        assert_eq!(input("\\x"), Input::Unknown("\\x"));
        assert_eq!(input(" ;"), Input::Nothing);
        assert_eq!(input("SELECT 1;"), Input::Queries);
    }
}
