//! `whence completions`: prints the script that a shell needs to complete our commands.

use clap::CommandFactory;

use crate::args::{Arguments, Completions};
use crate::{Failure, output};

pub(super) fn run(arguments: &Completions) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut Arguments::command(),
        "whence",
        &mut script,
    );
    output::line(&String::from_utf8_lossy(&script))
}
