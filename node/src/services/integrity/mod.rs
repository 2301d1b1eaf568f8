//! Whether this node's log is right: compared with the others' as it goes, and read again from disk. A node that finds
//! itself wrong refuses requests, lets others lead, and has its state replaced by theirs.

mod judge;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use snakepit_raft::{CopyClient, TreeHead};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::judge::{Verdict, judge};
use super::{Failure, Node};
use crate::heal::HealRecord;

/// Blocks of 256 events that are read again in each round.
const BLOCKS_PER_ROUND: u64 = 32;

/// How a node thinks of its own data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// Nothing speaks against it.
    #[default]
    Right,
    /// Nodes differ, and it is not known which is wrong.
    InDoubt(String),
    /// It is wrong: the node serves nothing.
    Wrong(String),
}

/// A node's standing, as it changes.
#[derive(Debug, Default)]
pub struct Integrity {
    standing: watch::Sender<Standing>,
    /// Whether the state is to be replaced.
    heal: watch::Sender<bool>,
}

impl Integrity {
    /// How it is now.
    pub fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    /// Returns when the node is to stop in order to be healed.
    pub async fn wants_healing(&self) {
        let mut heal = self.heal.subscribe();
        // The sender lives as long as the node: this does not fail.
        if heal.wait_for(|wanted| *wanted).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    fn doubt(&self, standing: Standing) {
        self.standing.send_if_modified(|held| {
            let changed = !matches!(held, Standing::Wrong(_)) && *held != standing;
            if changed {
                *held = standing;
            }
            changed
        });
    }
}

impl Node {
    /// Refuse where this node knows that its data is wrong.
    pub(super) fn check_in_service(&self) -> Result<(), Failure> {
        match &*self.integrity.standing.borrow() {
            Standing::Wrong(reason) => Err(Failure::Unavailable(format!(
                "node {} has taken itself out of service: {reason}; hint: use another node",
                self.id()
            ))),
            Standing::Right | Standing::InDoubt(_) => Ok(()),
        }
    }

    /// Compare and read again, until `stop`.
    pub async fn keep_comparing(self: Arc<Self>, stop: CancellationToken) {
        let every = Duration::from_millis(self.settings.audit.compare_interval_ms);
        let mut clients = BTreeMap::new();
        let mut position = 1;
        while stop
            .run_until_cancelled(tokio::time::sleep(every))
            .await
            .is_some()
        {
            if matches!(self.integrity.standing(), Standing::Wrong(_)) {
                continue;
            }
            let compared = self.compare(&mut clients).await;
            let reason = match self.read_again(&mut position).await {
                Some(reason) => Some(reason),
                None => self.conclude(compared, &mut clients).await,
            };
            if let Some(reason) = reason {
                self.withdraw(&reason).await;
            }
        }
    }

    /// What a comparison means; the reason where this node is wrong.
    async fn conclude(
        &self,
        compared: Verdict,
        clients: &mut BTreeMap<(u64, String), CopyClient>,
    ) -> Option<String> {
        let differing = |nodes: &[u64]| {
            metrics::gauge!("snakepit_log_differs").set(nodes.len() as f64);
        };
        match compared {
            Verdict::Same => {
                differing(&[]);
                self.integrity.doubt(Standing::Right);
                None
            }
            Verdict::OthersDiffer(nodes) => {
                differing(&nodes);
                tracing::error!(
                    ?nodes,
                    "other nodes have another log than most; they are to find out and heal"
                );
                self.integrity.doubt(Standing::Right);
                None
            }
            Verdict::Split(nodes) => {
                differing(&nodes);
                let reason = format!(
                    "its log differs from that of nodes {nodes:?}, and no majority says which is right"
                );
                tracing::error!(
                    reason,
                    "the log of this node is in doubt; hint: bring all nodes up, or verify them with `snakepit log verify`"
                );
                self.integrity.doubt(Standing::InDoubt(reason));
                None
            }
            // Once more, before the node gives itself up.
            Verdict::Wrong(_) => match self.compare(clients).await {
                Verdict::Wrong(nodes) => {
                    differing(&nodes);
                    Some(format!(
                        "its log differs from that of nodes {nodes:?}, which are most"
                    ))
                }
                _ => None,
            },
        }
    }

    async fn compare(&self, clients: &mut BTreeMap<(u64, String), CopyClient>) -> Verdict {
        let status = self.group.status();
        let voters = status.members.iter().filter(|member| member.voter);
        let mut count = 0;
        let mut others = Vec::new();
        for member in voters {
            count += 1;
            if member.id == self.id() {
                continue;
            }
            let key = (member.id, member.address.peer.clone());
            if !clients.contains_key(&key) {
                let cluster_id = &self.settings.node.cluster_id;
                match CopyClient::new(&member.address.peer, cluster_id) {
                    Ok(client) => clients.insert(key.clone(), client),
                    Err(_) => continue,
                };
            }
            others.extend(clients.get(&key).cloned());
        }
        let position = self.state.head().position;
        let ask =
            |size_max: u64| join_all(others.iter().map(move |client| client.tree_head(size_max)));
        let sizes = ask(position).await;
        let sizes = sizes.iter().flatten().filter(|head| !head.out_of_service);
        let Some(size) = sizes.map(|head| head.size).min() else {
            return Verdict::Same;
        };
        let heads: Vec<TreeHead> = ask(size)
            .await
            .into_iter()
            .flatten()
            .filter(|head| !head.out_of_service && head.size == size)
            .collect();
        let own = self.blocking(move |state| {
            let head = state.head();
            Ok((head, state.tree_root(size)?))
        });
        let Ok((head, root)) = own.await else {
            // What cannot be read is found by reading again.
            return Verdict::Same;
        };
        let own = TreeHead {
            node_id: self.id(),
            size,
            root,
            applied: head.applied.map_or(0, |id| id.index),
            position: head.position,
            out_of_service: false,
        };
        judge(&own, &heads, count)
    }

    /// Read some events again; the reason where they are not what was logged.
    async fn read_again(&self, position: &mut u64) -> Option<String> {
        let from = *position;
        let read = self
            .blocking(move |state| state.check_events(from, BLOCKS_PER_ROUND))
            .await;
        match read {
            Ok(next) => {
                *position = next.max(1);
                None
            }
            Err(Failure::Storage(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
                // What is archived is no part of the state: another node's file takes its place.
                match self.mend_archive().await {
                    Ok(true) => None,
                    Ok(false) | Err(_) => Some(error.to_string()),
                }
            }
            Err(_) => {
                // A segment that is not here yet: go on behind what is archived.
                let archived = self.blocking(|state| state.archived()).await;
                *position = archived.map_or(1, |archived| archived + 1);
                None
            }
        }
    }

    /// Serve nothing any more, and be healed.
    async fn withdraw(&self, reason: &str) {
        tracing::error!(reason, "this node takes itself out of service");
        metrics::gauge!("snakepit_out_of_service").set(1.0);
        self.integrity
            .standing
            .send_replace(Standing::Wrong(reason.to_owned()));
        self.group.withdraw().await;
        match HealRecord::ask(&self.settings.node.data_dir, reason) {
            Ok(true) => {
                self.integrity.heal.send_replace(true);
            }
            Ok(false) => tracing::error!(
                "the state was replaced a short while ago and is wrong again; the node stays out of service; hint: replace its disk, or run another release"
            ),
            Err(error) => {
                tracing::error!(%error, "healing cannot be asked for; the node stays out of service")
            }
        }
    }
}
