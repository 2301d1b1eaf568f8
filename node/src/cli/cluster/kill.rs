//! `snakepit cluster kill`: a crash, on purpose.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::super::error::CliError;
use super::super::globals::Context;
use super::Place;
use super::layout::Layout;
use super::record::Record;

/// Time that a killed process may take to be gone.
const DEATH: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The node's number
    node: u64,
    #[command(flatten)]
    place: Place,
}

pub(crate) async fn run(context: &Context, args: &Args) -> Result<(), CliError> {
    let id = args.node;
    let pid = kill(&args.place.layout()?, id).await?;
    let sentence = format!("killed node {id}, process {pid}");
    context
        .output
        .done(&sentence, &json!({ "node": id, "pid": pid }))
}

/// Kill a node and wait for its end; the number that its process had.
pub(crate) async fn kill(layout: &Layout, id: u64) -> Result<u32, CliError> {
    let record = Record::load(layout)?;
    let node = record.node(id)?;
    let down = || {
        CliError::failed(format!("node {id} is down already"))
            .hint(format!("start it with `snakepit cluster start {id}`"))
    };
    let process = node.process.as_ref().ok_or_else(down)?;
    let hit = process.signal(Signal::KILL);
    if !hit.map_err(|error| CliError::failed(format!("cannot kill node {id}: {error}")))? {
        return Err(down());
    }
    let deadline = Instant::now() + DEATH;
    while process.is_alive() {
        if Instant::now() >= deadline {
            return Err(CliError::failed(format!("node {id} does not die")));
        }
        sleep(Duration::from_millis(5)).await;
    }
    Record::note_process(layout, id, None)?;
    Ok(process.pid)
}
