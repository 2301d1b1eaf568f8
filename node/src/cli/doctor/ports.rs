//! Ports of the local cluster: free, or served by it.

use std::net::TcpListener;
use std::time::Duration;

use futures_util::future::join_all;
use snakepit_client::{Client, ClientOptions, Endpoint};

use super::super::cluster::record::{NodeRecord, RaftSpec, Record};
use super::super::cluster::up::{BASE_PORT, NODES};
use super::check::{Check, Checks};

/// Time for a node to say that it is one.
const ASK_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) async fn checks(record: Option<&Record>) -> Vec<Check> {
    let mut checks = Checks::new("ports");
    let default = Record::new(NODES, BASE_PORT, None, RaftSpec::default());
    let nodes = &record.unwrap_or(&default).nodes;
    let told = join_all(nodes.iter().map(|node| served_by(&node.client))).await;
    for (node, served_by) in nodes.iter().zip(told) {
        look(&mut checks, node, served_by.as_deref(), record);
    }
    checks.into_made()
}

/// `served_by` is the id of the cluster whose node answers at the address for clients.
fn look(checks: &mut Checks, node: &NodeRecord, served_by: Option<&str>, record: Option<&Record>) {
    let name = format!("node {}", node.id);
    let addresses = [&node.client, &node.peer, &node.http];
    let ports: Vec<_> = addresses.map(|address| port(address)).into();
    let ports = ports.join(", ");
    let ours = record.map(|record| record.cluster_id.as_str());
    match served_by {
        Some(cluster) if ours.is_none_or(|ours| ours == cluster) => {
            return checks.ok(
                &name,
                format!("{ports}: served by a node of cluster {cluster}"),
            );
        }
        Some(cluster) => {
            let found = format!("{ports}: served by a node of another cluster, {cluster}");
            let remedy = "stop it, or launch this one with another --base-port and --dir";
            return checks.fail(&name, found, remedy);
        }
        None => {}
    }
    let taken: Vec<_> = addresses
        .into_iter()
        .filter(|address| TcpListener::bind(address.as_str()).is_err())
        .map(|address| port(address))
        .collect();
    if taken.is_empty() {
        return checks.ok(&name, format!("{ports}: free"));
    }
    let found = format!("{}: held by something else", taken.join(", "));
    let remedy = "stop what listens there, or choose others with `snakepit cluster up --base-port`";
    checks.fail(&name, found, remedy);
}

fn port(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(_, port)| port)
}

async fn served_by(address: &str) -> Option<String> {
    let endpoint: Endpoint = address.parse().ok()?;
    let options = ClientOptions {
        timeout: ASK_TIMEOUT,
        attempt_timeout: ASK_TIMEOUT,
        ..ClientOptions::default()
    };
    let status = Client::new([endpoint], options).ok()?.status().await;
    status.ok().map(|status| status.cluster_id)
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;

    #[test]
    fn ports_are_free_or_held_or_ours() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut record = Record::new(1, 7001, None, RaftSpec::default());
        let node = &mut record.nodes[0];
        node.client = held.local_addr().unwrap().to_string();
        node.peer = "127.0.0.1:0".into();
        node.http = "127.0.0.1:0".into();
        let mut checks = Checks::new("ports");
        let cluster = record.cluster_id.clone();
        look(&mut checks, &record.nodes[0], None, Some(&record));
        look(&mut checks, &record.nodes[0], Some("other"), Some(&record));
        look(&mut checks, &record.nodes[0], Some(&cluster), Some(&record));
        drop(held);
        look(&mut checks, &record.nodes[0], None, Some(&record));
        let verdicts: Vec<_> = checks.into_made().iter().map(|c| c.verdict).collect();
        use Verdict::{Fail, Ok};
        assert_eq!(verdicts, [Fail, Fail, Ok, Ok]);
    }
}
