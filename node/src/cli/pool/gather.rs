//! Pools as the members have them, put together by name.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};
use snakepit_client::{Circuit, Client, Pool};
use snakepit_machine::json;

use super::super::error::CliError;
use super::super::output::note;

/// Of a pool that `PutPool` made; others are of a node's settings file or of a process that offers tools.
pub(super) const OF_CLUSTER: &str = "cluster";

/// A pool and its share on each node that spoke.
#[derive(Clone, Debug, Default)]
pub(super) struct Gathered {
    pub name: String,
    pub origin: String,
    pub version: u64,
    pub definition: Map<String, Json>,
    /// In the order of the nodes.
    pub nodes: Vec<Pool>,
}

/// All pools of all members, by name. Members that say nothing are noted.
pub(super) async fn all(client: &Client) -> Result<Vec<Gathered>, CliError> {
    let mut found = Vec::new();
    for (member, pools) in client.list_pools_of_members().await? {
        match pools {
            Ok(pools) => found.extend(pools),
            Err(error) => note(&format!("no word from {}: {error}", member.client_address)),
        }
    }
    merge(found)
}

/// One pool of all members.
pub(super) async fn one(client: &Client, name: &str) -> Result<Gathered, CliError> {
    let mut pools = all(client).await?;
    match pools.iter().position(|pool| pool.name == name) {
        Some(place) => Ok(pools.swap_remove(place)),
        None => Err(missing(name, pools.iter().map(|pool| pool.name.as_str()))),
    }
}

/// A pool of the cluster to be changed, as the asked node has it.
pub(super) async fn changeable(client: &Client, name: &str) -> Result<Gathered, CliError> {
    let pools = merge(client.list_pools().await?.value)?;
    let Some(pool) = pools.iter().find(|pool| pool.name == name) else {
        return Err(missing(name, pools.iter().map(|pool| pool.name.as_str())));
    };
    if pool.origin == OF_CLUSTER {
        return Ok(pool.clone());
    }
    let (from, hint) = match pool.origin.as_str() {
        "offer" => (
            "is offered by a process of its own",
            "change it where that process is started",
        ),
        _ => (
            "comes from the node's settings file",
            "change the file and restart the node, or add a pool of another name",
        ),
    };
    Err(CliError::failed(format!("pool {name} {from}")).hint(hint))
}

fn missing<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> CliError {
    let known: Vec<_> = known.collect();
    let error = CliError::failed(format!("there is no pool {name}"));
    if known.is_empty() {
        return error.hint("add one with `snakepit pool add`");
    }
    error.hint(format!("there are {}", known.join(", ")))
}

fn merge(found: Vec<Pool>) -> Result<Vec<Gathered>, CliError> {
    let mut by_name: BTreeMap<String, BTreeMap<u64, Pool>> = BTreeMap::new();
    for pool in found {
        let nodes = by_name.entry(pool.name.clone()).or_default();
        nodes.insert(pool.node_id, pool);
    }
    let pools = by_name.into_iter().map(|(name, nodes)| {
        // Nodes may lag: the newest version is the pool's.
        let newest = nodes
            .values()
            .max_by_key(|pool| pool.version)
            .cloned()
            .unwrap_or_default();
        let definition = match newest.definition_json.as_str() {
            "" => Map::new(),
            text => match json::read(text) {
                Ok(Json::Object(definition)) => definition,
                _ => {
                    let told = format!("the settings of pool {name} cannot be read");
                    return Err(CliError::failed(told).hint("use the release of the nodes"));
                }
            },
        };
        Ok(Gathered {
            name,
            origin: newest.origin,
            version: newest.version,
            definition,
            nodes: nodes.into_values().collect(),
        })
    });
    pools.collect()
}

impl Gathered {
    /// A sum over its nodes.
    pub fn sum(&self, of: impl Fn(&Pool) -> u32) -> u64 {
        self.nodes.iter().map(|pool| u64::from(of(pool))).sum()
    }

    /// The first problem that a node tells, with the node.
    pub fn problem(&self) -> Option<String> {
        let told = self.nodes.iter().find(|pool| !pool.problem.is_empty())?;
        Some(format!("node {}: {}", told.node_id, told.problem))
    }

    /// A setting as text; empty where it is not set.
    pub fn setting(&self, name: &str) -> String {
        self.definition.get(name).map(as_text).unwrap_or_default()
    }

    /// All there is to know of it.
    pub fn as_json(&self) -> Json {
        json!({
            "name": self.name,
            "origin": self.origin,
            "version": self.version,
            "definition": self.definition,
            "nodes": self.nodes.iter().map(share_json).collect::<Vec<_>>(),
        })
    }
}

/// A setting's value as people read it.
pub(super) fn as_text(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What one node says of its share.
pub(super) fn share_json(pool: &Pool) -> Json {
    json!({
        "node": pool.node_id,
        "placed": pool.placed,
        "desired": pool.desired,
        "ready": pool.ready,
        "starting": pool.starting,
        "waiting": pool.waiting,
        "backing_off": pool.backing_off,
        "draining": pool.draining,
        "tainted": pool.tainted,
        "reconnecting": pool.reconnecting,
        "slots": pool.slots,
        "running": pool.running,
        "queued": pool.queued,
        "calls": {
            "ok": pool.calls_ok,
            "raised": pool.calls_raised,
            "lost": pool.calls_lost,
            "taken_back": pool.calls_taken_back,
            "refused": pool.calls_refused,
            "retried": pool.calls_retried,
        },
        "queue_timeouts": pool.queue_timeouts,
        "restarts": pool.restarts,
        "circuits": pool.circuits.iter().map(circuit_json).collect::<Vec<_>>(),
        "problem": pool.problem,
        "tools": pool.tools,
    })
}

fn circuit_json(circuit: &Circuit) -> Json {
    json!({
        "tool": circuit.tool,
        "state": circuit.state,
        "failures": circuit.failures,
        "retry_after_ms": circuit.retry_after_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_of_a_pool_are_put_together_and_the_newest_settings_count() {
        let pool = |node_id, version, size: u32| Pool {
            name: "a".into(),
            origin: "cluster".into(),
            node_id,
            version,
            desired: size,
            definition_json: json!({ "size": size }).to_string(),
            ..Default::default()
        };
        let pools = merge(vec![pool(2, 3, 4), pool(1, 2, 1)]).unwrap();
        assert_eq!(pools.len(), 1);
        assert_eq!(
            (pools[0].version, pools[0].setting("size")),
            (3, "4".into())
        );
        assert_eq!(pools[0].sum(|pool| pool.desired), 5);
        assert_eq!(pools[0].nodes[0].node_id, 1);
        assert!(
            missing("x", ["a", "b"].into_iter())
                .to_string()
                .ends_with("there are a, b")
        );
    }
}
