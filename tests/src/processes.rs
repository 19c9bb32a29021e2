//! The real programs as child processes, which a test can kill.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::log::Log;

/// Time between two readings of a process's memory. The kernel itself records the peak, so only
/// growth just before the process ends can be missed.
const ASK_EVERY: Duration = Duration::from_millis(5);

/// One of our programs as a child process. Killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: Log,
}

impl Process {
    /// Starts the program `name` with `arguments`. Its messages appear in the output of the test.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn start(name: &str, arguments: &[&str]) -> Self {
        Self::start_with(name, arguments, &[])
    }

    /// Starts the program `name` with `arguments` and some environment variables.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn start_with(name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(program(name))
            .args(arguments)
            .env("NO_COLOR", "1")
            // Workers then also say when they start a task.
            .env("RUST_LOG", "info,whence_worker=debug")
            .envs(environment.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let messages = child.stderr.take().expect("its messages are piped");
        let log = Log::follow(messages);
        Self { child, log }
    }

    /// Returns what the process has said so far.
    pub fn log(&self) -> &Log {
        &self.log
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
        let mut process = Self::start(name, arguments);
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

    /// Sends a signal: `TERM`, as a supervisor does, `STOP` or `CONT`.
    ///
    /// # Panics
    ///
    /// If the process has ended.
    pub fn send(&mut self, signal: &str) {
        self.assert_is_running();
        send(&self.child.id().to_string(), signal);
    }

    /// Sends SIGTERM and waits for the end. Returns the exit status.
    ///
    /// # Panics
    ///
    /// If it ended by itself before.
    pub fn terminate(mut self) -> std::process::ExitStatus {
        self.send("TERM");
        self.child.wait().expect("a child that is told to ends")
    }

    /// Waits until the process has ended. Returns the exit status, and the processor time that it took.
    ///
    /// Linux tells the time only as long as the process is not waited for. So it is read repeatedly, and
    /// the last reading counts.
    ///
    /// # Panics
    ///
    /// If the system cannot be asked.
    pub async fn ended(mut self) -> (std::process::ExitStatus, Duration) {
        loop {
            let time = self.processor_time();
            if let Some(ended) = self.child.try_wait().expect("a child can be asked") {
                return (ended, time);
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// Returns the processor time that the process has taken so far.
    fn processor_time(&self) -> Duration {
        const TICKS_PER_SECOND: u64 = 100;
        let told = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let told = told.expect("a child that is not waited for is listed");
        // The second field, the name, ends with the last parenthesis. The 14th and 15th are times.
        let (_, after_name) = told.rsplit_once(')').expect("every process has a name");
        let times = after_name.split_whitespace().skip(11).take(2);
        let ticks: u64 = times
            .map(|ticks| ticks.parse::<u64>().expect("a number"))
            .sum();
        Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
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
            send(child, "KILL");
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
            send(child, "KILL");
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
        self.assert_is_running();
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a killed child ends");
    }

    fn assert_is_running(&mut self) {
        let ended = self.child.try_wait().expect("a child can be asked");
        assert!(ended.is_none(), "it had ended by itself: {ended:?}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails if the process has already ended, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process. Does nothing if it has ended.
fn send(id: &str, signal: &str) {
    let told = Command::new("kill")
        .args([&format!("-{signal}"), id])
        .output();
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
