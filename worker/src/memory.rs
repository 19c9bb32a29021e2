//! How much memory a worker may use: the amount it was given, or what the machine and its container
//! have free.

use std::fs;
use std::path::Path;

/// Where Linux reports the free memory of the machine.
const MACHINE: &str = "/proc/meminfo";

/// Where Linux reports the memory limit and usage of a container (cgroup v2).
const CONTAINER: &str = "/sys/fs/cgroup";

/// Parses a number of bytes, with or without one of the units `KiB`, `MiB`, `GiB`, `TiB`. Fails if
/// `text` is not such a number, with a message that shows how to write one.
pub fn parse(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        "t" | "tib" => 40,
        _ => {
            return Err(format!(
                "`{unit}` is not a memory unit; use KiB, MiB or GiB, as in `6GiB`"
            ));
        }
    };
    let number: f64 = number
        .parse()
        .map_err(|_| format!("`{text}` is not an amount of memory; write it as in `6GiB`"))?;
    Ok((number * (1_u64 << shift) as f64) as u64)
}

/// Returns half of the free memory, or `None` if the system does not report it. The other half is
/// left to the models and other processes.
pub fn half_of_free() -> Option<u64> {
    free().map(|bytes| bytes / 2)
}

/// Returns the free bytes of the machine or of its container, whichever is less; `None` if the
/// system does not report them.
pub fn free() -> Option<u64> {
    let machine = fs::read_to_string(MACHINE).ok()?;
    let machine = available(&machine)?;
    let container = left_in(Path::new(CONTAINER)).unwrap_or(u64::MAX);
    Some(machine.min(container))
}

/// Returns the bytes that `/proc/meminfo` reports as available.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

/// Returns the bytes a container has left, or `None` if it has no limit.
fn left_in(cgroup: &Path) -> Option<u64> {
    let read = |name: &str| fs::read_to_string(cgroup.join(name)).ok();
    // Without a limit, the file holds the word `max`, which does not parse.
    let limit: u64 = read("memory.max")?.trim().parse().ok()?;
    let used: u64 = read("memory.current")?.trim().parse().ok()?;
    Some(limit.saturating_sub(used))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_units() {
        assert_eq!(parse("512"), Ok(512));
        assert_eq!(parse("1.5 GiB"), Ok(3 << 29));
        assert_eq!(parse("64m"), Ok(64 << 20));
        assert!(
            parse("6 apples")
                .unwrap_err()
                .contains("is not a memory unit")
        );
        assert!(parse("GiB").unwrap_err().contains("is not an amount"));
    }

    #[test]
    fn what_is_available_is_read_from_meminfo() {
        let meminfo = "MemTotal:  100 kB\nMemAvailable:     64 kB\n";
        assert_eq!(available(meminfo), Some(64 << 10));
        assert_eq!(available("MemTotal: 100 kB"), None);
    }

    #[test]
    fn a_container_has_left_what_it_has_not_used() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(left_in(folder.path()), None);
        fs::write(folder.path().join("memory.max"), "1000\n").unwrap();
        fs::write(folder.path().join("memory.current"), "400\n").unwrap();
        assert_eq!(left_in(folder.path()), Some(600));
        fs::write(folder.path().join("memory.max"), "max\n").unwrap();
        assert_eq!(left_in(folder.path()), None);
    }
}
