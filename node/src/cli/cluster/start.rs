//! `snakepit cluster start`: a node comes back.

use std::time::Duration;

use serde_json::json;

use super::super::arguments::duration;
use super::super::error::CliError;
use super::super::globals::Context;
use super::Place;
use super::record::Record;
use super::{ports, spawn};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The node's number
    node: u64,
    /// How long to wait until it is ready; 0 does not wait
    #[arg(long, default_value = "60s", value_parser = duration, value_name = "TIME")]
    wait: Duration,
    #[command(flatten)]
    place: Place,
}

pub(crate) async fn run(context: &Context, args: &Args) -> Result<(), CliError> {
    let layout = args.place.layout()?;
    let record = Record::load(&layout)?;
    let node = record.node(args.node)?;
    let id = node.id;
    if let Some(process) = node.running() {
        let message = format!("node {id} is running already, process {}", process.pid);
        return Err(CliError::failed(message));
    }
    ports::check([node])?;
    let mut started = [spawn::start(&layout, node)?];
    if !args.wait.is_zero() {
        spawn::wait_ready(&layout, &mut started, args.wait).await?;
    }
    let pid = Record::load(&layout)?
        .node(id)?
        .process
        .as_ref()
        .map(|process| process.pid);
    let sentence = format!("started node {id} on {}", node.client);
    context.output.done(
        &sentence,
        &json!({ "node": id, "pid": pid, "client": node.client }),
    )
}
