//! Calls into a pool and out of it again: admission, the queue's timeout, deadlines, callers that go away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use prost::Message as _;
use snakepit_proto::worker as wire;

use super::call::{CallContext, ToolCall};
use super::error::CallError;
use super::pool::{Admitted, Pool};
use super::settings::Affinity;
use super::state::{After, CallKey, Reply, TakenBack, Ticket, Wanted, WorkerKey, token};
use crate::telemetry::events;

/// Room for the frame around a call that fills its message.
const FRAME_BYTES: usize = 1024;

impl Pool {
    /// Take a call in. The reply is answered once, unless the call is taken back.
    pub(super) fn admit(
        &self,
        call: ToolCall,
        reply: Reply,
        stream: bool,
    ) -> Result<Admitted, CallError> {
        let now = Instant::now();
        let settings = self.settings();
        let deadline = call
            .deadline
            .unwrap_or(now + Duration::from_millis(settings.call_timeout_ms));
        if deadline <= now {
            return Err(CallError::DeadlineExceeded { maybe: false });
        }
        let key = self.number();
        let told = told(&call);
        let ticket = ticket(key, call, reply, stream, deadline, settings.affinity, now);
        let limit = settings.message_bytes_max - FRAME_BYTES;
        if ticket.bytes > limit {
            let (pool, bytes) = (settings.name.clone(), ticket.bytes);
            return Err(CallError::TooLarge { pool, bytes, limit });
        }
        let waits = self.change(|state| {
            let mut ticket = ticket;
            ticket.idempotent |= state.marked_idempotent(&ticket.context.tool);
            match state.admit(key, ticket, now) {
                Ok((waits, after)) => (Ok(waits), after),
                Err(error) => (Err(error), After::default()),
            }
        });
        let waits = waits.inspect_err(|error| self.note_refused(error, &told))?;
        if waits && events::listened() {
            let queued = self.state().queued();
            events::queue_enqueued(&self.name, queued, &told.0, &told.1);
        }
        let queue_deadline = waits.then(|| now + Duration::from_millis(settings.queue_timeout_ms));
        Ok(Admitted {
            key,
            deadline,
            queue_deadline,
        })
    }

    fn note_refused(&self, error: &CallError, told: &(String, String)) {
        if matches!(error, CallError::NoneFree { .. }) {
            // It goes elsewhere, its caller does not hear of it.
            return;
        }
        self.meters.refused();
        if let CallError::QueueFull { queued, .. } = error {
            events::pool_saturated(&self.name, *queued, &told.0, &told.1);
        }
    }

    /// The queue's timeout: take the call out, and only then say so. None where it is no longer in the queue.
    pub(super) fn queue_timeout(&self, key: CallKey) -> Option<CallError> {
        let ticket = self.state().unqueue(key)?;
        self.meters.queue_timeout();
        let waited = ticket.admitted.elapsed();
        events::queue_timeout(&self.name, waited, &ticket.context.tool, "");
        let waited_ms = waited.as_millis() as u64;
        let error = CallError::QueueTimeout {
            pool: self.name.clone(),
            waited_ms,
        };
        ticket.reply.fail(error.clone());
        Some(error)
    }

    /// Give calls back that wait, so many at most: another node has free workers for them.
    pub(super) fn give_back(&self, most: usize) {
        self.change(|state| ((), state.give_back(most)));
    }

    /// The deadline has passed. The error says whether the call may have run.
    pub(super) fn expire(self: &Arc<Self>, key: CallKey) -> CallError {
        let taken = self.take_back(key, "the deadline has passed", true, |maybe| {
            CallError::DeadlineExceeded { maybe }
        });
        CallError::DeadlineExceeded {
            maybe: taken != TakenBack::Unsent,
        }
    }

    /// The caller has gone.
    pub(super) fn abandon(self: &Arc<Self>, key: CallKey) {
        self.take_back(key, "the caller has gone", false, |maybe| {
            CallError::Cancelled { maybe }
        });
    }

    fn take_back(
        self: &Arc<Self>,
        key: CallKey,
        reason: &str,
        blame: bool,
        error: impl FnOnce(bool) -> CallError,
    ) -> TakenBack {
        let now = Instant::now();
        let taken = self.change(|state| state.take_back(key, reason, blame, error, now));
        if taken != TakenBack::Ended {
            self.meters.taken_back();
        }
        if let TakenBack::Running(worker) = taken
            // Without a runtime the process is about to end, and its workers with it.
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let pool = self.clone();
            runtime.spawn(async move { pool.enforce(worker, key).await });
        }
        taken
    }

    /// After the grace, a worker that still runs a cancelled call is killed. Bounded by the running calls.
    async fn enforce(&self, worker: WorkerKey, key: CallKey) {
        tokio::time::sleep(Duration::from_millis(self.settings().cancel_grace_ms)).await;
        let link = {
            let mut state = self.state();
            if !state.still_cancelled(worker, key) {
                return;
            }
            state
                .worker_mut(worker)
                .map(|worker| (worker.id.clone(), worker.link.clone()))
        };
        if let Some((worker, link)) = link {
            tracing::warn!(%worker, pool = self.name, "killed: a cancelled call would not end");
            link.kill("killed");
        }
    }
}

/// A call's tool and correlation id, where somebody listens to events.
fn told(call: &ToolCall) -> (String, String) {
    if !events::listened() {
        return Default::default();
    }
    let correlation_id = call.metadata.get("correlation_id").cloned();
    (call.tool.clone(), correlation_id.unwrap_or_default())
}

fn ticket(
    key: CallKey,
    call: ToolCall,
    reply: Reply,
    stream: bool,
    deadline: Instant,
    affinity: Affinity,
    now: Instant,
) -> Ticket {
    let or_back = call.or_back;
    let movable = call.movable && !stream;
    let wanted = match (call.worker, affinity) {
        (worker, _) if worker.is_empty() => Wanted::Any,
        (worker, Affinity::Hint) => Wanted::Rather(worker),
        (worker, Affinity::StrictQueue) => Wanted::Only(worker, true),
        (worker, Affinity::StrictFailFast) => Wanted::Only(worker, false),
    };
    let secret = rand::random();
    let context = CallContext {
        call_id: call.call_id.clone(),
        tool: call.tool.clone(),
        worker_id: String::new(),
        session_id: call.session_id.clone(),
        principal: call.principal.clone(),
        reads: call.reads,
    };
    let message = wire::Call {
        sequence: key,
        call_id: call.call_id,
        session_id: call.session_id,
        tool: call.tool,
        parameters: call.parameters,
        binary_parameters: call.binary_parameters,
        metadata: call.metadata,
        // Filled in when it is sent; now only for its size.
        deadline_ms: u64::MAX,
        stream,
        call_token: token(key, secret),
        principal: call.principal,
    };
    Ticket {
        context,
        bytes: message.encoded_len(),
        call: Some(Box::new(message)),
        deadline,
        admitted: now,
        idempotent: call.idempotent,
        wanted,
        or_back,
        movable,
        begun: false,
        secret,
        reply,
    }
}
