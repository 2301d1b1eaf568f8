//! What the node looks at again and again: whether a leader answers it, and the numbers it tells of itself.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use snakepit_raft::{Consistency, Role};
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::Node;

/// Time between two looks, and between two until the first leader is confirmed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const FIRST_LOOK_EVERY: Duration = Duration::from_millis(100);
/// Time in which a leader must confirm a read.
const CONFIRM_TIMEOUT: Duration = Duration::from_millis(900);
/// Time for which a confirmed leader counts.
const CONFIRMED_FOR: Duration = Duration::from_secs(3);

impl Node {
    /// Whether a leader has confirmed a read here lately. A node that is cut off goes on naming the leader
    /// that it last heard of; this tells it from one that takes part.
    pub(super) fn leader_confirmed(&self) -> bool {
        self.confirmed_since()
            .is_some_and(|since| since < CONFIRMED_FOR)
    }

    /// How long ago this node was known to hold all that was acknowledged.
    pub(super) fn confirmed_since(&self) -> Option<Duration> {
        let confirmed = *self
            .confirmed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        confirmed.map(|at| at.elapsed())
    }

    /// Note that a leader has confirmed a read that began then.
    pub(super) fn confirm(&self, began: Instant) {
        let mut confirmed = self
            .confirmed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *confirmed = (*confirmed).max(Some(began));
    }

    async fn confirm_leader(&self) {
        let began = Instant::now();
        let deadline = tokio::time::Instant::now() + CONFIRM_TIMEOUT;
        let barrier = self.group.barrier(Consistency::Linearizable, deadline);
        if barrier.await.is_ok() {
            self.confirm(began);
        }
    }

    /// Look at Raft and at the state until `stop`: for the gauges, and for the node's readiness.
    pub async fn keep_looking(self: Arc<Self>, stop: CancellationToken) {
        let mut warned = false;
        loop {
            self.confirm_leader().await;
            let (status, head) = (self.group.status(), self.state.head());
            let set = |name: &'static str, value: u64| metrics::gauge!(name).set(value as f64);
            set("snakepit_raft_term", status.term);
            set(
                "snakepit_raft_leader",
                u64::from(status.role == Role::Leader),
            );
            set("snakepit_raft_last_log_index", status.last_log.unwrap_or(0));
            set(
                "snakepit_raft_committed_index",
                status.committed.unwrap_or(0),
            );
            set("snakepit_raft_applied_index", status.applied.unwrap_or(0));
            set("snakepit_raft_snapshot_index", status.snapshot.unwrap_or(0));
            set("snakepit_raft_purged_index", status.purged.unwrap_or(0));
            set("snakepit_events", head.position);
            set("snakepit_sessions", head.sessions);
            set("snakepit_watches", self.watches.open() as u64);
            self.look_at_sessions(head.sessions, &mut warned);
            let wait = if self.leader_confirmed() {
                LOOK_EVERY
            } else {
                FIRST_LOOK_EVERY
            };
            if stop
                .run_until_cancelled(tokio::time::sleep(wait))
                .await
                .is_none()
            {
                return;
            }
        }
    }
}

impl Node {
    /// Tell how full the cluster is, and warn once each time it becomes too full.
    fn look_at_sessions(&self, sessions: u64, warned: &mut bool) {
        let most = self.settings.limits.sessions_max;
        metrics::gauge!("snakepit_sessions_used_ratio").set(sessions as f64 / most as f64);
        let warn =
            sessions.saturating_mul(100) >= most.saturating_mul(self.settings.session.warn_percent);
        if warn && !*warned {
            tracing::warn!(
                sessions,
                sessions_max = most,
                "the cluster is nearly full of sessions; hint: delete some, shorten their ttl, or raise limits.sessions_max"
            );
        }
        *warned = warn;
    }
}

/// Count one request of a call, and how long its answer took.
pub(super) fn count(call: &'static str, began: Instant, code: Code) {
    let took = began.elapsed();
    let known = REQUESTS.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(counts) = known.get(&(call, code as i32)) {
        return counts.add(took);
    }
    drop(known);
    let counts = Counts {
        requests: metrics::counter!("snakepit_requests_total", "call" => call, "code" => name(code)),
        seconds: metrics::histogram!("snakepit_request_seconds", "call" => call),
    };
    counts.add(took);
    let mut known = REQUESTS.write().unwrap_or_else(PoisonError::into_inner);
    known.insert((call, code as i32), counts);
}

/// The metrics of a call by how it ended: to find them by name costs more than to count.
static REQUESTS: LazyLock<RwLock<HashMap<(&'static str, i32), Counts>>> =
    LazyLock::new(RwLock::default);

struct Counts {
    requests: metrics::Counter,
    seconds: metrics::Histogram,
}

impl Counts {
    fn add(&self, took: Duration) {
        self.requests.increment(1);
        self.seconds.record(took);
    }
}

fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "ok",
        Code::Cancelled => "cancelled",
        Code::InvalidArgument => "invalid_argument",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::PermissionDenied => "permission_denied",
        Code::ResourceExhausted => "resource_exhausted",
        Code::FailedPrecondition => "failed_precondition",
        Code::Aborted => "aborted",
        Code::OutOfRange => "out_of_range",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::Unavailable => "unavailable",
        Code::DataLoss => "data_loss",
        Code::Unauthenticated => "unauthenticated",
        Code::Unknown => "unknown",
    }
}
