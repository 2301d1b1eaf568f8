//! `snakepit cluster status`: how the nodes are.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value as Json, json};
use snakepit_client::{Client, ClientError, StatusResponse};

use super::super::arguments::human_ms;
use super::super::error::CliError;
use super::super::globals::Context;
use super::super::output::{Cell, Tone, hex, note, short_hash};
use super::Place;
use super::record::{NodeRecord, Record};

/// Time for each node to tell its status.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is known of a node.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeStatus {
    pub id: u64,
    pub client: String,
    pub http: String,
    pub pid: Option<u32>,
    pub status: Option<StatusResponse>,
}

pub(crate) async fn run(context: &Context, place: &Place) -> Result<(), CliError> {
    let layout = place.layout()?;
    let record = if context.names_endpoints() {
        None
    } else {
        Record::find(&layout)?
    };
    let (client, known) = match &record {
        Some(record) => (record.client(context)?, record.nodes.as_slice()),
        None => (context.client()?, &[][..]),
    };
    let nodes = gather(&client, known).await;
    print(context, &nodes)?;
    if nodes.iter().all(|node| node.status.is_none()) {
        return Err(CliError::unavailable("no node answers")
            .hint("launch a cluster with `snakepit cluster up`, or give --endpoints or --dir"));
    }
    Ok(())
}

/// Ask all nodes that are known and those that they know, at the same time.
pub(crate) async fn gather(client: &Client, known: &[NodeRecord]) -> Vec<NodeStatus> {
    let client = client
        .clone()
        .with_timeout(client.options().timeout.min(PATIENCE));
    let mut found: BTreeMap<String, NodeStatus> = BTreeMap::new();
    for node in known {
        let status = NodeStatus {
            id: node.id,
            client: node.client.clone(),
            http: node.http.clone(),
            pid: node.running().map(|process| process.pid),
            status: None,
        };
        found.insert(node.client.clone(), status);
    }
    take(&mut found, client.status_all().await);
    let members: Vec<_> = found
        .values()
        .filter_map(|node| node.status.as_ref())
        .flat_map(|s| s.members.clone())
        .collect();
    let mut strangers = Vec::new();
    for member in members {
        let node = found
            .entry(member.client_address.clone())
            .or_insert_with(|| {
                strangers.push(member.client_address.clone());
                NodeStatus {
                    client: member.client_address.clone(),
                    ..Default::default()
                }
            });
        node.id = member.node_id;
        node.http.clone_from(&member.http_address);
    }
    let strangers = strangers.iter().filter_map(|address| address.parse().ok());
    let asked = strangers.map(|endpoint| {
        let client = &client;
        async move {
            let status = match client.at(&endpoint) {
                Ok(client) => client.status().await,
                Err(error) => Err(error),
            };
            (endpoint, status)
        }
    });
    take(&mut found, futures_util::future::join_all(asked).await);
    let mut nodes: Vec<_> = found.into_values().collect();
    nodes.sort_by(|a, b| (a.id, &a.client).cmp(&(b.id, &b.client)));
    nodes
}

fn take(
    found: &mut BTreeMap<String, NodeStatus>,
    told: Vec<(
        snakepit_client::Endpoint,
        Result<StatusResponse, ClientError>,
    )>,
) {
    for (endpoint, status) in told {
        let address = endpoint.to_string();
        let node = found.entry(address.clone()).or_default();
        node.client = address;
        if let Ok(status) = status {
            node.id = status.node_id;
            node.status = Some(status);
        }
    }
}

fn print(context: &Context, nodes: &[NodeStatus]) -> Result<(), CliError> {
    let headers = [
        "node",
        "role",
        "term",
        "applied",
        "events",
        "chain head",
        "sessions",
        "workers",
        "client",
        "http",
        "up",
    ];
    let json: Vec<_> = nodes.iter().map(as_json).collect();
    context
        .output
        .table(&headers, nodes.iter().map(row).collect(), &json)?;
    let leaders = nodes.iter().filter_map(|node| node.status.as_ref());
    let has_leader = leaders.clone().any(|status| status.leader_id != 0);
    if !context.output.is_json() && leaders.count() > 0 && !has_leader {
        note("no node leads: writes wait until a majority of the nodes is up");
    }
    Ok(())
}

fn row(node: &NodeStatus) -> Vec<Cell> {
    let id = if node.id == 0 {
        Cell::toned("?", Tone::Number)
    } else {
        Cell::number(node.id)
    };
    let addresses = [Cell::text(&node.client), Cell::text(&node.http)];
    let [client, http] = addresses;
    let Some(status) = &node.status else {
        let role = if node.pid.is_some() { "silent" } else { "down" };
        let mut cells = vec![id, Cell::toned(role, Tone::Bad)];
        cells.extend(std::iter::repeat_n(Cell::none(), 6));
        cells.extend([client, http, Cell::none()]);
        return cells;
    };
    vec![
        id,
        role(&status.role),
        Cell::number(status.term),
        Cell::number(status.applied_index),
        Cell::number(status.position),
        Cell::text(short_hash(&status.chain_head)),
        Cell::number(status.sessions),
        Cell::text(format!("{}/{}", status.workers_ready, status.workers)),
        client,
        http,
        Cell::text(human_ms(status.uptime_ms)),
    ]
}

/// A role in its colour.
pub(crate) fn role(role: &str) -> Cell {
    let tone = match role {
        "leader" => Tone::Good,
        "candidate" => Tone::Bad,
        _ => Tone::Plain,
    };
    Cell::toned(role, tone)
}

fn as_json(node: &NodeStatus) -> Json {
    let told = node.status.as_ref().map(|status| {
        json!({
            "cluster_id": status.cluster_id,
            "version": status.version,
            "role": status.role,
            "term": status.term,
            "leader": status.leader_id,
            "last_log_index": status.last_log_index,
            "committed_index": status.committed_index,
            "applied_index": status.applied_index,
            "snapshot_index": status.snapshot_index,
            "purged_index": status.purged_index,
            "position": status.position,
            "chain_head": hex(&status.chain_head),
            "sessions": status.sessions,
            "workers": status.workers,
            "workers_ready": status.workers_ready,
            "uptime_ms": status.uptime_ms,
        })
    });
    let mut json = json!({
        "node": node.id,
        "client": node.client,
        "http": node.http,
        "pid": node.pid,
        "up": told.is_some(),
    });
    if let (Json::Object(all), Some(Json::Object(told))) = (&mut json, told) {
        all.extend(told);
    }
    json
}
