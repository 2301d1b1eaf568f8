//! `snakepit worker`: who runs the tools.

use std::collections::BTreeMap;

use clap::Subcommand;
use futures_util::future::join_all;
use serde_json::json;
use snakepit_client::{Client, ClientError, Endpoint, Worker};

use super::arguments::human_ms;
use super::error::CliError;
use super::globals::Context;
use super::output::{Cell, Tone, note};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List workers of all nodes
    Ls,
}

/// The table of verbs.
pub(crate) async fn run(context: &Context, verb: Verb) -> Result<(), CliError> {
    match verb {
        Verb::Ls => list(context).await,
    }
}

async fn list(context: &Context) -> Result<(), CliError> {
    let client = context.client()?;
    let members = client.status().await?.members;
    let asked = members
        .iter()
        .filter_map(|member| member.client_address.parse().ok());
    let asked = asked.map(|endpoint: Endpoint| at(&client, endpoint));
    // A node may list its own workers or those of all: each is shown once.
    let mut found: BTreeMap<(u64, String), Worker> = BTreeMap::new();
    for (endpoint, workers) in join_all(asked).await {
        match workers {
            Ok(workers) => {
                let named = workers
                    .into_iter()
                    .map(|worker| ((worker.node_id, worker.id.clone()), worker));
                found.extend(named);
            }
            Err(error) => note(&format!("no word from {endpoint}: {error}")),
        }
    }
    let rows = found.values().map(|worker| {
        vec![
            Cell::number(worker.node_id),
            Cell::text(&worker.id),
            Cell::text(&worker.pool),
            Cell::toned(&worker.state, tone(&worker.state)),
            Cell::number(worker.running),
            Cell::number(worker.calls),
            Cell::number(format!("{} MiB", worker.rss_bytes >> 20)),
            Cell::text(human_ms(worker.uptime_ms)),
            Cell::number(worker.restarts),
            Cell::number(worker.pid),
        ]
    });
    let headers = [
        "node", "worker", "pool", "state", "running", "calls", "memory", "up", "restarts", "pid",
    ];
    let json: Vec<_> = found.values().map(as_json).collect();
    context.output.table(&headers, rows.collect(), &json)
}

async fn at(client: &Client, endpoint: Endpoint) -> (Endpoint, Result<Vec<Worker>, ClientError>) {
    let patience = client
        .options()
        .timeout
        .min(std::time::Duration::from_secs(3));
    let workers = match client.at(&endpoint) {
        Ok(client) => client.with_timeout(patience).list_workers().await,
        Err(error) => Err(error),
    };
    (endpoint, workers.map(|workers| workers.value))
}

fn tone(state: &str) -> Tone {
    match state {
        "ready" | "busy" => Tone::Good,
        "backing_off" => Tone::Bad,
        _ => Tone::Plain,
    }
}

fn as_json(worker: &Worker) -> serde_json::Value {
    json!({
        "id": worker.id,
        "node": worker.node_id,
        "pid": worker.pid,
        "pool": worker.pool,
        "state": worker.state,
        "running": worker.running,
        "calls": worker.calls,
        "rss_bytes": worker.rss_bytes,
        "uptime_ms": worker.uptime_ms,
        "restarts": worker.restarts,
    })
}
