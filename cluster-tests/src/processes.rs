//! Processes by the mark in their environment: what a node starts inherits it, and so does what that starts.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Names the environment variable that carries the mark.
pub const MARK: &str = "CLUSTER_TESTS_MARK";

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// What was called.
    pub command: String,
}

/// Living processes with this mark, but for those given.
pub fn marked(mark: &str, but: &[u32]) -> Vec<Process> {
    carrying(MARK, mark, but)
}

/// Living processes with this variable in their environment, but for those given.
pub fn carrying(name: &str, value: &str, but: &[u32]) -> Vec<Process> {
    let entry = format!("{name}={value}");
    let Ok(all) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = all.filter_map(|item| item.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| !but.contains(pid))
        .filter(|pid| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment
                .split(|byte| *byte == 0)
                .any(|found| found == entry.as_bytes())
        })
        .filter(|pid| is_alive(*pid))
        .map(|pid| Process {
            pid,
            command: command(pid),
        })
        .collect()
}

/// A variable of a process's environment, as it was when that was started.
pub fn variable(pid: u32, name: &str) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    environment
        .split(|byte| *byte == 0)
        .filter_map(|entry| std::str::from_utf8(entry).ok()?.split_once('='))
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value.to_owned())
}

/// Whether it runs, with any of its threads; a zombie does not.
pub fn is_alive(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    let Some((_, fields)) = stat.rsplit_once(") ") else {
        return false;
    };
    let fields: Vec<_> = fields.split_ascii_whitespace().collect();
    // The third and the 20th: the state of its first thread, and how many there are.
    !matches!(fields[0], "Z" | "X") || !matches!(fields[17], "0" | "1")
}

/// Send a signal; false where the process is gone.
pub fn signal(pid: u32, signal: Signal) -> bool {
    Pid::from_raw(pid.cast_signed()).is_some_and(|pid| kill_process(pid, signal).is_ok())
}

/// Wait until no process with this mark is left but those given, and return those that are left in the end.
pub fn drained(mark: &str, but: &[u32], patience: Duration) -> Vec<Process> {
    let began = Instant::now();
    loop {
        let left = marked(mark, but);
        if left.is_empty() || began.elapsed() >= patience {
            return left;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn command(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes)
        .replace('\0', " ")
        .chars()
        .take(200)
        .collect()
}
