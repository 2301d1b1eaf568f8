//! Processes that were started, told apart from others that got their number later.

use std::fs;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// A process: its number, and when it began in which boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    pub pid: u32,
    /// Clock ticks between boot and its start.
    start_ticks: u64,
    boot_id: String,
}

impl ProcessId {
    /// Of a process that runs now.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let start_ticks = start_ticks(&stat)?;
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Some(Self {
            pid,
            start_ticks,
            boot_id: boot_id.trim().to_owned(),
        })
    }

    /// Whether it still runs, and holds its files and ports; a zombie does not.
    pub fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// Send it a signal; false where it had ended. Never reaches another process: the check is made between
    /// taking hold of the number and sending.
    pub fn signal(&self, signal: Signal) -> Result<bool, Errno> {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else {
            return Ok(false);
        };
        let held = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(held) => held,
            Err(Errno::SRCH) => return Ok(false),
            Err(error) => return Err(error),
        };
        if !self.is_alive() {
            return Ok(false);
        }
        match pidfd_send_signal(held, signal) {
            Ok(()) => Ok(true),
            Err(Errno::SRCH) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The 22nd field of `/proc/<pid>/stat`; `None` for zombies and the dead. The second field is the program's
/// name in parentheses, which may hold anything. A process whose first thread is a zombie while others (the 20th field
/// counts all) are still on their way out is not one itself.
fn start_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?;
    let threads: u64 = fields.nth(16)?.parse().ok()?;
    let has_ended = matches!(state, "Z" | "X" | "x") && threads <= 1;
    let began = fields.nth(1)?.parse().ok()?;
    (!has_ended).then_some(began)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::net::TcpListener;
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn the_start_time_is_found_behind_any_name() {
        let tail = |threads| format!("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 {threads} 18 777 20");
        assert_eq!(start_ticks(&format!("5 (a) b) S {}", tail(1))), Some(777));
        assert_eq!(start_ticks(&format!("5 (a) Z {}", tail(1))), None);
        assert_eq!(start_ticks(&format!("5 (a) X {}", tail(0))), None);
        assert_eq!(start_ticks(&format!("5 (a) Z {}", tail(2))), Some(777));
        assert_eq!(start_ticks("5 (a"), None);
    }

    #[test]
    fn a_process_runs_until_its_last_thread_has_ended() {
        // Its first thread ends (exit, not exit_group) while another one holds a port.
        let program = "
import ctypes, platform, socket, threading, time
held = socket.create_server(('127.0.0.1', 0))
threading.Thread(target=time.sleep, args=(60,)).start()
print(held.getsockname()[1], flush=True)
ctypes.CDLL(None).syscall({'x86_64': 60, 'aarch64': 93}[platform.machine()], 0)
";
        let python = std::env::var("SNAKEPIT_PYTHON").unwrap_or_else(|_| "python3".into());
        let mut child = Command::new(python)
            .args(["-c", program])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let id = ProcessId::of(child.id()).unwrap();
        let mut port = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut port).unwrap();
        let stat = format!("/proc/{}/stat", child.id());
        let deadline = Instant::now() + Duration::from_secs(40);
        while !fs::read_to_string(&stat).unwrap().contains(") Z ") {
            assert!(Instant::now() < deadline, "its first thread ends");
            std::thread::sleep(Duration::from_millis(5));
        }
        let address = format!("127.0.0.1:{}", port.trim());
        assert!(TcpListener::bind(&address).is_err());
        assert!(id.is_alive());
        assert_eq!(id.signal(Signal::KILL), Ok(true));
        while id.is_alive() {
            assert!(Instant::now() < deadline, "it ends");
            std::thread::sleep(Duration::from_millis(1));
        }
        TcpListener::bind(&address).unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn only_the_process_that_was_meant_is_hit() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let id = ProcessId::of(child.id()).unwrap();
        let reused = ProcessId {
            start_ticks: id.start_ticks + 1,
            ..id.clone()
        };
        assert!(!reused.is_alive() && id.is_alive());
        assert_eq!(reused.signal(Signal::KILL), Ok(false));
        assert_eq!(id.signal(Signal::KILL), Ok(true));
        child.wait().unwrap();
        assert!(!id.is_alive());
        assert_eq!(id.signal(Signal::KILL), Ok(false));
    }
}
