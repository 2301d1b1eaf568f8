//! A process that outlives the node by a moment, to take the workers' groups along.
//!
//! A worker ties itself to the node (`PR_SET_PDEATHSIG`, and a thread that looks for its parent). That leaves
//! two gaps: a worker that has not come so far yet, and the children of a worker, whom the kernel tells
//! nothing. The guard closes both: a shell in a group of its own, which reads group numbers from a pipe that
//! only the node holds. When the node is gone, however it went, the pipe ends and the guard kills the groups.
//!
//! A process that made a group or session of its own is found by its environment: all that descend from a
//! worker carry the node's mark.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::Pid;

use super::settings::INSTANCE;

const SCRIPT: &str = r#"
trap '' INT TERM HUP QUIT
mark="$1"
groups=' '
while read -r order group; do
  case $order in
    +) groups="$groups$group " ;;
    -) case $groups in
         *" $group "*) groups="${groups%% "$group" *} ${groups#* "$group" }" ;;
       esac ;;
  esac
done
for group in $groups; do kill -s KILL -- "-$group" 2>/dev/null; done
[ "$2" = all ] || exit 0
for environ in $(grep -slaF "$mark" /proc/[0-9]*/environ); do
  process=${environ#/proc/}
  kill -s KILL "${process%/environ}" 2>/dev/null
done
"#;

/// See the module.
pub(super) struct Guard(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    groups: BTreeSet<i32>,
    shell: Option<(Child, ChildStdin)>,
    /// What all processes to take along have in their environment.
    mark: String,
    /// Not said twice.
    failed: bool,
}

impl Guard {
    /// Over the processes of an instance, see [`INSTANCE`].
    pub(super) fn new(instance: &str) -> Self {
        let mut inner = Inner::default();
        inner.mark = format!("{INSTANCE}={instance}");
        Self(Mutex::new(inner))
    }

    /// Whether a child of this process leads a group that is watched over, or is the guard itself.
    pub(super) fn knows(&self, pid: i32) -> bool {
        let inner = self.inner();
        let shell = inner
            .shell
            .as_ref()
            .map(|(child, _)| child.id().cast_signed());
        inner.groups.contains(&pid) || shell == Some(pid)
    }

    /// Watch over a group.
    pub(super) fn add(&self, group: Pid) {
        let mut inner = self.inner();
        inner.groups.insert(group.as_raw_pid());
        inner.tell('+', group.as_raw_pid());
    }

    /// The group is gone.
    pub(super) fn remove(&self, group: Pid) {
        let mut inner = self.inner();
        inner.groups.remove(&group.as_raw_pid());
        if inner.shell.is_some() {
            inner.tell('-', group.as_raw_pid());
        }
    }

    /// End the guard; groups that it still watches over are killed. Takes a moment of blocking.
    pub(super) fn end(&self) {
        self.inner().end();
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.end();
    }
}

impl Inner {
    fn tell(&mut self, order: char, group: i32) {
        let told = match &mut self.shell {
            // A line of this size is written whole or not at all.
            Some((_, pipe)) => pipe.write_all(format!("{order} {group}\n").as_bytes()),
            None => Err(io::ErrorKind::NotConnected.into()),
        };
        if told.is_err()
            && let Err(error) = self.start()
            && !self.failed
        {
            self.failed = true;
            tracing::error!(%error, "no guard over the workers' children; hint: is `sh` in PATH?");
        }
    }

    /// Start a guard, or another one, with all groups that there are.
    fn start(&mut self) -> io::Result<()> {
        if let Some((mut child, pipe)) = self.shell.take() {
            // It is gone already, or it would have read on.
            drop(pipe);
            let _ = child.kill();
            let _ = child.wait();
        }
        let mut child = Command::new("sh")
            .args(["-c", SCRIPT, "snakepit-guard", &self.mark, "all"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/")
            .process_group(0)
            .spawn()?;
        let mut pipe = child.stdin.take().expect("it was asked for");
        for group in &self.groups {
            pipe.write_all(format!("+ {group}\n").as_bytes())?;
        }
        self.shell = Some((child, pipe));
        Ok(())
    }

    fn end(&mut self) {
        if let Some((mut child, pipe)) = self.shell.take() {
            drop(pipe);
            let _ = child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn sleeper() -> Child {
        Command::new("sh")
            .args(["-c", "sleep 60 & wait"])
            .process_group(0)
            .spawn()
            .unwrap()
    }

    #[test]
    fn the_guards_end_takes_only_the_groups_that_are_left() {
        let (mut left, mut removed) = (sleeper(), sleeper());
        let pid = |child: &Child| Pid::from_raw(child.id().cast_signed()).unwrap();
        let guard = Guard::new("none");
        guard.add(pid(&left));
        guard.add(pid(&removed));
        guard.remove(pid(&removed));
        guard.end();
        let deadline = Instant::now() + Duration::from_secs(5);
        while left.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "the group is still alive");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(removed.try_wait().unwrap().is_none());
        rustix::process::kill_process_group(pid(&removed), rustix::process::Signal::KILL).unwrap();
        removed.wait().unwrap();
    }
}
