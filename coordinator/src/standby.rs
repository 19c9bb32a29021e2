//! Waits while another coordinator serves the same storage root.
//!
//! A newer coordinator makes the older one step down. Two of them that are restarted whenever they end,
//! as supervisors do, would take the root from each other forever. A coordinator therefore records where
//! it listens, and another one waits as long as something answers there in its name. The waiting one
//! takes over when the first has ended, so two of them are a pair of which one is in reserve.
//!
//! This saves work and decides nothing: if the two cannot reach each other, both serve for a while, and
//! each slot is still filled once.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use whence_schemas::store::SlotStore;

use crate::Error;
use crate::durable::epoch::{self, Claim};

/// Pause between two looks at the other coordinator.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long an answer may take.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// Looks in a row that must find nobody, unless the address itself says that nobody listens there.
const LOOKS: u32 = 3;

/// Waits until the coordinator that claimed the newest epoch no longer answers. `ours` is where this one
/// listens: nobody else can.
pub(crate) async fn wait(store: &dyn SlotStore, ours: &str) -> Result<(), Error> {
    let mut told = None;
    loop {
        let Some((epoch, claim)) = epoch::newest_claim(store).await? else {
            return Ok(());
        };
        match &claim.address {
            Some(address) if address != ours && serves(address, &claim).await => {
                if told != Some(epoch) {
                    tracing::warn!(
                        %epoch, address,
                        "another coordinator serves this root; waiting to take over when it ends, \
                         or stop this one and start it with --take-over"
                    );
                    told = Some(epoch);
                }
            }
            _ => return Ok(()),
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Returns whether something answers at `address` in the name of `claim`.
async fn serves(address: &str, claim: &Claim) -> bool {
    for look in 1..=LOOKS {
        let answer = timeout(ANSWERS_WITHIN, ask(address, claim)).await;
        match answer.unwrap_or(Answer::None) {
            Answer::Serves => return true,
            Answer::Gone => return false,
            Answer::None if look < LOOKS => sleep(LOOK_EVERY).await,
            Answer::None => {}
        }
    }
    false
}

enum Answer {
    /// It serves the epoch.
    Serves,
    /// Nobody listens there, or somebody else.
    Gone,
    /// There is no answer, perhaps for now.
    None,
}

async fn ask(address: &str, claim: &Claim) -> Answer {
    match TcpStream::connect(address).await {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Answer::Gone,
        Err(_) => return Answer::None,
        // Whether it is who it says to be cannot be told without its certificate's authority.
        Ok(_) if claim.is_encrypted => return Answer::Serves,
        Ok(_) => {}
    }
    let Ok(endpoint) = Endpoint::from_shared(format!("http://{address}")) else {
        return Answer::Gone;
    };
    let Ok(channel) = endpoint.connect().await else {
        return Answer::None;
    };
    let service = claim.name();
    let mut client = HealthClient::new(channel);
    let asked = client.check(HealthCheckRequest { service }).await;
    match asked.map(|answer| answer.into_inner().status()) {
        Ok(ServingStatus::Serving) => Answer::Serves,
        Err(status) if status.code() == tonic::Code::Unavailable => Answer::None,
        Ok(_) | Err(_) => Answer::Gone,
    }
}

/// Returns the address by which other machines reach one that listens on `address`. If that is every
/// address of the machine, it is the one from which the machine would call another network.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    if !address.ip().is_unspecified() {
        return address;
    }
    // Connecting a datagram socket sends nothing; it only chooses a route. The address is one of those
    // that documents use, so it is nobody's.
    let outside = if address.is_ipv4() {
        "192.0.2.1:9"
    } else {
        "[2001:db8::1]:9"
    };
    let local = UdpSocket::bind((address.ip(), 0)).and_then(|socket| {
        socket.connect(outside)?;
        socket.local_addr()
    });
    local.map_or(address, |local| SocketAddr::new(local.ip(), address.port()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::access::Access;
    use crate::{Config, Coordinator, server};

    async fn start_in_turn(config: Config) -> Result<Arc<Coordinator>, Error> {
        Coordinator::stand_by(&config).await?;
        Coordinator::start(config).await
    }

    #[tokio::test]
    async fn a_second_coordinator_waits_until_the_first_has_ended() {
        let root = tempfile::tempdir().unwrap();
        let config = |address| Config {
            address: Some(address),
            ..Config::new(root.path().display().to_string())
        };
        let (incoming, address) = server::listen("127.0.0.1:0").await.unwrap();
        let first = Coordinator::start(config(address)).await.unwrap();
        let shutdown = CancellationToken::new();
        let serving = Box::pin(server::serve(
            Arc::clone(&first),
            incoming,
            Access::default(),
            shutdown.clone(),
        ));
        let (_incoming, other) = server::listen("127.0.0.1:0").await.unwrap();
        let waiting = async {
            let mut second = Box::pin(start_in_turn(config(other)));
            let early = timeout(3 * LOOK_EVERY, &mut second).await;
            assert!(early.is_err(), "it took over from one that serves");
            shutdown.cancel();
            timeout(Duration::from_secs(20), second).await.unwrap()
        };
        let (served, second) = tokio::join!(serving, waiting);
        served.unwrap();
        assert_eq!(second.unwrap().core.epoch.0, 2);
        // The second one does not listen, and one that may take over would not wait anyway.
        let hasty = Config {
            takes_over: true,
            ..config(address)
        };
        let hasty = timeout(LOOK_EVERY, start_in_turn(hasty)).await;
        assert_eq!(hasty.unwrap().unwrap().core.epoch.0, 3);
    }

    #[test]
    fn an_address_that_is_every_address_is_made_one() {
        let given: SocketAddr = "10.1.2.3:7700".parse().unwrap();
        assert_eq!(reachable(given), given);
        let every = reachable("0.0.0.0:7700".parse().unwrap());
        assert_eq!(every.port(), 7700);
    }
}
