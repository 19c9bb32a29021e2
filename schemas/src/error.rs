//! What can be done about an error: one classification for every crate and every program.
//!
//! Whether a call is retried ([`ErrorKind::may_pass`]), which gRPC status it gets and how a program
//! exits (both in `proto/src/status.rs`) are all derived from the kind, so they cannot disagree.

use std::error::Error;

/// What can be done about an error, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request asks for something impossible. Change it.
    Invalid,
    /// The thing the request names does not exist. Name something else.
    NotFound,
    /// The failure may be transient. Try again.
    Unavailable,
    /// Stored bytes are damaged. Restore or remove them.
    Data,
    /// A bug in whence. Report it.
    Internal,
}

impl ErrorKind {
    /// Returns whether the same call may succeed if it is tried again.
    pub fn may_pass(self) -> bool {
        self == Self::Unavailable
    }
}

/// Returns the message of `error` followed by the messages of its causes, joined by colons.
///
/// Many libraries repeat the cause's message in their own, so a message that was already said is
/// left out.
pub fn chain(error: &dyn Error) -> String {
    let mut messages: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let message = error.to_string();
        let is_said = messages.iter().any(|said| said.contains(&message));
        match messages.last_mut() {
            _ if is_said => {}
            // A cause that begins with its wrapper's words says the same and more, so it replaces
            // the wrapper's message.
            Some(last) if message.starts_with(last.as_str()) => *last = message,
            _ => messages.push(message),
        }
        next = error.source();
    }
    messages.join(": ")
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[derive(Debug)]
    struct Link(&'static str, Option<Box<Link>>);

    impl fmt::Display for Link {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Link {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|cause| cause as &dyn Error)
        }
    }

    fn chained(messages: &[&'static str]) -> String {
        let link = |cause, message: &&'static str| Some(Box::new(Link(message, cause)));
        chain(&*messages.iter().rev().fold(None, link).unwrap())
    }

    #[test]
    fn causes_follow_as_one_sentence() {
        let sentence = chained(&["read `a`", "open file", "permission denied"]);
        assert_eq!(sentence, "read `a`: open file: permission denied");
    }

    #[test]
    fn no_message_is_said_twice() {
        let repeated = chained(&["read `a`: permission denied", "permission denied"]);
        assert_eq!(repeated, "read `a`: permission denied");
        let handed_on = chained(&["a", "a", "b"]);
        assert_eq!(handed_on, "a: b");
        let extended = chained(&["transport error", "transport error: refused", "refused"]);
        assert_eq!(extended, "transport error: refused");
    }
}
