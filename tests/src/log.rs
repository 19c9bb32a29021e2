//! What a child process says: shown in the output of the test, and kept so that the test can wait for it.

use std::io::{BufRead, BufReader, Read, Write};
use std::time::Duration;

use tokio::sync::watch;

/// Longest wait for a message. Generous, because the machine may be busy.
const PATIENCE: Duration = Duration::from_mins(2);

/// The messages of a process. Clones share them, and outlive the process.
#[derive(Debug, Clone)]
pub struct Log(watch::Receiver<Vec<String>>);

impl Log {
    /// Reads `messages` to their end, on a thread of its own: the process would block once its pipe is
    /// full.
    pub(crate) fn follow(messages: impl Read + Send + 'static) -> Self {
        let (sender, receiver) = watch::channel(Vec::new());
        std::thread::spawn(move || {
            for line in BufReader::new(messages).lines().map_while(Result::ok) {
                // Nothing is lost if the test's own output is closed.
                let _ = writeln!(std::io::stderr(), "{line}");
                sender.send_modify(|lines: &mut Vec<String>| lines.push(line));
            }
        });
        Self(receiver)
    }

    /// Waits for a line from which `find` gets something, and returns that.
    ///
    /// # Panics
    ///
    /// If there is none before the process ends, or for too long.
    pub async fn until<T>(&self, find: impl Fn(&str) -> Option<T>) -> T {
        let mut lines = self.0.clone();
        let found = |lines: &Vec<String>| lines.iter().find_map(|line| find(line));
        let wait = lines.wait_for(|lines| found(lines).is_some());
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(Ok(lines)) => found(&lines).expect("it was waited for"),
            Ok(Err(_closed)) => panic!(
                "the process ended before it said so: {:#?}",
                *self.0.borrow()
            ),
            Err(tokio::time::error::Elapsed { .. }) => {
                panic!("the process does not say so: {:#?}", *self.0.borrow())
            }
        }
    }

    /// Waits for a line that contains `text`.
    ///
    /// # Panics
    ///
    /// As [`Log::until`].
    pub async fn until_said(&self, text: &str) {
        self.until(|line| line.contains(text).then_some(())).await;
    }

    /// Returns what `find` gets from the lines so far.
    pub fn all<T>(&self, find: impl Fn(&str) -> Option<T>) -> Vec<T> {
        self.0
            .borrow()
            .iter()
            .filter_map(|line| find(line))
            .collect()
    }

    /// Returns how many lines so far contain `text`.
    pub fn count(&self, text: &str) -> usize {
        self.all(|line| line.contains(text).then_some(())).len()
    }
}
