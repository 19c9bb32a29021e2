//! `whence sql`: runs queries on the storage root's tables with DataFusion.

use std::io::{IsTerminal, Read};
use std::path::Path;

use super::answering::answering;
use super::stop::unless_stopped;
use crate::args::{DEFAULT_ROOT, Format, Sql};
use crate::output_file::OutputFile;
use crate::query::{self, LooseTables, Order, Session, statements};
use crate::{Failure, prompt};

/// What the command was asked to do.
enum Request {
    /// Answer these queries.
    Queries(Vec<String>),
    /// Explain the columns of a table, or of all if the name is empty.
    Describe(String),
    /// Ask for queries.
    Prompt,
}

pub(super) async fn run(arguments: Sql) -> Result<(), Failure> {
    let loose = match &arguments.tables[..] {
        [] => None,
        paths => Some(LooseTables::link(paths).await?),
    };
    let root = match &loose {
        Some(tables) => &tables.root(),
        None => &arguments.storage.root,
    };
    let queries = match request(&arguments)? {
        Request::Prompt => {
            let session = Session::open(root, arguments.memory, Order::Any).await?;
            return prompt::run(&session, root, arguments.output.max_rows).await;
        }
        Request::Describe(table) => vec![query::describe(&table)?],
        Request::Queries(queries) => queries,
    };
    let answered = answering(root, answer(root, &arguments, &queries));
    unless_stopped(answered, "the query was not answered to its end").await
}

fn request(arguments: &Sql) -> Result<Request, Failure> {
    if let Some(table) = &arguments.describe {
        return Ok(Request::Describe(table.clone()));
    }
    let text = match (&arguments.query, &arguments.file) {
        (Some(query), _) if query != "-" => query.clone(),
        (None, Some(file)) if file.as_os_str() != "-" => read_file(file)?,
        (None, None) if std::io::stdin().is_terminal() => return Ok(Request::Prompt),
        _ => read_stdin()?,
    };
    let queries = statements(&text);
    if queries.is_empty() {
        return Err(Failure::request("the query is empty")
            .hint("whence sql \"SELECT job, state FROM jobs\""));
    }
    if queries.len() > 1 && arguments.output.format != Format::Table {
        return Err(Failure::request(format!(
            "{} queries have {} answers, and only tables can follow one another",
            queries.len(),
            queries.len()
        ))
        .hint("ask one query, or leave out --format"));
    }
    Ok(Request::Queries(queries))
}

fn read_file(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| {
        Failure::request(format!(
            "cannot read the query in `{}`: {error}",
            path.display()
        ))
    })
}

fn read_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| {
            Failure::request(format!("cannot read the query on standard input: {error}"))
        })?;
    Ok(text)
}

async fn answer(root: &str, arguments: &Sql, queries: &[String]) -> Result<(), Failure> {
    let options = &arguments.output;
    let mut out = match &options.output {
        Some(path) => OutputFile::create("--output", path)?,
        None => OutputFile::stdout(),
    };
    let session = session(root, arguments.memory).await?;
    let (last, others) = queries.split_last().expect("an empty request is refused");
    for query in others {
        let answer = session.ask(query).await?;
        query::write_table(answer, &mut out, options.max_rows).await?;
    }
    let answer = session.ask(last).await?;
    query::write(answer, out, options.format, options.max_rows).await
}

/// Opens the storage root. If there is none at the default place, files can still be queried.
async fn session(root: &str, memory: u64) -> Result<Session, Failure> {
    match Session::open(root, memory, Order::Any).await {
        Err(failure) if root == DEFAULT_ROOT && !Path::new(root).exists() => {
            Session::without_root(memory, failure)
        }
        opened => opened,
    }
}
