//! A visitor of the dashboard, as far as HTTP goes: asks for pages of a served coordinator, and keeps its
//! cookie.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::access::tokens::{Tokens, line};
use crate::access::{Admission, Role, Visitors};
use crate::http::{listen, serve};
use crate::testing::Stage;

/// An answer of the dashboard.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    /// Returns the value of a header; empty if there is none.
    pub(super) fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        value.unwrap_or_default()
    }

    /// Checks the status, and returns the body.
    pub(super) fn ended_with(self, status: u16) -> String {
        assert_eq!(self.status, status, "{}\n{}", self.head, self.body);
        self.body
    }
}

/// A visitor.
#[derive(Debug, Clone)]
pub(super) struct Browser {
    pub(super) address: SocketAddr,
    pub(super) cookie: String,
}

impl Browser {
    /// Sends a request and returns the open connection.
    async fn send(&self, method: &str, path: &str, (headers, body): (&str, &str)) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let Self { address, cookie } = self;
        let cookie = match cookie.as_str() {
            "" => String::new(),
            cookie => format!("cookie: {cookie}\r\n"),
        };
        let length = body.len();
        let host = if headers.starts_with("host:") {
            String::new()
        } else {
            format!("host: {address}\r\n")
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\n{host}{cookie}{headers}content-length: {length}\r\n\
             connection: close\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// Sends a request with additional headers. Each of them ends with a line break.
    pub(super) async fn ask(&self, method: &str, path: &str, more: (&str, &str)) -> Answer {
        let mut stream = self.send(method, path, more).await;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer {
            status,
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, ("", "")).await
    }

    pub(super) async fn post(&self, path: &str, body: &str) -> Answer {
        self.ask("POST", path, ("", body)).await
    }

    /// Logs in with a token, and keeps the cookie.
    pub(super) async fn log_in(&mut self, token: &str) -> Answer {
        let answer = self.post("/login", &format!("token={token}")).await;
        let cookie = answer.header("set-cookie");
        self.cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        answer
    }

    /// Opens the stream of a page.
    pub(super) async fn follow(&self, path: &str) -> Events {
        self.try_follow(path).await.expect("a stream")
    }

    /// Opens the stream of a page; `None` if there are too many.
    pub(super) async fn try_follow(&self, path: &str) -> Option<Events> {
        let stream = self.send("GET", path, ("", "")).await;
        let mut events = Events(BufReader::new(stream));
        let status = events.line().await;
        status.starts_with("HTTP/1.1 200").then_some(events)
    }
}

/// The events that a page hears of.
pub(super) struct Events(BufReader<TcpStream>);

impl Events {
    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).await.unwrap();
        line
    }

    /// Returns the name and the data of the next event; empty at the end.
    pub(super) async fn next(&mut self) -> (String, String) {
        let mut name = String::new();
        loop {
            let line = self.line().await;
            if line.is_empty() {
                return (name, line);
            }
            if let Some(event) = line.strip_prefix("event: ") {
                event.trim_end().clone_into(&mut name);
            }
            if let Some(data) = line.strip_prefix("data:") {
                return (name, data.trim().to_owned());
            }
        }
    }
}

/// A coordinator whose dashboard is served.
pub(super) struct Served {
    pub(super) stage: Stage,
    pub(super) browser: Browser,
    pub(super) shutdown: CancellationToken,
    /// The coordinator that the dashboard knows.
    pub(super) known: watch::Sender<Option<Arc<crate::Coordinator>>>,
    _serving: tokio::task::JoinSet<()>,
}

impl Served {
    /// Serves a new coordinator.
    pub(super) async fn new(admission: Admission) -> Self {
        Self::of(Stage::new().await, admission).await
    }

    /// Serves a coordinator that asks for tokens. Their texts are `viewer`, `submitter` and `worker`, and
    /// `nlp` for a viewer of the team of that name.
    pub(super) async fn with_tokens() -> Self {
        let lines = [
            line("v", Role::Viewer, None, "viewer"),
            line("s", Role::Submitter, None, "submitter"),
            line("w", Role::Worker, None, "worker"),
            line("n", Role::Submitter, Some(&"nlp".parse().unwrap()), "nlp"),
        ];
        let tokens = Tokens::parse(&lines.join("\n")).unwrap();
        Self::new(Admission::Holders(Arc::new(tokens))).await
    }

    pub(super) async fn of(stage: Stage, admission: Admission) -> Self {
        let (listener, address) = listen("127.0.0.1:0").await.unwrap();
        let shutdown = CancellationToken::new();
        let (known, serving) = watch::channel(Some(Arc::clone(&stage.coordinator)));
        let visitors = Visitors {
            admission,
            are_anywhere: false,
        };
        let stop = shutdown.clone();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move { serve(listener, serving, visitors, stop).await.unwrap() });
        Self {
            stage,
            browser: Browser {
                address,
                cookie: String::new(),
            },
            shutdown,
            known,
            _serving: tasks,
        }
    }

    /// Returns a visitor who has logged in with a token.
    pub(super) async fn visitor(&self, token: &str) -> Browser {
        let mut browser = self.browser.clone();
        browser.log_in(token).await.ended_with(303);
        browser
    }
}

/// Returns the secret that the forms of a page carry.
pub(super) fn form_secret(page: &str) -> &str {
    let (_, rest) = page.split_once("name=\"form_secret\" value=\"").unwrap();
    rest.split('"').next().unwrap()
}
