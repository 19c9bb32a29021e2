//! Edits one line: what each key does to the text, the cursor and the place in the history.
//!
//! Reads no terminal, so it is tested without one.

use console::Key;

/// Control-D on an empty line ends the input.
const END_OF_INPUT: char = '\x04';
/// Control-U, Control-K and Control-W, as shells have them.
const CLEAR_BEFORE: char = '\x15';
const CLEAR_AFTER: char = '\x0b';
const CLEAR_WORD: char = '\x17';

/// What a key asks of the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// The line may have changed and is drawn again.
    Edited,
    /// The line is finished.
    Entered,
    /// The word before the cursor should be completed.
    Complete,
    /// What was typed is thrown away (Ctrl-C).
    Cancelled,
    /// There is no more input (Ctrl-D).
    Ended,
}

/// A line that is being typed.
#[derive(Debug, Default)]
pub(super) struct Editor {
    text: Vec<char>,
    /// Number of characters before the cursor.
    cursor: usize,
    /// Which entry of the history is shown, counted from the newest; 0 is the line itself.
    recalled: usize,
    /// The line as it was before the history was looked at.
    typed: Vec<char>,
}

impl Editor {
    /// Returns the text.
    pub(super) fn text(&self) -> String {
        self.text.iter().collect()
    }

    /// Returns the text before the cursor.
    pub(super) fn before_cursor(&self) -> String {
        self.text[..self.cursor].iter().collect()
    }

    /// Moves the cursor behind the text.
    pub(super) fn move_to_end(&mut self) {
        self.cursor = self.text.len();
    }

    /// Does what `key` means. `history` is oldest first.
    pub(super) fn press(&mut self, key: &Key, history: &[String]) -> Event {
        match key {
            Key::Enter => return Event::Entered,
            Key::CtrlC => return Event::Cancelled,
            Key::Tab => return Event::Complete,
            Key::Char(END_OF_INPUT) if self.text.is_empty() => return Event::Ended,
            Key::Char(END_OF_INPUT) | Key::Del => self.delete_next(),
            Key::Char(CLEAR_BEFORE) => self.delete(0..self.cursor),
            Key::Char(CLEAR_AFTER) => self.delete(self.cursor..self.text.len()),
            Key::Char(CLEAR_WORD) => self.delete(self.word_start()..self.cursor),
            Key::Char(typed) if !typed.is_control() => self.insert(&[*typed]),
            Key::Backspace => self.delete(self.cursor.saturating_sub(1)..self.cursor),
            Key::ArrowLeft => self.cursor = self.cursor.saturating_sub(1),
            Key::ArrowRight => self.cursor = (self.cursor + 1).min(self.text.len()),
            Key::Home => self.cursor = 0,
            Key::End => self.cursor = self.text.len(),
            Key::ArrowUp => self.recall(self.recalled + 1, history),
            Key::ArrowDown => self.recall(self.recalled.saturating_sub(1), history),
            _ => {}
        }
        Event::Edited
    }

    /// Replaces the last `count` characters before the cursor by `word`.
    pub(super) fn replace_before_cursor(&mut self, count: usize, word: &str) {
        self.delete(self.cursor.saturating_sub(count)..self.cursor);
        let word: Vec<char> = word.chars().collect();
        self.insert(&word);
    }

    fn insert(&mut self, typed: &[char]) {
        self.text
            .splice(self.cursor..self.cursor, typed.iter().copied());
        self.cursor += typed.len();
    }

    fn delete_next(&mut self) {
        let next = self.cursor + 1;
        self.delete(self.cursor..next);
    }

    fn delete(&mut self, range: std::ops::Range<usize>) {
        let range = range.start..range.end.min(self.text.len());
        if !range.is_empty() {
            self.cursor = range.start;
            self.text.drain(range);
        }
    }

    /// Returns where the word before the cursor begins.
    fn word_start(&self) -> usize {
        let before = &self.text[..self.cursor];
        let end = before.iter().rposition(|c| !c.is_whitespace()).unwrap_or(0);
        let space = before[..end].iter().rposition(|c| c.is_whitespace());
        space.map_or(0, |space| space + 1)
    }

    fn recall(&mut self, entry: usize, history: &[String]) {
        if entry > history.len() || entry == self.recalled {
            return;
        }
        if self.recalled == 0 {
            self.typed.clone_from(&self.text);
        }
        self.text = match entry {
            0 => std::mem::take(&mut self.typed),
            entry => history[history.len() - entry].chars().collect(),
        };
        self.recalled = entry;
        self.cursor = self.text.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(editor: &mut Editor, text: &str) {
        for c in text.chars() {
            editor.press(&Key::Char(c), &[]);
        }
    }

    #[test]
    fn keys_edit_at_the_cursor() {
        let mut editor = Editor::default();
        typed(&mut editor, "SELCT é");
        for _ in 0..4 {
            editor.press(&Key::ArrowLeft, &[]);
        }
        typed(&mut editor, "E");
        assert_eq!(editor.text(), "SELECT é");
        editor.press(&Key::End, &[]);
        editor.press(&Key::Backspace, &[]);
        editor.press(&Key::Home, &[]);
        editor.press(&Key::Del, &[]);
        assert_eq!(editor.text(), "ELECT ");
        editor.press(&Key::End, &[]);
        editor.press(&Key::Char(CLEAR_WORD), &[]);
        assert_eq!((editor.text(), editor.cursor), (String::new(), 0));
    }

    #[test]
    fn the_history_is_walked_and_what_was_typed_comes_back() {
        let history = ["first".to_owned(), "second".to_owned()];
        let mut editor = Editor::default();
        typed(&mut editor, "new");
        let mut press = |key| {
            editor.press(&key, &history);
            editor.text()
        };
        assert_eq!(press(Key::ArrowUp), "second");
        assert_eq!(press(Key::ArrowUp), "first");
        assert_eq!(press(Key::ArrowUp), "first");
        assert_eq!(press(Key::ArrowDown), "second");
        assert_eq!(press(Key::ArrowDown), "new");
        assert_eq!(press(Key::ArrowDown), "new");
    }

    #[test]
    fn control_d_ends_the_input_only_on_an_empty_line() {
        let mut editor = Editor::default();
        assert_eq!(editor.press(&Key::Char(END_OF_INPUT), &[]), Event::Ended);
        typed(&mut editor, "ab");
        editor.press(&Key::Home, &[]);
        assert_eq!(editor.press(&Key::Char(END_OF_INPUT), &[]), Event::Edited);
        assert_eq!(editor.text(), "b");
    }

    #[test]
    fn a_word_is_replaced_before_the_cursor() {
        let mut editor = Editor::default();
        typed(&mut editor, "FROM job WHERE");
        for _ in 0.." WHERE".len() {
            editor.press(&Key::ArrowLeft, &[]);
        }
        editor.replace_before_cursor(3, "jobs");
        assert_eq!(editor.text(), "FROM jobs WHERE");
        assert_eq!(editor.before_cursor(), "FROM jobs");
    }
}
