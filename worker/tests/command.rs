//! The program `whence-worker`: what it says when nobody is there.

use std::process::Command;

#[test]
fn a_coordinator_that_is_not_there_is_given_up_on_in_the_end() {
    // Bound and dropped: nobody listens there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let mut command = Command::new(env!("CARGO_BIN_EXE_whence-worker"));
    let coordinator = format!("http://{address}");
    command.args(["--coordinator", &coordinator, "--orphan-grace", "300ms"]);
    let output = command.output().expect("the program runs");
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(
        message.contains(&format!(
            "no coordinator answered at {coordinator} for 300ms; start one"
        )) && message.contains(&format!(
            "no coordinator at {coordinator}; trying for another 300 ms"
        )),
        "{message}"
    );
}
