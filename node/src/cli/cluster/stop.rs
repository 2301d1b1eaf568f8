//! Stopping nodes: first asked, then killed.

use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::super::error::CliError;
use super::layout::Layout;
use super::record::Record;

/// Time that nodes have to end by themselves.
const GRACE: Duration = Duration::from_secs(15);
/// Time that a killed process may take to be gone.
const DEATH: Duration = Duration::from_secs(5);
const LOOK_INTERVAL: Duration = Duration::from_millis(30);

/// What became of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    WasDown,
    Ended,
    Killed,
}

impl Stopped {
    /// For people and programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::WasDown => "was down",
            Self::Ended => "stopped",
            Self::Killed => "killed",
        }
    }
}

/// Stop all nodes of a record: asked first, killed when the time is over or `hurry` says so. `reap` is called
/// at each look, for the children of this process.
pub(crate) async fn all(
    layout: &Layout,
    record: &Record,
    hurry: &watch::Receiver<bool>,
    mut reap: impl FnMut(),
) -> Result<Vec<(u64, Stopped)>, CliError> {
    let mut fates: Vec<(u64, Stopped)> = Vec::new();
    for node in &record.nodes {
        let asked = node
            .process
            .as_ref()
            .map(|process| process.signal(Signal::TERM))
            .transpose();
        let asked = asked.map_err(|error| cannot_stop(node.id, error))?;
        fates.push((
            node.id,
            if asked == Some(true) {
                Stopped::Ended
            } else {
                Stopped::WasDown
            },
        ));
    }
    let any_left = || record.nodes.iter().any(|node| node.running().is_some());
    let deadline = Instant::now() + GRACE;
    reap();
    while any_left() && Instant::now() < deadline && !*hurry.borrow() {
        sleep(LOOK_INTERVAL).await;
        reap();
    }
    for (node, (_, fate)) in record.nodes.iter().zip(&mut fates) {
        if let Some(process) = node.running() {
            process
                .signal(Signal::KILL)
                .map_err(|error| cannot_stop(node.id, error))?;
            *fate = Stopped::Killed;
        }
    }
    let deadline = Instant::now() + DEATH;
    reap();
    while any_left() && Instant::now() < deadline {
        sleep(LOOK_INTERVAL).await;
        reap();
    }
    for node in record.nodes.iter().filter(|node| node.process.is_some()) {
        if node.running().is_some() {
            return Err(CliError::failed(format!("node {} does not die", node.id)));
        }
        Record::note_process(layout, node.id, None)?;
    }
    Ok(fates)
}

fn cannot_stop(id: u64, error: rustix::io::Errno) -> CliError {
    CliError::failed(format!("cannot stop node {id}: {error}"))
}
