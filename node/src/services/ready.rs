//! Whether the node is ready to serve.

use std::sync::Arc;

use snakepit_raft::Role;

use super::Node;
use super::integrity::Standing;
use crate::http::{Check, ReadyChecks};

/// Answers `/readyz`.
#[derive(Clone, Debug)]
pub struct Readiness(pub Arc<Node>);

/// Entries that a node may be behind and still be ready.
const LAG_MAX: u64 = 1_000;

impl ReadyChecks for Readiness {
    fn checks(&self) -> Vec<Check> {
        let status = self.0.group.status();
        let (committed, applied) = (status.committed.unwrap_or(0), status.applied.unwrap_or(0));
        let lag = committed.saturating_sub(applied);
        let pools = self.0.pools.readiness();
        let slow: Vec<String> = pools
            .iter()
            .filter(|pool| pool.ready == 0)
            .map(|pool| match &pool.problem {
                Some(problem) => format!("pool {} has no worker: {problem}", pool.pool),
                None => format!("pool {} has no worker yet", pool.pool),
            })
            .collect();
        vec![
            Check {
                name: "raft",
                ok: status.role != Role::Stopped,
                detail: status.role.name().to_owned(),
            },
            Check {
                name: "leader",
                ok: self.0.leader_confirmed(),
                detail: match status.leader {
                    Some(leader) if self.0.leader_confirmed() => format!("node {leader}"),
                    Some(leader) => format!("node {leader} does not confirm reads"),
                    None => "none is known".into(),
                },
            },
            Check {
                name: "applied",
                ok: lag <= LAG_MAX,
                detail: format!("{applied} of {committed}"),
            },
            integrity(&self.0.integrity.standing()),
            Check {
                name: "workers",
                ok: slow.is_empty(),
                detail: slow.join("; "),
            },
        ]
    }
}

fn integrity(standing: &Standing) -> Check {
    let detail = match standing {
        Standing::Right => "as the others have it",
        Standing::InDoubt(reason) | Standing::Wrong(reason) => reason,
    };
    Check {
        name: "log",
        ok: *standing == Standing::Right,
        detail: detail.to_owned(),
    }
}
