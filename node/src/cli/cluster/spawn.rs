//! Starting nodes and waiting until they are ready.

use std::fs::{File, OpenOptions};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::super::error::CliError;
use super::super::output::note;
use super::layout::Layout;
use super::process::ProcessId;
use super::ready::is_ready;
use super::record::{NodeRecord, Record};

/// Between two looks at a node that is starting.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// Lines of a node's log that are shown where it fails to start.
const LOG_LINES: usize = 12;

/// A node that this process started.
#[derive(Debug)]
pub(crate) struct Started {
    pub id: u64,
    http: String,
    child: Child,
}

impl Started {
    /// Its end, where it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Kill it and wait for its end.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Start a node in its own process group, and note its process.
pub(crate) fn start(layout: &Layout, node: &NodeRecord) -> Result<Started, CliError> {
    let program = std::env::current_exe()
        .map_err(|error| CliError::failed(format!("cannot find this program: {error}")))?;
    let path = layout.log(node.id);
    let log = OpenOptions::new().create(true).append(true).open(&path);
    let log = log.map_err(CliError::file("open", &path))?;
    let errors: File = log.try_clone().map_err(CliError::file("open", &path))?;
    let child = Command::new(&program)
        .arg("node")
        .arg("--config")
        .arg(layout.settings(node.id))
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .process_group(0)
        .spawn()
        .map_err(CliError::file("run", &program))?;
    let mut started = Started {
        id: node.id,
        http: node.http.clone(),
        child,
    };
    let process = ProcessId::of(started.child.id());
    if let Err(error) = Record::note_process(layout, node.id, process) {
        started.kill();
        return Err(error);
    }
    Ok(started)
}

/// Wait until all are ready. An error where one ends instead, or where it takes too long.
pub(crate) async fn wait_ready(
    layout: &Layout,
    nodes: &mut [Started],
    patience: Duration,
) -> Result<(), CliError> {
    let deadline = Instant::now() + patience;
    for node in nodes.iter_mut() {
        while !is_ready(&node.http).await {
            if let Some(status) = node.ended() {
                return Err(ended_early(layout, node.id, status));
            }
            if Instant::now() >= deadline {
                let log = layout.log(node.id);
                return Err(CliError::unavailable(format!(
                    "node {} is not ready after {} s",
                    node.id,
                    patience.as_secs()
                ))
                .hint(format!(
                    "a majority of nodes must run; look into {}",
                    log.display()
                )));
            }
            sleep(LOOK_INTERVAL).await;
        }
        // Something else may answer on its port.
        if let Some(status) = node.ended() {
            return Err(ended_early(layout, node.id, status));
        }
    }
    Ok(())
}

fn ended_early(layout: &Layout, id: u64, status: ExitStatus) -> CliError {
    let path = layout.log(id);
    let said = std::fs::read(&path).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<_> = said.lines().collect();
    for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
        note(&format!("node {id} | {line}"));
    }
    CliError::failed(format!("node {id} ended while it was starting: {status}"))
        .hint(format!("its log is {}", path.display()))
}
