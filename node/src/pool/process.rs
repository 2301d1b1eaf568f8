//! A worker's process and its group, from spawn to reaping.

use std::fmt;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::Arc;

use process_wrap::tokio::ChildWrapper;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::output::Output;
use super::spawn::Spawner;

/// Owns the process: when it is dropped, the whole group is killed.
///
/// The group is killed while its leader is not yet reaped. Until then the kernel gives its number to nobody
/// else, so no other process can be hit.
pub(super) struct Process {
    child: Box<dyn ChildWrapper>,
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
pub(super) struct Status(Option<ExitStatus>);

impl Status {
    /// With code 0.
    pub(super) fn clean(self) -> bool {
        self.0.is_some_and(|status| status.success())
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => formatter.write_str("nobody knows how"),
            Some(status) => match (status.code(), status.signal()) {
                (Some(code), _) => write!(formatter, "with code {code}"),
                (None, Some(signal)) => write!(formatter, "by signal {signal}"),
                (None, None) => write!(formatter, "{status}"),
            },
        }
    }
}

impl Process {
    /// Take over a child, which leads its own group.
    pub(super) fn new(
        child: Box<dyn ChildWrapper>,
        output: Output,
        spawner: Arc<Spawner>,
    ) -> std::io::Result<Self> {
        let pid = child
            .id()
            .and_then(|pid| Pid::from_raw(pid.cast_signed()))
            .ok_or_else(|| std::io::Error::other("the process has ended at once"))?;
        // Under a guard's eyes first: from here on the group dies with the node.
        spawner.guard.add(pid);
        let watched = pidfd_open(pid, PidfdFlags::empty())
            .map_err(std::io::Error::from)
            .and_then(watch);
        match watched {
            Ok(watch) => Ok(Self {
                child,
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
        let status = Status(self.child.wait().await.ok());
        self.ended = Some(status);
        self.spawner.guard.remove(self.pid);
        self.output.end().await;
        status
    }

    fn has_exited(&self) -> bool {
        use rustix::process::{WaitId, WaitIdOptions, waitid};
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
