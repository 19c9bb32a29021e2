//! The program `whence-coordinator`: what it says when it cannot start.

use std::process::{Command, Output};

fn coordinator(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_whence-coordinator"));
    command.args(arguments).output().expect("the program runs")
}

fn message(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_missing_root_is_asked_for() {
    let output = coordinator(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(message(&output).contains("--root"), "{}", message(&output));
}

#[test]
fn an_address_in_use_is_named_with_the_next_step() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    let root = tempfile::tempdir().expect("a folder");
    let root = root.path().to_str().expect("a path");
    let output = coordinator(&["--root", root, "--listen", &address]);
    assert_eq!(output.status.code(), Some(2));
    assert!(message(&output).contains(&address), "{}", message(&output));
    assert!(
        message(&output).contains("`--listen`"),
        "{}",
        message(&output)
    );
}

#[test]
fn a_store_of_unknown_kind_is_refused_by_name() {
    let output = coordinator(&["--root", "ftp://host/x", "--listen", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        message(&output).contains("`ftp://host/x` is not a store"),
        "{}",
        message(&output)
    );
}
