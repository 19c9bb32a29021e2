//! `whence man`: prints manual pages, which are made of the same texts as the help.

use std::path::Path;
use std::{fs, iter};

use clap::CommandFactory;
use clap_mangen::Man as Page;
use whence_schemas::suggest::nearest;

use crate::args::{Arguments, Man};
use crate::{Failure, output};

pub(super) fn run(arguments: &Man) -> Result<(), Failure> {
    let mut whole = Arguments::command();
    // Tells the commands their full names, `whence attribute`.
    whole.build();
    if let Some(folder) = &arguments.all {
        return write_all(&whole, folder);
    }
    let command = match &arguments.command {
        Some(name) => find(&whole, name)?,
        None => &whole,
    };
    output::line(String::from_utf8_lossy(&page(command)?).trim_end())
}

fn find<'c>(whole: &'c clap::Command, name: &str) -> Result<&'c clap::Command, Failure> {
    whole.find_subcommand(name).ok_or_else(|| {
        let known: Vec<_> = commands(whole).map(clap::Command::get_name).collect();
        let failure = Failure::request(format!("there is no command `{name}`"));
        match nearest(name, known.iter().copied()) {
            Some(near) => failure.hint(format!("whence man {near}")),
            None => failure.hint("whence --help"),
        }
    })
}

fn commands(whole: &clap::Command) -> impl Iterator<Item = &clap::Command> {
    let own = whole.get_subcommands();
    own.filter(|command| !command.is_hide_set() && command.get_name() != "help")
}

/// Writes `whence.1`, `whence-attribute.1` and so on.
fn write_all(whole: &clap::Command, folder: &Path) -> Result<(), Failure> {
    let failed =
        |error: std::io::Error| Failure::run(format!("write to `{}`: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(failed)?;
    fs::write(folder.join("whence.1"), page(whole)?).map_err(failed)?;
    for command in commands(whole) {
        for command in iter::once(command).chain(commands(command)) {
            let name = format!("{}.1", full_name(command));
            fs::write(folder.join(name), page(command)?).map_err(failed)?;
        }
    }
    eprintln!("wrote: {}", folder.display());
    Ok(())
}

fn page(command: &clap::Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    let title = full_name(command);
    Page::new(command.clone()).title(title).render(&mut page)?;
    Ok(page)
}

/// Returns `whence-doctor-storage` for the command `whence doctor storage`.
fn full_name(command: &clap::Command) -> String {
    match command.get_bin_name() {
        Some(name) => name.replace(' ', "-"),
        None => command.get_name().to_owned(),
    }
}
