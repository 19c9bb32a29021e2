//! The real programs as child processes, which a test can kill.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Time between two readings of a process's memory. The kernel itself records the peak, so only
/// growth just before the process ends can be missed.
const ASK_EVERY: Duration = Duration::from_millis(5);

/// One of our programs as a child process. Killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts the program `name` with `arguments`. Its messages appear in the output of the test.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn start(name: &str, arguments: &[&str]) -> Self {
        let child = Command::new(program(name))
            .args(arguments)
            .stdout(Stdio::null())
            .spawn()
            .expect("the program starts");
        Self { child }
    }

    /// Starts a coordinator for the local root `root` on the address `listen`. Returns the process
    /// and the address it listens on.
    ///
    /// # Panics
    ///
    /// If it cannot be started, or ends before it listens.
    pub fn coordinator(root: &Path, listen: &str) -> (Self, String) {
        let mut child = Command::new(program("whence-coordinator"))
            .arg("--root")
            .arg(root)
            .args([
                "--listen",
                listen,
                "--heartbeat",
                "200ms",
                "--lease-ttl",
                "2s",
            ])
            .env("NO_COLOR", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the coordinator starts");
        let messages = child.stderr.take().expect("its messages are piped");
        let mut seen = String::new();
        let mut messages = BufReader::new(messages);
        let address = loop {
            let mut line = String::new();
            let read = messages
                .read_line(&mut line)
                .expect("its messages can be read");
            assert!(read > 0, "the coordinator ended: {seen}");
            seen.push_str(&line);
            if let Some((_, address)) = line.split_once("listening address=") {
                break address.trim().to_owned();
            }
        };
        // Keep reading, or the coordinator would block once its messages fill the pipe.
        std::thread::spawn(move || std::io::copy(&mut messages, &mut std::io::stderr()));
        (Self { child }, address)
    }

    /// Starts a worker for the coordinator at `address`.
    pub fn worker(address: &str) -> Self {
        Self::start(
            "whence-worker",
            &["--coordinator", &format!("http://{address}")],
        )
    }

    /// Runs the program `name` to its end and returns its peak memory in KiB.
    ///
    /// # Panics
    ///
    /// If it cannot be started, or fails.
    pub async fn peak_kib(name: &str, arguments: &[&str]) -> u64 {
        let (ended, peak) = Self::measure(name, arguments).await;
        assert!(ended.success(), "it failed: {ended}");
        peak
    }

    /// Runs the program `name` to its end. Returns its exit status and its peak memory in KiB.
    ///
    /// Linux reports the peak (`VmHWM`) only while the process is running. So it is read
    /// repeatedly, and the last reading counts.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub async fn measure(name: &str, arguments: &[&str]) -> (std::process::ExitStatus, u64) {
        let child = Command::new(program(name))
            .args(arguments)
            .stdout(Stdio::null())
            .spawn()
            .expect("the program starts");
        let mut process = Self { child };
        let status = format!("/proc/{}/status", process.child.id());
        let mut peak = 0;
        loop {
            let told = std::fs::read_to_string(&status).unwrap_or_default();
            let held = told.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let held = held.and_then(|held| held.trim().strip_suffix(" kB")?.parse().ok());
            peak = peak.max(held.unwrap_or(0));
            if let Some(ended) = process.child.try_wait().expect("a child can be asked") {
                return (ended, peak);
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// Sends SIGTERM, as a supervisor does, and waits for the end. Returns the exit status.
    ///
    /// # Panics
    ///
    /// If it ended by itself before.
    pub fn terminate(mut self) -> std::process::ExitStatus {
        let ended = self.child.try_wait().expect("a child can be asked");
        assert!(ended.is_none(), "it had ended by itself: {ended:?}");
        let told = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        assert!(
            told.expect("there is a `kill`").success(),
            "it cannot be told"
        );
        self.child.wait().expect("a child that is told to ends")
    }

    /// Waits until the process has ended by itself. Returns the exit status.
    ///
    /// # Panics
    ///
    /// If the system cannot be asked.
    pub fn wait(mut self) -> std::process::ExitStatus {
        self.child.wait().expect("a child can be waited for")
    }

    /// Kills the processes that this one has started, with SIGKILL. Returns how many there were.
    ///
    /// # Panics
    ///
    /// If they cannot be told.
    pub fn kill_children(&self) -> usize {
        let children = self.children();
        for child in &children {
            kill(child);
        }
        children.len()
    }

    /// Kills the process and those that it has started with SIGKILL, as when a machine is lost.
    ///
    /// # Panics
    ///
    /// If it ended by itself before.
    pub fn kill_all(self) {
        let children = self.children();
        self.kill();
        for child in &children {
            kill(child);
        }
    }

    /// Returns the ids of the processes that this one has started.
    fn children(&self) -> Vec<String> {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let threads = threads.expect("it runs").flatten();
        // A child belongs to the thread that started it.
        let of_threads = threads.map(|thread| {
            std::fs::read_to_string(thread.path().join("children")).unwrap_or_default()
        });
        let of_threads: Vec<String> = of_threads.collect();
        let children = of_threads.iter().flat_map(|ids| ids.split_whitespace());
        children.map(str::to_owned).collect()
    }

    /// Kills the process with SIGKILL.
    ///
    /// # Panics
    ///
    /// If it ended by itself before.
    pub fn kill(mut self) {
        let ended = self.child.try_wait().expect("a child can be asked");
        assert!(ended.is_none(), "it had ended by itself: {ended:?}");
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a killed child ends");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails if the process has already ended, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Kills a process with SIGKILL. Does nothing if it has ended.
fn kill(id: &str) {
    let told = Command::new("kill").args(["-KILL", id]).output();
    told.expect("there is a `kill`");
}

/// Returns the path of one of our programs. Cargo builds them into the folder above the test's.
fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let folder = test
        .parent()
        .and_then(Path::parent)
        .expect("tests lie in target/PROFILE/deps");
    let program = folder.join(name);
    assert!(
        program.exists(),
        "`{name}` is not built: run the tests of the whole workspace"
    );
    program
}
