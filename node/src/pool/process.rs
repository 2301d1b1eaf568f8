//! A worker's process and its group, from spawn to reaping.

use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process, kill_process_group,
    pidfd_open, waitid,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::output::Output;
use super::spawn::Spawner;

/// Owns the process: when it is dropped, the whole group is killed.
///
/// The group is killed while its leader is not yet reaped. Until then the kernel gives its number to nobody
/// else, so no other process can be hit.
pub(super) struct Process {
    pid: Pid,
    /// Readable once the process has ended; reading reaps nothing.
    watch: AsyncFd<OwnedFd>,
    output: Output,
    /// Its thread's end would be taken for the node's by the worker.
    spawner: Arc<Spawner>,
    ended: Option<Status>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Status {
    Code(i32),
    Signal(i32),
    Unknown,
}

impl Status {
    /// With code 0.
    pub(super) fn clean(self) -> bool {
        matches!(self, Self::Code(0))
    }

    fn of(ended: Option<WaitIdStatus>) -> Self {
        match ended {
            Some(status) => match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => Self::Code(code),
                (None, Some(signal)) => Self::Signal(signal),
                (None, None) => Self::Unknown,
            },
            None => Self::Unknown,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(formatter, "with code {code}"),
            Self::Signal(signal) => write!(formatter, "by signal {signal}"),
            Self::Unknown => formatter.write_str("nobody knows how"),
        }
    }
}

impl Process {
    /// Take over a child of this process, which leads its own group and for which nobody else waits.
    pub(super) fn new(pid: Pid, output: Output, spawner: Arc<Spawner>) -> std::io::Result<Self> {
        // Under a guard's eyes first: from here on the group dies with the node.
        spawner.guard.add(pid);
        let watched = pidfd_open(pid, PidfdFlags::empty())
            .map_err(std::io::Error::from)
            .and_then(watch);
        match watched {
            Ok(watch) => Ok(Self {
                pid,
                watch,
                output,
                spawner,
                ended: None,
            }),
            Err(error) => {
                let _ = kill_process_group(pid, Signal::KILL);
                spawner.guard.remove(pid);
                Err(error)
            }
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid.as_raw_pid().cast_unsigned()
    }

    /// Wait for the end; the process is not reaped by this.
    pub(super) async fn exited(&self) {
        // An error here means that nothing can be known: the caller ends the group then.
        let _ = self.watch.readable().await;
    }

    /// Ask it to drain.
    pub(super) fn ask_to_end(&self) {
        if self.ended.is_none() {
            let _ = kill_process(self.pid, Signal::TERM);
        }
    }

    /// Kill what is left of the group, reap the process, and take its last output.
    pub(super) async fn end(&mut self) -> Status {
        if let Some(status) = self.ended {
            return status;
        }
        if !self.has_exited() {
            let _ = kill_process_group(self.pid, Signal::KILL);
            self.exited().await;
        }
        // Its children go with it, however it ended.
        let _ = kill_process_group(self.pid, Signal::KILL);
        let status = Status::of(
            waitid(
                WaitId::Pid(self.pid),
                WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
            )
            .ok()
            .flatten(),
        );
        self.ended = Some(status);
        self.spawner.guard.remove(self.pid);
        self.output.end().await;
        status
    }

    pub(super) fn has_exited(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        matches!(waitid(WaitId::Pid(self.pid), options), Ok(Some(_)))
    }

    /// The newest line that it wrote.
    pub(super) fn last_words(&self) -> String {
        self.output.last_words()
    }
}

// The new constructor is an unsafe function, for types that lend their descriptor out. This one is owned.
#[allow(deprecated)]
fn watch(pidfd: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(pidfd, Interest::READABLE)
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended.is_none() {
            let _ = kill_process_group(self.pid, Signal::KILL);
            self.spawner.guard.remove(self.pid);
        }
    }
}
