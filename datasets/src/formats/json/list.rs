//! The elements of one JSON list.

use super::values::{ValueBytes, Values};
use crate::Error;
use crate::content::SharedContent;

/// Reads the elements of a list from any of them on.
pub(super) struct List {
    content: SharedContent,
    values: Values,
    /// Whether the list is in an object, which must be closed after it.
    is_in_object: bool,
    is_ended: bool,
    /// Whether an element was asked for yet.
    is_opened: bool,
}

impl List {
    /// Reads from `offset` on: after the bracket of the list, or where an element starts.
    pub(super) fn open(
        content: &SharedContent,
        offset: u64,
        is_in_object: bool,
    ) -> Result<Self, Error> {
        Ok(Self {
            content: SharedContent::clone(content),
            values: Values::open(content, offset)?,
            is_in_object,
            is_ended: false,
            is_opened: false,
        })
    }

    /// Returns where the next element starts, or the list ends.
    pub(super) fn offset(&self) -> u64 {
        self.values.offset()
    }

    /// Returns the next element, or `None` at the end. Fails if the list is not whole.
    pub(super) fn next(&mut self) -> Result<Option<ValueBytes<'_>>, Error> {
        self.pass_separator()?;
        if self.is_ended {
            return Ok(None);
        }
        let broken = self.broken("it ends inside its list");
        match self.values.next()? {
            Some(value) if !value.is_open => Ok(Some(value)),
            _ => Err(broken),
        }
    }

    /// Passes over the comma before an element, or over the end of the list.
    fn pass_separator(&mut self) -> Result<(), Error> {
        if self.is_ended {
            return Ok(());
        }
        let is_first = !std::mem::replace(&mut self.is_opened, true);
        match self.values.peek()? {
            Some(b']') => self.end(),
            Some(b',') => {
                self.values.bump();
                match self.values.peek()? {
                    Some(b',' | b']') => Err(self.broken("its list has a comma without a value")),
                    _ => Ok(()),
                }
            }
            Some(_) if is_first => Ok(()),
            Some(_) => Err(self.broken("a comma is missing in its list")),
            None => Err(self.broken("it ends inside its list")),
        }
    }

    fn end(&mut self) -> Result<(), Error> {
        self.is_ended = true;
        self.values.bump();
        if self.is_in_object && !self.values.close()? {
            return Err(self.broken("it ends inside its object"));
        }
        match self.values.peek()? {
            None => Ok(()),
            Some(_) => Err(self.broken("something follows its list; a file holds one list")),
        }
    }

    fn broken(&self, reason: &str) -> Error {
        Error::Format {
            path: self.content.name().into(),
            reason: format!("{reason} (byte {})", self.values.offset()),
        }
    }
}
