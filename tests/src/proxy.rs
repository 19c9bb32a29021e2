//! A wire that breaks: a TCP proxy on loopback that cuts or slows the connections to a server.
//!
//! It knows nothing of HTTP. What a test wants to see happens in the middle of requests and answers, and
//! a wire that carries so many bytes and then breaks does just that.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::seeds::Random;

/// Bytes that are passed on at once.
const PIECE: usize = 4096;

/// What the wire does to each connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// It passes everything on.
    Whole,
    /// It resets the connection after less than so many bytes, of the request or of the answer.
    Resets {
        /// The bytes.
        within: usize,
    },
    /// It closes the connection after less than so many bytes of answers, as a server does that ends.
    Truncates {
        /// The bytes.
        within: usize,
    },
    /// It carries so many bytes per second, in each direction.
    Slow {
        /// The bytes.
        bytes_per_second: usize,
    },
}

/// A proxy for one server. Stops when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    wire: watch::Sender<Wire>,
    broken: Arc<AtomicUsize>,
    _server: JoinSet<()>,
}

impl Proxy {
    /// Listens on a free port for connections to `server`. What goes wrong follows from `seed`.
    ///
    /// # Panics
    ///
    /// If there is no free port.
    pub async fn start(server: SocketAddr, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let (wire, seen) = watch::channel(Wire::Whole);
        let broken: Arc<AtomicUsize> = Arc::default();
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(
            listener,
            server,
            seen,
            Arc::clone(&broken),
            Random::new(seed),
        ));
        Self {
            address,
            wire,
            broken,
            _server: accepting,
        }
    }

    /// Returns the address that stands for the server's.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what the wire does. Ends all connections, so that the next ones are treated so.
    pub fn set(&self, wire: Wire) {
        self.wire.send_replace(wire);
    }

    /// Returns how many connections it has broken.
    pub fn broken(&self) -> usize {
        self.broken.load(Ordering::Relaxed)
    }
}

async fn accept(
    listener: TcpListener,
    server: SocketAddr,
    wire: watch::Receiver<Wire>,
    broken: Arc<AtomicUsize>,
    mut random: Random,
) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let (mut wire, broken) = (wire.clone(), Arc::clone(&broken));
        let fate = Fate::draw(*wire.borrow_and_update(), &mut random);
        connections.spawn(async move {
            let Ok(server) = TcpStream::connect(server).await else {
                return;
            };
            tokio::select! {
                was_cut = carry(client, server, fate) => {
                    broken.fetch_add(usize::from(was_cut), Ordering::Relaxed);
                }
                _ = wire.changed() => {}
            }
        });
    }
}

/// What will happen to one connection.
#[derive(Debug, Clone, Copy)]
struct Fate {
    /// Bytes of requests, and of answers, after which the connection is cut.
    cut_after: [usize; 2],
    is_reset: bool,
    pause_per_piece: Duration,
}

impl Fate {
    fn draw(wire: Wire, random: &mut Random) -> Self {
        let mut fate = Self {
            cut_after: [usize::MAX; 2],
            is_reset: false,
            pause_per_piece: Duration::ZERO,
        };
        match wire {
            Wire::Whole => {}
            Wire::Resets { within } => {
                fate.cut_after[random.below(2)] = random.below(within);
                fate.is_reset = true;
            }
            Wire::Truncates { within } => fate.cut_after[1] = random.below(within),
            Wire::Slow { bytes_per_second } => {
                fate.pause_per_piece =
                    Duration::from_secs(1) * PIECE as u32 / bytes_per_second as u32;
            }
        }
        fate
    }
}

/// Carries bytes both ways until one side ends. Returns whether the connection was cut instead.
async fn carry(client: TcpStream, server: TcpStream, fate: Fate) -> bool {
    if fate.is_reset && client.set_zero_linger().is_err() {
        return false;
    }
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    let [requests, answers] = fate.cut_after;
    tokio::select! {
        was_cut = pass(from_client, to_server, requests, fate.pause_per_piece) => was_cut,
        was_cut = pass(from_server, to_client, answers, fate.pause_per_piece) => was_cut,
    }
}

/// Passes at most `left` bytes on. Returns whether there were more.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut left: usize,
    pause: Duration,
) -> bool {
    let mut piece = [0; PIECE];
    loop {
        let Ok(read @ 1..) = from.read(&mut piece).await else {
            return false;
        };
        let passed = read.min(left);
        if to.write_all(&piece[..passed]).await.is_err() {
            return false;
        }
        left -= passed;
        if passed < read {
            return true;
        }
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
}
