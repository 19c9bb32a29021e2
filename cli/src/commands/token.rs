//! `whence token`: makes a token for a coordinator, and the line by which the coordinator knows it.

use whence_coordinator::access::tokens;

use crate::args::Token;
use crate::{Failure, output};

pub(super) fn run(arguments: &Token) -> Result<(), Failure> {
    let name = &arguments.name;
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == '#') {
        return Err(
            Failure::request(format!("`{name}` cannot be the name of a holder"))
                .hint("a name has no spaces and no `#`"),
        );
    }
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::run(format!("make random numbers: {error}")))?;
    let token = tokens::of_random(bytes);
    eprintln!("line for the coordinator's --tokens file:");
    eprintln!(
        "{}",
        tokens::line(name, arguments.role, arguments.tenant.as_ref(), &token)
    );
    output::line(&token)
}
