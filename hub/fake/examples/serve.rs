//! Serves a folder as a Hub, for clients in other languages: `serve ROOT [PORT]`.
//!
//! Prints the value of `HF_ENDPOINT` on the first line, and ends when its standard input does.

use std::io::{self, Read, Write};
use std::path::Path;

use whence_fake_hub::FakeHub;

#[tokio::main]
async fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(root), port) = (arguments.next(), arguments.next()) else {
        return Err(io::Error::other("usage: serve ROOT [PORT]"));
    };
    let port = port.map_or(Ok(0), |port| port.parse());
    let hub = FakeHub::start_at(port.map_err(io::Error::other)?).await?;
    hub.publish_tree(Path::new(&root))?;
    writeln!(io::stdout(), "{}", hub.endpoint())?;
    let wait = || io::stdin().read_to_end(&mut Vec::new());
    tokio::task::spawn_blocking(wait).await??;
    Ok(())
}
