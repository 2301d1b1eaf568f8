//! A cluster that runs: its members, its leader, its log.

use futures_util::StreamExt as _;
use snakepit_client::{Client, EventQuery, StatusResponse};

use super::super::cluster::record::Record;
use super::super::cluster::status::{NodeStatus, gather};
use super::super::error::CliError;
use super::super::globals::Context;
use super::super::output::short_hash;
use super::check::{Check, Checks};
use super::{clocks, pools};

pub(super) async fn checks(
    context: &Context,
    record: Option<&Record>,
) -> Result<Vec<Check>, CliError> {
    let mut checks = Checks::new("cluster");
    let record = record.filter(|_| !context.names_endpoints());
    let (client, known) = match record {
        Some(record) => (record.client(context)?, record.nodes.as_slice()),
        None => (context.client()?, &[][..]),
    };
    let client = client.with_timeout(super::cluster_timeout(context));
    let nodes = gather(&client, known).await;
    let up: Vec<_> = nodes.iter().filter_map(Up::of).collect();
    if up.is_empty() {
        nobody(&mut checks, context, record.is_some());
        return Ok(checks.into_made());
    }
    versions(&mut checks, &up);
    leader(&mut checks, &up);
    members(&mut checks, &nodes);
    clocks::check(&mut checks, &nodes).await;
    chain(&mut checks, &client, &up).await;
    pools::check(&mut checks, &client).await;
    Ok(checks.into_made())
}

/// A node that answers.
struct Up<'a> {
    node: &'a NodeStatus,
    status: &'a StatusResponse,
}

impl<'a> Up<'a> {
    fn of(node: &'a NodeStatus) -> Option<Self> {
        let status = node.status.as_ref()?;
        Some(Self { node, status })
    }
}

fn nobody(checks: &mut Checks, context: &Context, launched: bool) {
    let found = "no node answers";
    if context.names_endpoints() {
        checks.fail(
            "reachable",
            found,
            "look whether the nodes run, and whether --endpoints names them",
        );
    } else if launched {
        checks.warn(
            "reachable",
            found,
            "start its nodes with `snakepit cluster up`",
        );
    } else {
        checks.ok("reachable", "there is none yet, nothing to look at");
    }
}

fn versions(checks: &mut Checks, up: &[Up<'_>]) {
    let own = env!("CARGO_PKG_VERSION");
    let others: Vec<_> = up
        .iter()
        .filter(|up| up.status.version != own)
        .map(|up| format!("node {} is {}", up.status.node_id, up.status.version))
        .collect();
    if others.is_empty() {
        return checks.ok("versions", format!("all nodes are {own}"));
    }
    let found = format!("this command is {own}, {}", others.join(", "));
    checks.warn("versions", found, "use the same release everywhere");
}

fn leader(checks: &mut Checks, up: &[Up<'_>]) {
    let highest = up.iter().map(|up| up.status.term).max().unwrap_or(0);
    let mut named: Vec<_> = up
        .iter()
        .filter(|up| up.status.term == highest && up.status.leader_id != 0)
        .map(|up| up.status.leader_id)
        .collect();
    named.sort_unstable();
    named.dedup();
    match named[..] {
        [leader] => checks.ok("leader", format!("node {leader}, in term {highest}")),
        [] => checks.fail(
            "leader",
            "no node leads: nothing can be written",
            "start nodes until a majority is up, and see that they reach each other",
        ),
        _ => checks.fail(
            "leader",
            format!("nodes name different leaders in term {highest}: {named:?}"),
            "stop the cluster and keep its directories: this must not happen",
        ),
    }
}

fn members(checks: &mut Checks, nodes: &[NodeStatus]) {
    let silent: Vec<_> = nodes
        .iter()
        .filter(|node| node.status.is_none())
        .map(|node| match node.id {
            0 => node.client.clone(),
            id => format!("node {id} at {}", node.client),
        })
        .collect();
    if silent.is_empty() {
        return checks.ok("members", format!("all {} answer", nodes.len()));
    }
    let found = format!("no word from {}", silent.join(", "));
    let remedy = "start them with `snakepit cluster start`, or mend the network";
    // Half of them or more: no majority can be made.
    if silent.len() * 2 >= nodes.len() {
        checks.fail("members", found, remedy);
    } else {
        checks.warn("members", found, remedy);
    }
}

/// At the last position that all nodes have, all of them have the same hash.
async fn chain(checks: &mut Checks, client: &Client, up: &[Up<'_>]) {
    let name = "chain heads";
    let Some(behind) = up.iter().min_by_key(|up| up.status.position) else {
        return;
    };
    let (position, head) = (behind.status.position, &behind.status.chain_head);
    if position == 0 {
        return checks.ok(name, "there are no events yet");
    }
    let (mut differ, mut unread) = (Vec::new(), Vec::new());
    for other in up {
        match hash_at(client, other, position).await {
            Ok(hash) if hash == *head => {}
            Ok(_) => differ.push(other.status.node_id.to_string()),
            Err(error) => unread.push(format!("node {}: {error}", other.status.node_id)),
        }
    }
    let told = format!("{} at position {position}", short_hash(head));
    if !differ.is_empty() {
        let found = format!(
            "node {} has {told}, others do not: {}",
            behind.status.node_id,
            differ.join(", ")
        );
        let remedy = "stop writing and find which node is right: `snakepit log verify`";
        checks.fail(name, found, remedy);
    } else if unread.is_empty() {
        checks.ok(name, format!("all have {told}"));
    } else {
        checks.warn(name, unread.join(", "), "ask again when all nodes are up");
    }
}

/// The chain's hash at a position, of one node.
async fn hash_at(client: &Client, up: &Up<'_>, position: u64) -> Result<Vec<u8>, CliError> {
    if up.status.position == position {
        return Ok(up.status.chain_head.to_vec());
    }
    let query = EventQuery {
        from: position,
        limit: 1,
        ..EventQuery::default()
    };
    let mut events = client.at(&up.node.client.parse()?)?.read_events(query);
    match events.next().await {
        Some(event) => Ok(event?.hash.to_vec()),
        None => Err(CliError::failed(format!("there is no event {position}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;

    fn node(id: u64, status: Option<StatusResponse>) -> NodeStatus {
        NodeStatus {
            id,
            client: format!("127.0.0.1:700{id}"),
            status,
            ..Default::default()
        }
    }

    fn status(id: u64, term: u64, leader_id: u64, version: &str) -> Option<StatusResponse> {
        Some(StatusResponse {
            node_id: id,
            term,
            leader_id,
            version: version.into(),
            ..Default::default()
        })
    }

    #[test]
    fn silence_strangers_and_missing_leaders_are_told() {
        let own = env!("CARGO_PKG_VERSION");
        let nodes = [
            node(1, status(1, 2, 1, own)),
            node(2, status(2, 1, 2, "0.0.1")),
            node(3, None),
        ];
        let up: Vec<_> = nodes.iter().filter_map(Up::of).collect();
        let mut checks = Checks::new("cluster");
        versions(&mut checks, &up);
        leader(&mut checks, &up);
        leader(&mut checks, &up[1..]);
        members(&mut checks, &nodes);
        members(&mut checks, &nodes[1..]);
        members(&mut checks, &nodes[..2]);
        let lost = [node(1, status(1, 2, 0, own))];
        let up: Vec<_> = lost.iter().filter_map(Up::of).collect();
        leader(&mut checks, &up);
        let verdicts: Vec<_> = checks.into_made().iter().map(|c| c.verdict).collect();
        use Verdict::{Fail, Ok, Warn};
        assert_eq!(verdicts, [Warn, Ok, Ok, Warn, Fail, Ok, Fail]);
    }
}
