//! Running a call, and running it again where it may: after it was lost, if it is idempotent; at once where it
//! was definitely not begun.

use std::sync::Arc;
use std::time::{Duration, Instant};

use snakepit_proto::bridge::ExecuteToolResponse;
use snakepit_proto::headers;
use tonic::{Code, Status};

use super::Routed;
use super::choose::{Target, Tried};
use crate::pool::{CallError, CallErrorKind, CallOutcome, PoolSettings};
use crate::services::status::BUSY;
use crate::services::{Failure, Node};
use crate::telemetry::events;
use crate::telemetry::trace::keys;

/// Name of the span of a call at a node's workers.
const SPAN: &str = "ToolCall";

/// How much of a pause is random.
const JITTER: f64 = 0.25;
/// Other nodes that are tried for a call that was not begun.
const ELSEWHERE_MAX: u32 = 2;
/// Workers that a session is bound to one after the other, where each turns out to be gone: what is known of
/// other nodes' workers is some time old.
pub(super) const BOUND_ANEW_MAX: u32 = 3;

/// Whether, and how, a call that has failed may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    No,
    /// It was sent back by a node that has nothing free: at once, elsewhere.
    Busy,
    /// It was not begun: at once, elsewhere.
    NotBegun,
    /// It may have run in part: after a pause, if running it twice does no harm.
    Lost,
}

impl Node {
    /// Run a call where there is room for it.
    pub(super) async fn run_somewhere(
        self: &Arc<Self>,
        call: &Routed,
    ) -> Result<ExecuteToolResponse, Failure> {
        let mut attempts = 1;
        let (mut elsewhere, mut bound_anew) = (0, 0);
        let mut tried = Tried::default();
        loop {
            let target = self.choose(call, &tried).await?;
            let node = target.node.unwrap_or(self.id());
            let failure = match self.attempt(call, &target).await {
                Ok(mut answer) => {
                    answer.attempts = attempts;
                    if attempts > 1 {
                        let (id, correlation) = (&call.call_id, &call.correlation_id);
                        events::retry_success(&answer.pool, attempts, call.tool(), id, correlation);
                    }
                    return Ok(answer);
                }
                Err(failure) => failure,
            };
            match again(&failure) {
                Again::Busy => self.note_back(&target, &mut tried),
                Again::NotBegun if elsewhere < ELSEWHERE_MAX && self.others_offer(call, node) => {
                    elsewhere += 1;
                }
                Again::Lost if self.may_repeat(call) => {
                    let settings = self.settings_of(call, &target);
                    let pause = pause(&settings, attempts);
                    let (pool, tool) = (&settings.name, call.tool());
                    let (id, correlation) = (&call.call_id, &call.correlation_id);
                    if attempts > settings.retries_max || !call.has_time_for(pause) {
                        events::retry_exhausted(pool, attempts, tool, id, "lost", correlation);
                        return Err(failure);
                    }
                    tracing::info!(call_id = id, tool, attempts, "a lost call runs again");
                    events::retry_attempt(pool, attempts, pause, tool, id, "lost", correlation);
                    self.pools.count_retry(pool);
                    tokio::time::sleep(pause).await;
                    attempts += 1;
                }
                _ => {
                    let gone = Box::pin(self.note_lost_worker(call, &target, &failure)).await;
                    if !gone || !target.fresh || bound_anew == BOUND_ANEW_MAX {
                        return Err(failure);
                    }
                    bound_anew += 1;
                    continue;
                }
            }
            tried.nodes.push(node);
        }
    }

    /// A node, or this one, has given a call back that waits there, or would.
    pub(super) fn note_back(&self, target: &Target, tried: &mut Tried) {
        tried.backs += 1;
        if let Some(node) = target.node {
            self.peers.note_full(node, &target.pool);
        }
    }

    async fn attempt(
        &self,
        call: &Routed,
        target: &Target,
    ) -> Result<ExecuteToolResponse, Failure> {
        let mut call = call.clone();
        call.worker.clone_from(&target.worker);
        (call.or_back, call.movable) = (target.or_back, target.movable);
        match target.node {
            Some(peer) => {
                call.pool.clone_from(&target.pool);
                let mut answered = self.peers.execute(peer, call.clone().for_peer()).await;
                call.take_reads(&mut answered);
                answered.map_err(Failure::Remote)
            }
            None => {
                if !target.pool.is_empty() {
                    // The one that its worker is in, where others offer the tool as well.
                    call.pool.clone_from(&target.pool);
                }
                self.run_here(call).await
            }
        }
    }

    /// Run a call on this node's workers.
    pub(in super::super) async fn run_here(
        &self,
        call: Routed,
    ) -> Result<ExecuteToolResponse, Failure> {
        let (call_id, began) = (call.call_id.clone(), Instant::now());
        let span = call.span(SPAN);
        let told =
            events::listened().then(|| (call.tool().to_owned(), call.correlation_id.clone()));
        let outcome = self.pools.call(call.into_call(&span)).await;
        // One that is given back has not ended.
        let ended = !matches!(outcome, Err(CallError::NoneFree { .. }));
        if let Some((tool, correlation)) = told.filter(|_| ended) {
            tell_executed(&tool, &call_id, &correlation, began.elapsed(), &outcome);
        }
        let outcome = match outcome {
            Ok(outcome) => {
                span.set(keys::WORKER_ID, || outcome.worker_id.clone());
                span.end(Code::Ok);
                outcome
            }
            Err(error) => {
                span.end(crate::services::status::call_class(error.kind()).1);
                return Err(error.into());
            }
        };
        Ok(self.response(call_id, began, outcome))
    }

    /// Whether running the call twice does no harm: its caller says so, or the tool's author.
    pub(super) fn may_repeat(&self, call: &Routed) -> bool {
        call.says_idempotent()
            || self.pools.marked_idempotent(call.tool())
            || self.peers.marked_idempotent(call.tool())
    }

    pub(super) fn settings_of(&self, call: &Routed, target: &Target) -> Arc<PoolSettings> {
        let named = if target.pool.is_empty() {
            &call.pool
        } else {
            &target.pool
        };
        self.pools
            .settings_for(call.tool(), named)
            .unwrap_or_default()
    }

    fn others_offer(&self, call: &Routed, not: u64) -> bool {
        call.session().is_empty()
            && self
                .peers
                .loads(call.tool())
                .iter()
                .any(|load| load.node != not && !load.circuit_open)
    }

    /// A session that is bound to a worker which is gone is bound no more, once it was told. Whether it was.
    pub(super) async fn note_lost_worker(
        &self,
        call: &Routed,
        target: &Target,
        failure: &Failure,
    ) -> bool {
        let gone = match failure {
            Failure::Call(error) => error.kind() == CallErrorKind::WorkerLost,
            Failure::Remote(status) => kind_of(status) == Some("worker_lost"),
            _ => false,
        };
        if !gone || target.worker.is_empty() {
            return false;
        }
        if let Some(node) = target.node {
            self.peers.forget_worker(node, &target.pool, &target.worker);
        }
        if let Err(failure) = self.unbind(call, &target.pool, &target.worker).await {
            tracing::warn!(
                session_id = call.session(),
                ?failure,
                "a binding to a worker that is gone stays for now"
            );
            return false;
        }
        true
    }
}

/// Tell whoever listens to events that a call has ended.
fn tell_executed(
    tool: &str,
    call_id: &str,
    correlation_id: &str,
    took: Duration,
    outcome: &Result<CallOutcome, CallError>,
) {
    let (pool, worker, result) = match outcome {
        Ok(outcome) if outcome.success => (outcome.pool.as_str(), outcome.worker_id.as_str(), "ok"),
        Ok(outcome) => (outcome.pool.as_str(), outcome.worker_id.as_str(), "raised"),
        Err(error) => match error.kind() {
            CallErrorKind::Unknown => ("", "", "lost"),
            CallErrorKind::Deadline | CallErrorKind::Cancelled => ("", "", "taken_back"),
            _ => ("", "", "refused"),
        },
    };
    events::request_executed(pool, took, tool, worker, call_id, result, correlation_id);
}

/// Whether a call that failed so may be tried again.
pub(super) fn again(failure: &Failure) -> Again {
    match failure {
        Failure::Call(CallError::WorkerDied { maybe: true, .. }) => Again::Lost,
        Failure::Call(CallError::NoneFree { .. }) => Again::Busy,
        Failure::Call(error) if error.kind() == CallErrorKind::Unavailable => Again::NotBegun,
        Failure::Call(CallError::CircuitOpen { .. } | CallError::QueueFull { .. }) => {
            Again::NotBegun
        }
        Failure::Remote(status) => match (kind_of(status), done(status)) {
            (Some("unknown"), _) => Again::Lost,
            (Some(BUSY), _) => Again::Busy,
            (Some("unavailable" | "circuit_open" | "exhausted"), Some("no")) => Again::NotBegun,
            _ => Again::No,
        },
        _ => Again::No,
    }
}

fn kind_of(status: &Status) -> Option<&str> {
    status.metadata().get(headers::ERROR_KIND)?.to_str().ok()
}

fn done(status: &Status) -> Option<&str> {
    status.metadata().get(headers::DONE)?.to_str().ok()
}

/// The pause before try number `attempts + 1`.
pub(super) fn pause(settings: &PoolSettings, attempts: u32) -> Duration {
    let doubled = settings
        .retry_backoff_ms
        .saturating_mul(1 << (attempts.saturating_sub(1)).min(30));
    let most = doubled.min(settings.retry_backoff_max_ms) as f64;
    Duration::from_secs_f64(most * (1.0 - JITTER * rand::random::<f64>()) / 1000.0)
}
