//! How much memory a worker may use: the amount it was given, or what the machine and its container
//! have free.

use std::fs;
use std::path::{Path, PathBuf};

use bytesize::{ByteSize, Unit};

/// Where Linux reports the free memory of the machine.
const MACHINE: &str = "/proc/meminfo";

/// Where Linux reports the memory limits and usage of containers (cgroup v2). In a container, this is its
/// own group.
const CONTAINERS: &str = "/sys/fs/cgroup";

/// Where Linux says in which group this process is. Engines such as Slurm give each task one.
const OWN_GROUP: &str = "/proc/self/cgroup";

/// Parses a number of bytes: `6GiB`, `512MiB`, `1.5GB`, or a bare number of bytes.
///
/// `6g` is 6 GiB, as in the memory limits of containers, while `6GB` is 6 × 10⁹ bytes. Fails if
/// `text` is not an amount of memory, with a message that shows how to write one.
pub fn parse(text: &str) -> Result<u64, String> {
    let text = text.trim();
    // `bytesize` knows every unit, but takes a bare letter for the decimal one.
    let rest_of_unit = match text.chars().last().map(|c| c.to_ascii_lowercase()) {
        Some('k' | 'm' | 'g' | 't' | 'p' | 'e') => "iB",
        Some('0'..='9' | '.') => "B",
        _ => "",
    };
    let size: Result<ByteSize, _> = format!("{text}{rest_of_unit}").parse();
    size.map(|size| size.as_u64()).map_err(|_| refusal(text))
}

/// Returns the message for a `text` that is not an amount of memory.
fn refusal(text: &str) -> String {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let unit = unit.trim();
    if unit.is_empty() || unit.parse::<Unit>().is_ok() {
        format!("`{text}` is not an amount of memory; write it as in `6GiB`")
    } else {
        format!("`{unit}` is not a memory unit; use KiB, MiB or GiB, as in `6GiB`")
    }
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
    let own = fs::read_to_string(OWN_GROUP).unwrap_or_default();
    let groups = groups(Path::new(CONTAINERS), &own);
    let container = groups.iter().filter_map(|group| left_in(group)).min();
    Some(machine.min(container.unwrap_or(u64::MAX)))
}

/// Returns the folders of the group that `own_group` names and of all groups around it. The limit of each
/// counts.
fn groups(root: &Path, own_group: &str) -> Vec<PathBuf> {
    let own = own_group.lines().find_map(|line| line.strip_prefix("0::/"));
    let own = root.join(own.unwrap_or_default());
    let around = own
        .ancestors()
        .take_while(|folder| folder.starts_with(root));
    around.map(Path::to_owned).collect()
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
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_amount_with_a_binary_unit_is_that_many_of_it(
            number in 0..1_u64 << 20,
            eighths in 0..8_u64,
            shift in 0..5_u32,
            variant in 0..3_usize,
            space in prop::sample::select(vec!["", " "]),
        ) {
            const UNITS: [[&str; 3]; 5] = [
                ["", "b", "B"],
                ["k", "KiB", "kib"],
                ["M", "MiB", "mib"],
                ["g", "GiB", "GIB"],
                ["T", "TiB", "tib"],
            ];
            let unit = UNITS[shift as usize][variant];
            let whole = format!("{number}{space}{unit}");
            prop_assert_eq!(parse(&whole), Ok(number << (10 * shift)));
            let decimals = eighths * 125;
            let fraction = format!(" {number}.{decimals:03}{space}{unit} ");
            let expected = ((8 * number + eighths) << (10 * shift)) / 8;
            prop_assert_eq!(parse(&fraction), Ok(expected));
        }
    }

    #[test]
    fn a_decimal_unit_is_a_power_of_ten() {
        assert_eq!(parse("6GB"), Ok(6_000_000_000));
        assert_eq!(parse("512 mb"), Ok(512_000_000));
    }

    #[test]
    fn what_is_not_an_amount_is_refused_with_an_example() {
        for (text, message) in [
            (
                "6 apples",
                "`apples` is not a memory unit; use KiB, MiB or GiB",
            ),
            ("-5", "`-5` is not a memory unit; use KiB, MiB or GiB"),
            ("1e9", "`e9` is not a memory unit; use KiB, MiB or GiB"),
            ("GiB", "`GiB` is not an amount of memory"),
            ("1.2.3GiB", "`1.2.3GiB` is not an amount of memory"),
            ("", "`` is not an amount of memory"),
            (".", "`.` is not an amount of memory"),
            ("g", "`g` is not an amount of memory"),
        ] {
            let found = parse(text).unwrap_err();
            assert!(found.starts_with(message), "{text}: {found}");
            assert!(found.ends_with("as in `6GiB`"), "{text}: {found}");
        }
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

    #[test]
    fn the_limits_of_all_groups_around_a_process_count() {
        let root = Path::new("/c");
        let of = |own: &str| -> Vec<String> {
            let found = groups(root, own);
            found
                .iter()
                .map(|folder| folder.display().to_string())
                .collect()
        };
        let own = "0::/slurm/job_1/task\n";
        assert_eq!(
            of(own),
            ["/c/slurm/job_1/task", "/c/slurm/job_1", "/c/slurm", "/c"]
        );
        for outside in ["0::/\n", "", "4:memory:/old\n"] {
            assert_eq!(of(outside), ["/c/"], "{outside:?}");
        }
    }
}
