//! A node whose own data is wrong gets another's: it marks its data directory, stops, begins anew in the same process,
//! and before it takes part again it puts a snapshot of a healthy node in the place of its state. Its Raft log and its
//! vote stay: entries are checked by themselves, and a lost vote could be given twice.

use std::convert::Infallible;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use snakepit_raft::{CopyClient, Stores, wall_clock_ms};
use snakepit_storage::LogStorage as _;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;

/// Time between two tries to get a snapshot.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// Time that must lie between two healings: what is wrong again so soon will not be mended by a third.
const HEAL_AGAIN_MS: u64 = 10 * 60_000;

/// What a data directory says of healing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealRecord {
    /// Why the state must be replaced; empty where it must not.
    pub reason: String,
    /// When it was replaced last, milliseconds since 1970; 0 where it never was.
    pub healed_ms: u64,
}

impl HealRecord {
    fn path(data: &Path) -> PathBuf {
        data.join("heal.json")
    }

    /// What is there; nothing where there is no record.
    pub fn read(data: &Path) -> io::Result<Self> {
        match std::fs::read(Self::path(data)) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    fn write(&self, data: &Path) -> io::Result<()> {
        snakepit_storage::identity::write_json(&Self::path(data), self)
    }

    /// Ask for the state to be replaced on the next start; false where that was done so lately that it would not help.
    pub fn ask(data: &Path, reason: &str) -> io::Result<bool> {
        let mut record = Self::read(data)?;
        let since_ms = wall_clock_ms().saturating_sub(record.healed_ms);
        if record.healed_ms != 0 && since_ms < HEAL_AGAIN_MS {
            return Ok(false);
        }
        reason.clone_into(&mut record.reason);
        record.write(data)?;
        Ok(true)
    }
}

/// Replace the state where the data directory asks for it. Goes on trying until another node gives a snapshot, or the
/// node is told to stop; true where it may go on.
pub async fn heal(
    settings: &Settings,
    stores: &Stores,
    stop: &CancellationToken,
) -> anyhow::Result<bool> {
    let data = &settings.node.data_dir;
    let record = HealRecord::read(data)?;
    if record.reason.is_empty() {
        return Ok(true);
    }
    tracing::warn!(
        reason = record.reason,
        "the state of this node is wrong; it is replaced by another node's before this one takes part"
    );
    let others: Vec<_> = settings
        .members
        .iter()
        .filter(|member| member.id != settings.node.id)
        .collect();
    anyhow::ensure!(
        !others.is_empty(),
        "the state of this node is wrong ({}), and there is no other node to get one from; hint: restore the data directory from a copy",
        record.reason
    );
    loop {
        for member in &others {
            match copy(settings, stores, &member.peer.to_string()).await {
                Ok(()) => {
                    let healed = HealRecord {
                        reason: String::new(),
                        healed_ms: wall_clock_ms(),
                    };
                    healed.write(data)?;
                    metrics::counter!("snakepit_heals_total").increment(1);
                    tracing::warn!(from = member.id, "the state of this node is another's now");
                    return Ok(true);
                }
                Err(error) => {
                    tracing::warn!(
                        from = member.id,
                        error = format!("{error:#}"),
                        "cannot get a state; trying on"
                    );
                }
            }
        }
        let waited = stop.run_until_cancelled(tokio::time::sleep(RETRY_EVERY));
        if waited.await.is_none() {
            return Ok(false);
        }
    }
}

/// Get a snapshot that goes as far as this node's log has been cut off, and make it the state.
async fn copy(settings: &Settings, stores: &Stores, address: &str) -> anyhow::Result<()> {
    let client = CopyClient::new(address, &settings.node.cluster_id)?;
    let (purged, _) = stores.log.bounds()?;
    let at_least = purged.map_or(0, |id| id.index);
    let staged = client.pull_snapshot(&stores.state, at_least).await?;
    let state = stores.state.clone();
    let replaced = tokio::task::spawn_blocking(move || state.replace(&staged)).await??;
    tracing::info!(
        snapshot = replaced.id,
        "a snapshot took the place of the state"
    );
    Ok(())
}

/// Begin this process anew, with the arguments that it was started with.
///
/// # Errors
///
/// Whatever keeps the system from starting it.
pub fn begin_anew() -> anyhow::Result<Infallible> {
    let mut arguments = std::env::args_os();
    let mut command = std::process::Command::new("/proc/self/exe");
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    let error = command.args(arguments).exec();
    Err(anyhow::anyhow!(
        "the node cannot begin anew: {error}; hint: start it again"
    ))
}
