//! Who leads, as this node knows it.

use std::sync::Arc;

use openraft::async_runtime::WatchReceiver as _;
use openraft::metrics::RaftServerMetrics;
use openraft::vote::RaftLeaderId as _;
use snakepit_storage::NodeAddress;
use tokio::sync::watch;

use crate::promised;
use crate::types::TypeConfig;

pub(crate) type Metrics =
    openraft::alias::WatchReceiverOf<TypeConfig, RaftServerMetrics<TypeConfig>>;

/// A view of the group's leadership and members; cheap to clone. It follows what rarely changes only, so
/// that nobody is woken by every entry.
#[derive(Clone)]
pub(crate) struct Leadership {
    local: u64,
    metrics: Metrics,
    told: watch::Receiver<Option<u64>>,
    _watcher: Arc<tokio_util::task::AbortOnDropHandle<()>>,
}

impl std::fmt::Debug for Leadership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leadership")
            .field("local", &self.local)
            .field("leader", &self.leader())
            .finish()
    }
}

impl Leadership {
    pub(crate) fn new(local: u64, metrics: Metrics) -> Self {
        let (tell, told) = watch::channel(metrics.borrow_watched().current_leader);
        let mut changes = metrics.clone();
        let watcher = tokio::spawn(async move {
            while changes.changed().await.is_ok() {
                let (leader, term) = {
                    let seen = changes.borrow_and_update();
                    (seen.current_leader, seen.vote.leader_id().term())
                };
                let changed =
                    tell.send_if_modified(|held| std::mem::replace(held, leader) != leader);
                match leader {
                    Some(leader) if changed => tracing::info!(leader, term, "a leader is known"),
                    None if changed => tracing::warn!(term, "no leader is known"),
                    _ => {}
                }
            }
        });
        Self {
            local,
            metrics,
            told,
            _watcher: Arc::new(tokio_util::task::AbortOnDropHandle::new(watcher)),
        }
    }

    pub(crate) fn local(&self) -> u64 {
        self.local
    }

    pub(crate) fn leader(&self) -> Option<u64> {
        self.metrics.borrow_watched().current_leader
    }

    pub(crate) fn address_of(&self, node: u64) -> Option<NodeAddress> {
        self.metrics
            .borrow_watched()
            .membership_config
            .membership()
            .get_node(&node)
            .cloned()
    }

    /// Whether these two nodes are a quorum.
    pub(crate) fn are_quorum(&self, pair: [u64; 2]) -> bool {
        let metrics = self.metrics.borrow_watched();
        promised::are_quorum(pair, metrics.membership_config.membership())
    }

    /// Returns when the leader has changed since the last call.
    pub(crate) async fn changed(&mut self) {
        if self.told.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
