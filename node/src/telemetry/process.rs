//! What the process uses, as `/proc/self` tells it.

use std::fs;

pub(super) const RESIDENT_BYTES: &str = "process_resident_memory_bytes";
pub(super) const CPU_SECONDS: &str = "process_cpu_seconds_total";
pub(super) const OPEN_FDS: &str = "process_open_fds";
pub(super) const THREADS: &str = "process_threads";
pub(super) const START_TIME: &str = "process_start_time_seconds";

/// The gauges of this module and what they are. Names are those of Prometheus's own client libraries.
pub(super) const METRICS: &[(&str, &str)] = &[
    (RESIDENT_BYTES, "Memory of the process in RAM, in bytes"),
    (
        CPU_SECONDS,
        "Time the process has run on CPUs, user and system, in seconds",
    ),
    (OPEN_FDS, "Open file descriptors"),
    (THREADS, "Threads"),
    (
        START_TIME,
        "When the process started, in seconds since 1970",
    ),
];

/// Ticks a second in `/proc/self/stat`: Linux gives 100 to all programs, whatever the kernel's own clock.
const TICKS_PER_SECOND: f64 = 100.0;

/// What the process uses now; `None` for what cannot be read.
pub(super) struct Usage {
    pub(super) resident_bytes: Option<f64>,
    pub(super) cpu_seconds: Option<f64>,
    pub(super) open_fds: Option<f64>,
    pub(super) threads: Option<f64>,
}

pub(super) fn usage() -> Usage {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    Usage {
        resident_bytes: status_field(&status, "VmRSS:").map(|kib| kib * 1024.0),
        cpu_seconds: cpu_seconds(&stat),
        // The listing itself holds one descriptor.
        open_fds: fs::read_dir("/proc/self/fd")
            .ok()
            .map(|dir| dir.count().saturating_sub(1) as f64),
        threads: status_field(&status, "Threads:"),
    }
}

/// The number after a name in `/proc/self/status`.
fn status_field(status: &str, name: &str) -> Option<f64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// utime + stime of `/proc/self/stat`, fields 14 and 15; the name in field 2 may hold anything, so count
/// from the last parenthesis.
pub(super) fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}
