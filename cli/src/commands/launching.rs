//! What starts the processes that share a job: lines for a shell, a Kubernetes Job, a Slurm script.

use askama::Template;
use whence_schemas::JobId;

use crate::Failure;
use crate::args::Launcher;
use crate::job_url::JobUrl;

/// Returns what starts `of` processes for a job.
pub(super) fn script(launcher: Launcher, url: &JobUrl, of: u32) -> Result<String, Failure> {
    let name = format!("whence-{}", short(&url.id));
    let text = url.text();
    let quoted = shlex::try_quote(&text);
    let quoted = quoted.map_err(|error| Failure::run(format!("quote `{text}`: {error}")))?;
    let last = of - 1;
    let rendered = match launcher {
        Launcher::Shell => ForShell {
            url: &quoted,
            last,
            of,
        }
        .render(),
        Launcher::Kubernetes => {
            // JSON's strings are strings of YAML.
            let url = serde_json::Value::from(text.as_str()).to_string();
            ForKubernetes { name, url, of }.render()
        }
        Launcher::Slurm => ForSlurm {
            name,
            url: &quoted,
            last,
            of,
        }
        .render(),
    };
    let script = rendered.map_err(|error| Failure::run(format!("write the script: {error}")))?;
    Ok(script.trim_end().to_owned())
}

/// Returns as much of a job's id as names of other systems have room for.
fn short(id: &JobId) -> &str {
    &id.as_str()[..10]
}

#[derive(Template)]
#[template(path = "static/shell.sh", escape = "none")]
struct ForShell<'a> {
    url: &'a str,
    last: u32,
    of: u32,
}

#[derive(Template)]
#[template(path = "static/job.yaml", escape = "none")]
struct ForKubernetes {
    name: String,
    url: String,
    of: u32,
}

#[derive(Template)]
#[template(path = "static/array.sbatch", escape = "none")]
struct ForSlurm<'a> {
    name: String,
    url: &'a str,
    last: u32,
    of: u32,
}
