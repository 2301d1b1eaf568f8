//! Workers as the members have them.

use std::collections::BTreeMap;

use snakepit_client::{Client, Endpoint, Worker};

use super::super::error::CliError;
use super::super::output::note;

/// The workers of all members.
pub(super) struct Gathered {
    /// By node and name: a node may list its own workers or those of all, each is here once.
    pub workers: BTreeMap<(u64, String), Worker>,
    /// The members, by number.
    pub nodes: BTreeMap<u64, Endpoint>,
}

/// Ask all members; those that say nothing are noted.
pub(super) async fn all(client: &Client) -> Result<Gathered, CliError> {
    let mut found = Gathered {
        workers: BTreeMap::new(),
        nodes: BTreeMap::new(),
    };
    for (member, workers) in client.list_workers_of_members().await? {
        if let Ok(endpoint) = member.client_address.parse() {
            found.nodes.insert(member.node_id, endpoint);
        }
        match workers {
            Ok(workers) => found.workers.extend(
                workers
                    .into_iter()
                    .map(|worker| ((worker.node_id, worker.id.clone()), worker)),
            ),
            Err(error) => note(&format!("no word from {}: {error}", member.client_address)),
        }
    }
    Ok(found)
}

impl Gathered {
    /// A worker by its id, or by the beginning of it where that is enough.
    pub fn find(&self, id: &str) -> Result<&Worker, CliError> {
        let exact = self.workers.values().find(|worker| worker.id == id);
        if let Some(worker) = exact {
            return Ok(worker);
        }
        let begins: Vec<_> = self
            .workers
            .values()
            .filter(|worker| !id.is_empty() && worker.id.starts_with(id))
            .collect();
        match begins[..] {
            [worker] => Ok(worker),
            [] => Err(CliError::failed(format!("there is no worker {id}"))
                .hint("`snakepit worker ls` lists them")),
            _ => Err(
                CliError::failed(format!("{} workers are named {id}…", begins.len()))
                    .hint("give more of the id"),
            ),
        }
    }

    /// Where a node is.
    pub fn node(&self, id: u64) -> Result<&Endpoint, CliError> {
        let missing = || CliError::failed(format!("there is no way to node {id}"));
        self.nodes.get(&id).ok_or_else(missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_found_by_the_beginning_of_their_ids() {
        let worker = |id: &str| Worker {
            id: id.into(),
            node_id: 1,
            ..Default::default()
        };
        let workers = ["default-1-ab", "default-1", "default-2-x"];
        let found = Gathered {
            workers: workers
                .map(|id| ((1, id.to_owned()), worker(id)))
                .into_iter()
                .collect(),
            nodes: BTreeMap::new(),
        };
        assert_eq!(found.find("default-1").unwrap().id, "default-1");
        assert_eq!(found.find("default-2").unwrap().id, "default-2-x");
        assert!(
            found
                .find("def")
                .unwrap_err()
                .message
                .starts_with("3 workers")
        );
        assert!(found.find("").is_err() && found.find("x").is_err());
        assert!(found.node(1).is_err());
    }
}
