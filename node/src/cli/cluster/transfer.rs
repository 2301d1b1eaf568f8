//! `snakepit cluster transfer`: have another node lead.

use std::time::Duration;

use serde_json::json;
use snakepit_client::Client;
use tokio::time::{Instant, sleep};

use super::super::error::CliError;
use super::super::globals::Context;
use super::Place;
use super::record::Record;

/// Time for the new leader to show itself.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Number of the node that is to lead [default: the most up-to-date follower]
    to: Option<u64>,
    #[command(flatten)]
    place: Place,
}

pub(crate) async fn run(context: &Context, args: &Args) -> Result<(), CliError> {
    let record = Record::find(&args.place.layout()?)?;
    let client = match record {
        Some(record) if !context.names_endpoints() => record.client(context)?,
        _ => context.client()?,
    };
    let before = client.status().await?.leader_id;
    let to = args.to.unwrap_or(0);
    if to != before {
        client.transfer_leader(to).await?;
    }
    let leader = wait(&client, before, to).await?;
    let sentence = format!("node {leader} leads, it was node {before}");
    context
        .output
        .done(&sentence, &json!({ "leader": leader, "before": before }))
}

/// Wait until the wanted node leads; any other than before where none is wanted.
async fn wait(client: &Client, before: u64, to: u64) -> Result<u64, CliError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let leader = client.status().await?.leader_id;
        let wanted = if to == 0 {
            leader != before
        } else {
            leader == to
        };
        if leader != 0 && wanted {
            return Ok(leader);
        }
        if Instant::now() >= deadline {
            let message = format!("node {leader} leads after {} s", PATIENCE.as_secs());
            return Err(CliError::failed(message)
                .hint("the wanted node may lag behind: look with `snakepit cluster status`"));
        }
        sleep(Duration::from_millis(50)).await;
    }
}
