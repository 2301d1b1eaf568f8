//! What workers leave behind: their orphans are given to the node. The dead ones are reaped, and those that
//! live on after their worker has ended are killed, also where they made a session of their own. Only
//! processes that carry this node's mark in their environment are ever killed.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Weak;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio_util::sync::CancellationToken;

use super::settings::INSTANCE;
use super::spawn::Spawner;

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// Looks at which a child must have been unknown: one that was just started may not be known yet.
const LOOKS: u32 = 2;

pub(super) async fn sweep(spawner: Weak<Spawner>, stop: CancellationToken) {
    let mut strangers: BTreeMap<i32, u32> = BTreeMap::new();
    while stop
        .run_until_cancelled(tokio::time::sleep(EVERY))
        .await
        .is_some()
    {
        let Some(spawner) = spawner.upgrade() else {
            return;
        };
        let children = children();
        strangers.retain(|pid, _| children.contains(pid));
        for pid in children {
            if spawner.guard.knows(pid) {
                strangers.remove(&pid);
                continue;
            }
            let looks = strangers.entry(pid).or_default();
            *looks += 1;
            if *looks >= LOOKS
                && let Some(pid) = Pid::from_raw(pid)
            {
                end(pid, &spawner);
            }
        }
    }
}

/// The node's own children, orphans that it was given included.
fn children() -> Vec<i32> {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else {
        return Vec::new();
    };
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|text| {
            let pids = text.split_whitespace().filter_map(|pid| pid.parse().ok());
            pids.collect::<Vec<_>>()
        })
        .collect()
}

/// Reap an orphan that is dead; kill one of a worker that is no more.
fn end(pid: Pid, spawner: &Spawner) {
    let Ok(environment) = fs::read(format!("/proc/{}/environ", pid.as_raw_pid())) else {
        return;
    };
    if environment.is_empty() {
        // Dead, and nobody else waits for it: those who do are known.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let _ = waitid(WaitId::Pid(pid), options);
        return;
    }
    let value = |name: &str| {
        environment
            .split(|byte| *byte == 0)
            .filter_map(|pair| std::str::from_utf8(pair).ok()?.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    };
    if value(INSTANCE) != Some(spawner.instance()) {
        return;
    }
    // Workers tell their children who they are. What does not say it may be in use, and goes with the node.
    let worker_ended = value("SNAKEPIT_WORKER_PID")
        .and_then(|pid| pid.parse().ok())
        .is_some_and(|pid| !spawner.guard.knows(pid));
    if worker_ended {
        tracing::info!(pid = pid.as_raw_pid(), "killed: its worker has ended");
        let _ = kill_process(pid, Signal::KILL);
    }
}
