//! Object names below a storage root. No other module formats them.
//!
//! Every object is created once and never overwritten. That is why the existence of an object can
//! be a decision, for example that a slot is filled or a job canceled.

use crate::job::DatasetSource;
use crate::location::{DatasetOrigin, GIVEN_ROWS};
use crate::{Attempt, Epoch, JobId, JobSpec, SlotId};

/// Version of the object names and of the contents of the objects.
pub const LAYOUT_VERSION: u32 = 1;

/// Records the [`LAYOUT_VERSION`] of the root.
pub const FORMAT: &str = "_meta/format.json";
/// Folder with one object per coordinator that has served this root.
pub const EPOCHS: &str = "_meta/epochs";
/// Folder of the objects that the probe of a store creates.
pub const PROBES: &str = "_meta/probe";
/// Exists once a store was probed and found safe.
pub const PROBED: &str = "_meta/probe/passed.json";
/// Folder with one folder per schedule.
pub const SCHEDULES: &str = "_meta/schedules";
/// Folder with one folder per job.
pub const JOBS: &str = "jobs";
/// Folder of the slots of all jobs that attribute their rows.
pub const ATTRIBUTIONS: &str = "tables/attributions";
/// Folder of the slots of all jobs that ask what depends on a context.
pub const CONTEXTS: &str = "tables/contexts";
/// Folder where local stores write files before they link them to their names. Readers ignore it.
pub const STAGING: &str = "_staging";

/// Returns the name of the object that claims `epoch`. The number has a fixed width, so that a
/// listing sorts by epoch.
pub fn epoch(epoch: Epoch) -> String {
    format!("{EPOCHS}/{:020}.json", epoch.0)
}

/// What an object below [`SCHEDULES`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScheduleObject {
    /// The change of this number.
    Change(u64),
    /// What was decided at a time.
    Fire {
        /// The time, in milliseconds since 1970.
        time_ms: u64,
        /// Whether a person asked for it.
        is_manual: bool,
    },
    /// Why the jobs of a fire could not be submitted.
    Error,
}

/// Ends the names of fires that a person asked for.
const MANUAL: &str = "-manual";

/// Returns the name of the object that holds the change with this number of a schedule.
pub fn schedule_change(schedule: &str, number: u64) -> String {
    format!("{SCHEDULES}/{schedule}/changes/{number:08}.json")
}

/// Returns the name of the object that says what was decided at a time of a schedule.
pub fn schedule_fire(schedule: &str, time_ms: u64, is_manual: bool) -> String {
    let manual = if is_manual { MANUAL } else { "" };
    format!("{SCHEDULES}/{schedule}/fires/{time_ms:020}{manual}.json")
}

/// Returns the name of the object that says why the jobs of a fire could not be submitted.
pub fn schedule_error(schedule: &str, time_ms: u64, is_manual: bool) -> String {
    let manual = if is_manual { MANUAL } else { "" };
    format!("{SCHEDULES}/{schedule}/errors/{time_ms:020}{manual}.json")
}

/// Returns the schedule that an object belongs to, and what it is; `None` if it is none of them.
pub fn schedule_of_key(key: &str) -> Option<(&str, ScheduleObject)> {
    let rest = key.strip_prefix(SCHEDULES)?.strip_prefix('/')?;
    let (schedule, rest) = rest.split_once('/')?;
    let (folder, file) = rest.split_once('/')?;
    let name = file.strip_suffix(".json")?;
    let object = match folder {
        "changes" => ScheduleObject::Change(name.parse().ok()?),
        "errors" => ScheduleObject::Error,
        "fires" => {
            let (time, is_manual) = match name.strip_suffix(MANUAL) {
                Some(time) => (time, true),
                None => (name, false),
            };
            let time_ms = time.parse().ok()?;
            ScheduleObject::Fire { time_ms, is_manual }
        }
        _ => return None,
    };
    Some((schedule, object))
}

/// Returns the folder of the objects that describe a job.
pub fn job(job: &JobId) -> String {
    format!("{JOBS}/{job}")
}

/// Returns the name of a job's specification.
pub fn spec(job: &JobId) -> String {
    format!("{JOBS}/{job}/spec.json")
}

/// Returns the name of the object that says when a job was submitted.
pub fn submitted(job: &JobId) -> String {
    format!("{JOBS}/{job}/submitted.json")
}

/// Returns the name of a job's plan.
pub fn plan(job: &JobId) -> String {
    format!("{JOBS}/{job}/plan.json")
}

/// Returns the name of the object whose presence cancels a job.
pub fn cancel(job: &JobId) -> String {
    format!("{JOBS}/{job}/cancel.json")
}

/// Returns the folder of the objects that pause a job and let it go on.
pub fn pauses(job: &JobId) -> String {
    format!("{JOBS}/{job}/pauses")
}

/// Returns the name of the object with this number in [`pauses`]. The one with the highest number says
/// whether the job is paused.
pub fn pause(job: &JobId, number: u64) -> String {
    format!("{}/{number:08}.json", pauses(job))
}

/// Returns the number that a key of [`pause`] has, or `None` if the object is none.
pub fn pause_of_key(key: &str) -> Option<u64> {
    let (folder, name) = key.rsplit_once('/')?;
    let is_pause = folder.ends_with("/pauses");
    let number = name.strip_suffix(".json")?.parse().ok()?;
    is_pause.then_some(number)
}

/// Returns the name of the object that says why a job cannot be completed.
pub fn failed(job: &JobId) -> String {
    format!("{JOBS}/{job}/failed.json")
}

/// Returns the name of the manifest that marks a job as complete.
pub fn sealed(job: &JobId) -> String {
    format!("{JOBS}/{job}/sealed.json")
}

/// Returns the name of the record of one failed attempt.
pub fn failure(job: &JobId, slot: &SlotId, attempt: &Attempt) -> String {
    format!("{}/{slot}/{attempt}.json", failures(job))
}

/// Returns the folder of a job's failure records.
pub fn failures(job: &JobId) -> String {
    format!("{JOBS}/{job}/failures")
}

/// Returns the folder of a job's slots. It consists of Hive partitions, so that every Parquet
/// reader gets the columns `model`, `method`, `dataset` and `job` from the path and can prune by
/// them.
pub fn table(spec: &JobSpec) -> String {
    let folder = match spec.context {
        Some(_) => CONTEXTS,
        None => ATTRIBUTIONS,
    };
    let model = partition_value(model_name(&spec.model.path));
    let method = partition_value(&spec.attribution.method.name);
    let dataset = partition_value(&dataset_name(&spec.dataset));
    format!(
        "{folder}/model={model}/method={method}/dataset={dataset}/job={}",
        spec.id()
    )
}

/// Returns the key of a slot in a [`table`]. The object with this key is the shard's only result.
pub fn slot(table: &str, slot: &SlotId) -> String {
    format!("{table}/part-{slot}.parquet")
}

/// Returns a model's display name: that of its folder, file or repository.
fn model_name(address: &str) -> &str {
    let path = match address.split_once("://") {
        // Settings of a store are part of the address, and so is the commit of a repository. A file
        // of the repository comes after the commit.
        Some((_, rest)) => {
            let rest = rest.split('?').next().unwrap_or(rest);
            match rest.split_once('@') {
                Some((_, revision)) if revision.contains('/') => revision,
                Some((repository, _)) => repository,
                None => rest,
            }
        }
        None => address,
    };
    let name = path.trim_end_matches('/');
    let name = name.rsplit_once('/').map_or(name, |(_, name)| name);
    // The name of a folder may have a dot in it: `Qwen2.5-0.5B`.
    let stem = name.strip_suffix(".gguf");
    stem.or_else(|| name.strip_suffix(".GGUF")).unwrap_or(name)
}

/// Returns a dataset's display name: the name of its one file, or the name of the folder or
/// repository, its configuration and the splits that are read, because the names of the files say
/// neither.
fn dataset_name(dataset: &DatasetSource) -> String {
    let location = &dataset.location;
    let is_pattern = |path: &String| without_query(path).contains(['*', '?', '[']);
    let name = match (&location.origin, &location.data_files[..]) {
        (DatasetOrigin::Files, []) => location.data_dir.as_deref().unwrap_or_default(),
        // Nobody knows how many files a pattern matches; its folder's name says more.
        (DatasetOrigin::Files, files) if files.len() > 1 || files.iter().any(is_pattern) => {
            common_folder(files)
        }
        (DatasetOrigin::Files, [file, ..]) => {
            return file_stem(without_query(file)).to_owned();
        }
        (DatasetOrigin::Folder { path }, _) => path,
        (DatasetOrigin::Hub { repository, .. }, _) => repository,
        (DatasetOrigin::Rows { .. }, _) => return GIVEN_ROWS.to_owned(),
    };
    let name = without_query(name)
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or(name);
    let splits = dataset.split.split('+').map(|part| {
        let name_end = part.find(['[', '(']).unwrap_or(part.len());
        part[..name_end].trim()
    });
    let mut splits: Vec<_> = splits.collect();
    splits.dedup();
    let parts = [Some(name), location.config.as_deref()]
        .into_iter()
        .flatten();
    let parts: Vec<&str> = parts
        .chain(splits)
        .filter(|part| !part.is_empty())
        .collect();
    parts.join("-")
}

/// Returns an address such as `https://host/a.csv?download=true` without what follows its name. In a
/// path, and in a pattern, a question mark is like any other character.
fn without_query(path: &str) -> &str {
    match path.rsplit_once('?') {
        Some((address, query)) if path.contains("://") && query.contains('=') => address,
        _ => path,
    }
}

/// Returns the folder that all files or patterns have in common, without wildcards.
fn common_folder(files: &[String]) -> &str {
    let [first, others @ ..] = files else {
        return "";
    };
    let end = first.find(['*', '?', '[']).unwrap_or(first.len());
    others.iter().fold(folder(&first[..end]), |shared, file| {
        let mut shared = shared;
        while !is_below(file, shared) {
            shared = folder(shared);
        }
        shared
    })
}

/// Returns the folder of a path; empty if the path has no folder.
fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Returns whether `path` is inside `folder`. The empty folder contains every path, so that the
/// search for a common folder ends.
fn is_below(path: &str, folder: &str) -> bool {
    let rest = path.strip_prefix(folder);
    folder.is_empty() || rest.is_some_and(|rest| rest.starts_with('/'))
}

/// Returns the last component of a path or URL, without its file extension.
fn file_stem(path: &str) -> &str {
    let name = path
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or_default();
    match name.rsplit_once('.') {
        Some((stem, extension))
            if !stem.is_empty() && extension.chars().all(char::is_alphanumeric) =>
        {
            stem
        }
        _ => name,
    }
}

/// Maximum length of a partition value. File systems allow 255 bytes, which include the partition's
/// name, so longer values are cut. The job's id still tells the tables apart.
const MAX_PARTITION_VALUE: usize = 200;
/// The value that readers of Hive partitions interpret as null.
const HIVE_NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// Returns `text` as a safe partition value. Characters that would need escaping are replaced,
/// because readers differ in how they unescape, and so are values that readers interpret as
/// missing.
fn partition_value(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let plain: String = text
        .chars()
        .map(|c| if is_plain(c) { c } else { '_' })
        .take(MAX_PARTITION_VALUE)
        .collect();
    match plain.as_str() {
        "" => "_".to_owned(),
        HIVE_NULL => HIVE_NULL.trim_matches('_').to_owned(),
        _ => plain,
    }
}

/// Returns the slot that a key of [`table`] names, or `None` if the object is not a slot.
pub fn slot_of_key(key: &str) -> Option<SlotId> {
    let name = key.rsplit('/').next()?;
    name.strip_prefix("part-")?
        .strip_suffix(".parquet")?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::FormatName;
    use crate::location::DatasetLocation;

    #[test]
    fn a_slot_is_found_again_from_its_key() {
        let id = SlotId::of_shard(3).split()[1].clone();
        assert_eq!(
            slot_of_key(&slot("tables/attributions/job=x", &id)),
            Some(id)
        );
        assert_eq!(
            slot_of_key("tables/attributions/job=x/part-p1.parquet#1"),
            None
        );
    }

    #[test]
    fn pauses_are_told_from_other_objects_and_counted() {
        let job = JobId::of("x");
        assert_eq!(pause_of_key(&pause(&job, 12)), Some(12));
        for other in [spec(&job), failed(&job), format!("{}/x.json", pauses(&job))] {
            assert_eq!(pause_of_key(&other), None, "{other}");
        }
    }

    #[test]
    fn objects_of_schedules_are_told_apart() {
        use ScheduleObject::{Change, Error, Fire};
        let fire = |time_ms, is_manual| Fire { time_ms, is_manual };
        for (key, object) in [
            (schedule_change("a", 3), Change(3)),
            (schedule_fire("a", 7, false), fire(7, false)),
            (schedule_fire("a", 7, true), fire(7, true)),
            (schedule_error("a", 7, true), Error),
        ] {
            assert_eq!(schedule_of_key(&key), Some(("a", object)), "{key}");
        }
        let others = [
            "a/fires/x.json",
            "a/other/1.json",
            "a.json",
            "a/fires/1.txt",
        ];
        for other in others.map(|other| format!("{SCHEDULES}/{other}")) {
            assert_eq!(schedule_of_key(&other), None, "{other}");
        }
    }

    #[test]
    fn a_partition_value_is_a_plain_name() {
        assert_eq!(
            partition_value(file_stem("/data/my rows.v1.jsonl")),
            "my_rows.v1"
        );
        assert_eq!(partition_value(file_stem("")), "_");
        let null = partition_value("__HIVE_DEFAULT_PARTITION__");
        assert_eq!(null, "HIVE_DEFAULT_PARTITION");
        assert_eq!(partition_value(&"é".repeat(300)), "_".repeat(200));
    }

    #[test]
    fn a_model_is_called_as_its_folder_file_or_repository() {
        let commit = "0".repeat(40);
        for (address, name) in [
            ("models/SmolLM2-135M/", "SmolLM2-135M"),
            ("/models/Qwen2.5-0.5B", "Qwen2.5-0.5B"),
            ("/models/tiny.Q4_1.gguf", "tiny.Q4_1"),
            (&format!("hf://gpt2@{commit}"), "gpt2"),
            (&format!("hf://Qwen/Qwen2.5-0.5B@{commit}"), "Qwen2.5-0.5B"),
            (&format!("hf://ns/name@{commit}/q/a.Q4.gguf"), "a.Q4"),
            ("s3://bucket/models/a?endpoint=http://127.0.0.1:9000", "a"),
            ("", ""),
        ] {
            assert_eq!(model_name(address), name, "{address}");
        }
    }

    #[test]
    fn a_dataset_is_called_what_was_read() {
        let name = |origin: DatasetOrigin, files: &[&str], split: &str| {
            let location = DatasetLocation {
                data_files: files.iter().map(|file| (*file).to_owned()).collect(),
                ..DatasetLocation::of(origin)
            };
            dataset_name(&DatasetSource {
                split: split.to_owned(),
                ..DatasetSource::new(location, FormatName::Json, String::new(), "text")
            })
        };
        let files = |files: &[&str], split| name(DatasetOrigin::Files, files, split);
        assert_eq!(files(&["/data/rows.v1.jsonl"], "train[:20]"), "rows.v1");
        let several = ["/data/wiki/test-0.jsonl", "/data/wiki/train-0.jsonl"];
        assert_eq!(files(&several, "train"), "wiki-train");
        assert_eq!(files(&["/data/wiki/*.jsonl"], "train[:5]"), "wiki-train");
        let nested = ["/data/wiki/en/a.jsonl", "/data/wikis/en/a.jsonl"];
        assert_eq!(files(&nested, "train"), "data-train");
        assert_eq!(files(&["/a.jsonl", "/b.jsonl"], "train"), "train");
        assert_eq!(files(&["https://h/a/rows.csv?x=1"], "train"), "rows");
        assert_eq!(
            files(&["s3://b/wiki/*.csv?region=x"], "train"),
            "wiki-train"
        );
        let settings = "s3://b/wiki?endpoint=http://h:1".to_owned();
        let bucket = DatasetOrigin::Folder { path: settings };
        assert_eq!(name(bucket, &[], "train"), "wiki-train");
        let path = "/data/wiki/".to_owned();
        let folder = |split| name(DatasetOrigin::Folder { path: path.clone() }, &[], split);
        assert_eq!(folder("test[10%:20%]"), "wiki-test");
        assert_eq!(folder("train[:5]+test[5:]"), "wiki-train-test");
        let hub = DatasetOrigin::Hub {
            repository: "inseq/dummy_enit".to_owned(),
            commit: "0".repeat(40),
            is_export: false,
        };
        assert_eq!(name(hub, &[], "train[:20]"), "dummy_enit-train");
    }
}
