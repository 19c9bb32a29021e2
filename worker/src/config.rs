//! The settings of a worker process.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use whence_engine::DeviceChoice;
use whence_schemas::{WorkerId, cache_folder};

use crate::{Error, memory};

/// Settings of a worker.
#[derive(Debug, Clone, Args)]
pub struct Config {
    /// Name of this worker. If absent, a random one.
    #[arg(long, env = "WHENCE_WORKER_ID", value_parser = parse_worker_id)]
    pub id: Option<WorkerId>,
    /// What to compute on: `cpu`, `cuda` or `cuda:1` for a GPU of Nvidia, several of them as
    /// `cuda:0,cuda:1`, or `auto` for the first GPU if one can be used and the processor otherwise.
    #[arg(
        long,
        env = "WHENCE_DEVICE",
        value_name = "DEVICE",
        value_delimiter = ',',
        default_value = "cpu"
    )]
    pub device: Vec<DeviceChoice>,
    /// Number of tokens attributed together. More is faster up to a point, and takes more memory.
    #[arg(long, env = "WHENCE_BATCH_TOKENS", default_value_t = 2048)]
    pub batch_tokens: usize,
    /// Maximum number of examples attributed together.
    #[arg(long, env = "WHENCE_BATCH_SIZE", default_value_t = 64)]
    pub batch_size: usize,
    /// Working memory of one computation, besides the models: `6GiB`, `512MiB` or bytes. An example
    /// that needs more becomes an error row, and a bound too small for the shortest example is
    /// refused. Default: half of the device's free memory.
    #[arg(long, env = "WHENCE_MEMORY", value_parser = memory::parse)]
    pub memory: Option<u64>,
    /// Maximum number of models kept loaded. The least recently used one is dropped first.
    #[arg(long, env = "WHENCE_LOADED_MODELS", default_value_t = 2)]
    pub loaded_models: usize,
    /// Disk space for downloaded models: `200GiB`. When they take more, those that were not used for
    /// the longest time are removed, but nothing that whence did not download. Default: no bound.
    #[arg(long, env = "WHENCE_MODEL_CACHE", value_name = "SIZE", value_parser = memory::parse)]
    pub model_cache: Option<u64>,
    /// Largest result of one shard, in bytes. A shard with a larger one is split.
    #[arg(long, env = "WHENCE_MAX_RESULT_BYTES", default_value_t = 256 << 20)]
    pub max_result_bytes: usize,
    /// Folder for results that the store does not take during an outage. They are committed when it
    /// answers again, also by the next worker on this machine. Default: `spool` in the cache folder.
    #[arg(long, env = "WHENCE_SPOOL", value_name = "FOLDER")]
    pub spool: Option<PathBuf>,
    /// Disk space for these results: `16GiB`. 0 keeps none, so that they are computed again.
    #[arg(long, env = "WHENCE_SPOOL_LIMIT", value_name = "SIZE", default_value = "4GiB", value_parser = memory::parse)]
    pub spool_limit: u64,
    /// How long to go on without a coordinator before giving up.
    #[arg(long, env = "WHENCE_ORPHAN_GRACE", default_value = "15m", value_parser = humantime::parse_duration)]
    pub orphan_grace: Duration,
    /// In a simulation of time, how long a group of examples takes.
    #[arg(skip)]
    pub simulated: Option<Duration>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            id: None,
            device: vec![DeviceChoice::Cpu],
            batch_tokens: 2048,
            batch_size: 64,
            memory: None,
            loaded_models: 2,
            model_cache: None,
            max_result_bytes: 256 << 20,
            spool: None,
            spool_limit: 4 << 30,
            orphan_grace: Duration::from_mins(15),
            simulated: None,
        }
    }
}

impl Config {
    /// Returns the folder for results that the store does not take.
    pub(crate) fn spool_folder(&self) -> PathBuf {
        let default = || cache_folder(|name| std::env::var(name).ok()).join("spool");
        self.spool.clone().unwrap_or_else(default)
    }

    /// Fails if results could not be kept in the folder that was named for them. It is only needed in an
    /// outage, when it is too late to learn that.
    pub(crate) fn check_spool(&self) -> Result<(), Error> {
        let Some(folder) = self.spool.as_deref().filter(|_| self.spool_limit > 0) else {
            return Ok(());
        };
        let made = std::fs::create_dir_all(folder);
        let written = made.and_then(|()| tempfile::tempfile_in(folder));
        written.map(drop).map_err(|source| Error::Spool {
            folder: folder.display().to_string(),
            source,
        })
    }

    /// Returns the arguments that give a worker process these settings.
    pub fn arguments(&self) -> Vec<String> {
        let devices: Vec<_> = self.device.iter().map(ToString::to_string).collect();
        let mut arguments = vec![
            format!("--device={}", devices.join(",")),
            format!("--batch-tokens={}", self.batch_tokens),
            format!("--batch-size={}", self.batch_size),
            format!("--loaded-models={}", self.loaded_models),
            format!("--max-result-bytes={}", self.max_result_bytes),
            format!("--spool-limit={}", self.spool_limit),
            format!(
                "--orphan-grace={}",
                humantime::format_duration(self.orphan_grace)
            ),
        ];
        let optional = [
            ("--id", self.id.as_ref().map(ToString::to_string)),
            (
                "--spool",
                self.spool
                    .as_ref()
                    .map(|folder| folder.display().to_string()),
            ),
            ("--memory", self.memory.map(|bytes| bytes.to_string())),
            (
                "--model-cache",
                self.model_cache.map(|bytes| bytes.to_string()),
            ),
        ];
        for (name, value) in optional {
            arguments.extend(value.map(|value| format!("{name}={value}")));
        }
        arguments
    }
}

fn parse_worker_id(text: &str) -> Result<WorkerId, whence_schemas::InvalidId> {
    text.parse()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        config: Config,
    }

    fn parse(arguments: &[&str]) -> Result<Config, String> {
        let arguments = ["worker"].iter().chain(arguments);
        let program = Program::try_parse_from(arguments);
        program
            .map(|program| program.config)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_worker_without_options_has_the_settings_of_one_that_is_made_in_a_program() {
        let parsed = parse(&[]).unwrap();
        assert_eq!(format!("{parsed:?}"), format!("{:?}", Config::default()));
    }

    #[test]
    fn a_worker_process_gets_the_settings_it_is_started_with() {
        let all = Config {
            id: Some("w-1".parse().unwrap()),
            device: vec![DeviceChoice::Cuda(0), DeviceChoice::Cuda(2)],
            batch_tokens: 7,
            batch_size: 3,
            memory: Some(5 << 30),
            loaded_models: 4,
            model_cache: Some(123),
            max_result_bytes: 99,
            spool: Some("/a b/c".into()),
            spool_limit: 8,
            orphan_grace: Duration::from_secs(30),
            simulated: None,
        };
        for config in [all, Config::default()] {
            let arguments = config.arguments();
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let parsed = parse(&arguments).unwrap();
            assert_eq!(format!("{parsed:?}"), format!("{config:?}"));
        }
    }

    #[test]
    fn a_folder_for_results_that_cannot_be_written_is_refused_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let check = |spool: PathBuf, spool_limit| {
            let config = Config {
                spool: Some(spool),
                spool_limit,
                ..Config::default()
            };
            config.check_spool().map_err(|error| error.to_string())
        };
        assert_eq!(check(folder.path().join("new/one"), 1), Ok(()));
        let refused = check(file.clone(), 1).unwrap_err();
        assert!(refused.contains("/file` cannot be written"), "{refused}");
        assert_eq!(check(file, 0), Ok(()));
    }

    #[test]
    fn an_option_that_cannot_be_is_refused_by_name() {
        for (option, value, named) in [
            ("--id", "a b", "`a b` is not a worker id"),
            ("--memory", "6 apples", "`apples` is not a memory unit"),
            (
                "--device",
                "cpu,gpu",
                "`gpu` is not a device; use `cpu`, `cuda`",
            ),
            ("--orphan-grace", "soon", "--orphan-grace"),
            ("--batch-size", "-1", "--batch-size"),
        ] {
            let refused = parse(&[&format!("{option}={value}")]).unwrap_err();
            assert!(refused.contains(named), "{refused}");
            assert!(refused.contains(option), "{refused}");
        }
    }
}
