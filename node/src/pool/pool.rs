//! One pool: its calls behind a lock, and what is done around the lock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use std::sync::{Mutex, MutexGuard, PoisonError};

use prost::Message as _;
use snakepit_proto::bridge::ToolSpec;
use snakepit_proto::worker as wire;
use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::call::{CallContext, ToolCall};
use super::error::CallError;
use super::link::Link;
use super::meters::Meters;
use super::seat::Seat;
use super::settings::PoolSettings;
use super::state::{After, CallKey, Reply, STALL, State, TakenBack, Ticket, WorkerKey, token};

/// Room for the frame around a call that fills its message.
const FRAME_BYTES: usize = 1024;

/// See the module.
pub(super) struct Pool {
    pub(super) settings: PoolSettings,
    pub(super) meters: Meters,
    state: Mutex<State>,
    /// What each place for a worker is up to.
    pub(super) seats: Vec<Mutex<Seat>>,
    /// Who may start a worker now.
    pub(super) starting: Semaphore,
    /// Calls and workers of all pools are numbered from here.
    numbers: Arc<AtomicU64>,
    /// Bumped when workers come or go, in any pool.
    pub(super) changed: Arc<watch::Sender<u64>>,
    /// Calls stand in line at workers: someone should look after them.
    lines: Notify,
}

/// How a call was admitted.
pub(super) struct Admitted {
    pub(super) key: CallKey,
    pub(super) deadline: Instant,
    /// When it must have left the queue, where it is in it.
    pub(super) queue_deadline: Option<Instant>,
}

impl Pool {
    pub(super) fn new(
        settings: PoolSettings,
        numbers: Arc<AtomicU64>,
        changed: Arc<watch::Sender<u64>>,
    ) -> Self {
        Self {
            meters: Meters::new(&settings.name),
            state: Mutex::default(),
            seats: (0..settings.size).map(|_| Mutex::default()).collect(),
            starting: Semaphore::new(settings.start_batch),
            settings,
            numbers,
            changed,
            lines: Notify::new(),
        }
    }

    pub(super) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// The state. A panic under the lock is a defect, and the data is still the best there is.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Change the state, then count, answer and wake.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> (T, After)) -> T {
        let (value, after, queued, running) = {
            let mut state = self.state();
            let (value, after) = change(&mut state);
            (value, after, state.queued(), state.running())
        };
        self.meters.queued.set(queued as f64);
        self.meters.running.set(running as f64);
        if running > self.settings.size * self.settings.slots as usize {
            self.lines.notify_one();
        }
        self.meters.take(&after);
        after.act();
        value
    }

    // --- calls ---

    /// Take a call in. The reply is answered once, unless the call is taken back.
    pub(super) fn admit(
        &self,
        call: ToolCall,
        reply: Reply,
        stream: bool,
    ) -> Result<Admitted, CallError> {
        let now = Instant::now();
        let settings = &self.settings;
        let deadline = call
            .deadline
            .unwrap_or(now + Duration::from_millis(settings.call_timeout_ms));
        if deadline <= now {
            return Err(CallError::DeadlineExceeded { maybe: false });
        }
        let key = self.number();
        let ticket = ticket(key, call, reply, stream, deadline, now);
        let limit = settings.message_bytes_max - FRAME_BYTES;
        if ticket.bytes > limit {
            let (pool, bytes) = (settings.name.clone(), ticket.bytes);
            return Err(CallError::TooLarge { pool, bytes, limit });
        }
        let waits = self.change(|state| {
            if state.draining {
                return (Err(CallError::Draining), After::default());
            }
            let mut ticket = ticket;
            ticket.idempotent |= state.marked_idempotent(&ticket.context.tool);
            match state.admit(key, ticket, settings.queue_max, now) {
                Some((waits, after)) => (Ok(waits), after),
                None => {
                    let (pool, queued) = (settings.name.clone(), state.queued());
                    (Err(CallError::QueueFull { pool, queued }), After::default())
                }
            }
        });
        let waits = waits.inspect_err(|_| self.meters.refused.increment(1))?;
        let queue_deadline = waits.then(|| now + Duration::from_millis(settings.queue_timeout_ms));
        Ok(Admitted {
            key,
            deadline,
            queue_deadline,
        })
    }

    /// The queue's timeout: take the call out, and only then say so. None where it is no longer in the queue.
    pub(super) fn queue_timeout(&self, key: CallKey) -> Option<CallError> {
        let ticket = self.state().unqueue(key)?;
        self.meters.refused.increment(1);
        let waited_ms = ticket.admitted.elapsed().as_millis() as u64;
        let error = CallError::QueueTimeout {
            pool: self.settings.name.clone(),
            waited_ms,
        };
        ticket.reply.fail(error.clone());
        Some(error)
    }

    /// The deadline has passed. The error says whether the call may have run.
    pub(super) fn expire(self: &Arc<Self>, key: CallKey) -> CallError {
        let taken = self.take_back(key, "the deadline has passed", |maybe| {
            CallError::DeadlineExceeded { maybe }
        });
        CallError::DeadlineExceeded {
            maybe: taken != TakenBack::Unsent,
        }
    }

    /// The caller has gone.
    pub(super) fn abandon(self: &Arc<Self>, key: CallKey) {
        self.take_back(key, "the caller has gone", |maybe| CallError::Cancelled {
            maybe,
        });
    }

    fn take_back(
        self: &Arc<Self>,
        key: CallKey,
        reason: &str,
        error: impl FnOnce(bool) -> CallError,
    ) -> TakenBack {
        let now = Instant::now();
        let taken = self.change(|state| state.take_back(key, reason, error, now));
        if taken != TakenBack::Ended {
            self.meters.taken_back.increment(1);
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
        tokio::time::sleep(Duration::from_millis(self.settings.cancel_grace_ms)).await;
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
            tracing::warn!(%worker, pool = self.settings.name, "killed: a cancelled call would not end");
            link.kill("killed");
        }
    }

    pub(super) fn grant(&self, key: CallKey, credits: u32) {
        let link = self.state().grant(key, credits);
        if let Some(link) = link {
            link.wake();
        }
    }

    pub(super) fn context(&self, key: CallKey, secret: u128) -> Option<CallContext> {
        self.state().context(key, secret)
    }

    // --- workers ---

    pub(super) fn join(
        &self,
        link: &Arc<Link>,
        worker_id: &str,
        tools: Vec<ToolSpec>,
        slots: usize,
        credits: usize,
    ) {
        let (link, id) = (link.clone(), worker_id.to_owned());
        self.change(|state| {
            (
                (),
                state.join(link, id, tools, (slots, credits), Instant::now()),
            )
        });
        self.workers_changed();
    }

    /// A worker's connection has ended, or its process. Repeating it does no harm.
    pub(super) fn leave(&self, worker: WorkerKey, drained: bool) {
        self.change(|state| ((), state.leave(worker, drained, Instant::now())));
        self.workers_changed();
    }

    fn workers_changed(&self) {
        self.meters.ready.set(self.ready() as f64);
        self.changed.send_modify(|count| *count += 1);
    }

    pub(super) fn results(&self, worker: WorkerKey, results: Vec<wire::Result>) {
        self.change(|state| ((), state.results(worker, results, Instant::now())));
    }

    /// False where the worker broke the rules.
    pub(super) fn chunks(&self, worker: WorkerKey, chunks: Vec<wire::Chunk>) -> bool {
        let mut state = self.state();
        if let Some(worker) = state.worker_mut(worker) {
            worker.heard = Instant::now();
        }
        chunks.into_iter().all(|chunk| state.chunk(worker, chunk))
    }

    pub(super) fn next_message(&self, worker: WorkerKey, now: Instant) -> Option<wire::ToWorker> {
        let message = self.state().next_message(worker, now);
        if message.is_some() {
            self.meters.messages_out.increment(1);
        }
        message
    }

    pub(super) fn heard(&self, worker: WorkerKey) {
        if let Some(worker) = self.state().worker_mut(worker) {
            worker.heard = Instant::now();
        }
    }

    pub(super) fn send(&self, link: &Link, message: wire::to_worker::Message) {
        self.state().send(link.key, message);
        link.wake();
    }

    pub(super) fn drain_worker(&self, link: &Link, deadline_ms: u64) {
        self.state().drain(link.key, deadline_ms);
        link.wake();
    }

    /// Refuse what waits and what comes.
    pub(super) fn close(&self) {
        self.change(|state| ((), state.close()));
    }

    /// Workers that serve.
    pub(super) fn ready(&self) -> usize {
        self.state()
            .workers()
            .iter()
            .filter(|worker| !worker.draining)
            .count()
    }

    /// Whether a worker has ever served, so that the pool's tools are known.
    pub(super) fn started(&self) -> bool {
        self.state().started()
    }

    /// Whether the pool offers a tool under that name.
    pub(super) fn offers(&self, tool: &str) -> bool {
        self.state().offers(tool)
    }

    /// How much room there is for a tool, less what waits; None where the pool does not offer it.
    pub(super) fn room_for(&self, tool: &str) -> Option<i64> {
        let state = self.state();
        let room = state.free() as i64 - state.queued() as i64;
        state.offers(tool).then_some(room)
    }

    /// Look after the workers until told to stop: replace the silent, and take calls back from stalled ones.
    pub(super) async fn tend(self: Arc<Self>, stop: CancellationToken) {
        let beat = Duration::from_millis(self.settings.heartbeat_interval_ms);
        loop {
            let lines = self.unstall();
            let looked = self.lines.notified();
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(if lines { STALL / 2 } else { beat }) => {}
                () = looked, if !lines => tokio::time::sleep(STALL / 2).await,
            }
            self.replace_silent();
        }
    }

    fn unstall(&self) -> bool {
        let (wake, lines) = self.state().unstall(Instant::now());
        for link in wake {
            link.wake();
        }
        lines
    }

    fn replace_silent(&self) {
        let now = Instant::now();
        let mut silent = Vec::new();
        for worker in self.state().workers() {
            let silence = now.saturating_duration_since(worker.heard);
            if silence > self.settings.silence_max(worker.running() > 0) {
                silent.push((worker.id.clone(), worker.link.clone(), silence));
            }
        }
        for (worker, link, silence) in silent {
            if link.kill("silent") {
                let silent_ms = silence.as_millis() as u64;
                tracing::error!(%worker, pool = self.settings.name, silent_ms, "killed: no heartbeat");
            }
        }
    }
}

fn ticket(
    key: CallKey,
    call: ToolCall,
    reply: Reply,
    stream: bool,
    deadline: Instant,
    now: Instant,
) -> Ticket {
    let secret = rand::random();
    let context = CallContext {
        call_id: call.call_id.clone(),
        tool: call.tool.clone(),
        worker_id: String::new(),
        session_id: call.session_id.clone(),
        principal: call.principal.clone(),
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
        retries: 0,
        begun: false,
        secret,
        reply,
    }
}

/// The tools of some pools, each once, by name.
pub(super) fn tools<'a>(pools: impl Iterator<Item = &'a Arc<Pool>>) -> BTreeMap<String, ToolSpec> {
    let mut tools = BTreeMap::new();
    for pool in pools {
        let state = pool.state();
        tools.extend(state.specs().map(|spec| (spec.name.clone(), spec.clone())));
    }
    tools
}
