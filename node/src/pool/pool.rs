//! One pool: its calls behind a lock, its places for workers, and what is done around the lock.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use prost::Message as _;
use snakepit_proto::bridge::ToolSpec;
use snakepit_proto::worker as wire;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::call::{CallContext, ToolCall};
use super::error::CallError;
use super::link::Link;
use super::meters::Meters;
use super::place::Place;
use super::settings::{Affinity, PoolSettings};
use super::state::{
    About, After, CallKey, Reply, STALL, State, TakenBack, Ticket, Wanted, WorkerKey, token,
};
use crate::telemetry::events;

/// Room for the frame around a call that fills its message.
const FRAME_BYTES: usize = 1024;

/// See the module.
pub(super) struct Pool {
    name: String,
    settings: RwLock<Arc<PoolSettings>>,
    /// Of the settings that workers must have; one more with each change of those.
    pub(super) generation: watch::Sender<u64>,
    pub(super) meters: Meters,
    state: Mutex<State>,
    /// Where workers are, or shall be. Empty where the workers are not the node's.
    places: Mutex<Vec<Arc<Place>>>,
    /// Who may start a worker now.
    starting: RwLock<Arc<Semaphore>>,
    /// Calls and workers of all pools are numbered from here.
    numbers: Arc<AtomicU64>,
    /// Bumped when workers come or go, in any pool.
    pub(super) changed: Arc<watch::Sender<u64>>,
    /// Calls stand in line at workers: someone should look after them.
    lines: Notify,
    /// What keeps its workers.
    pub(super) tasks: Mutex<JoinSet<()>>,
    /// Whether processes that the node did not start offer its tools.
    pub(super) offer: bool,
    began: Instant,
    /// Whether all workers have served.
    initialized: AtomicBool,
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
        offer: bool,
    ) -> Self {
        let settings = Arc::new(settings);
        Self {
            name: settings.name.clone(),
            meters: Meters::new(&settings.name),
            state: Mutex::new(State::new(settings.clone())),
            places: Mutex::default(),
            starting: RwLock::new(Arc::new(Semaphore::new(settings.start_batch))),
            settings: RwLock::new(settings),
            generation: watch::Sender::new(1),
            numbers,
            changed,
            lines: Notify::new(),
            tasks: Mutex::default(),
            offer,
            began: Instant::now(),
            initialized: AtomicBool::new(false),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Its settings as they are now.
    pub(super) fn settings(&self) -> Arc<PoolSettings> {
        self.settings
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Change its settings; workers that have to be replaced for that are replaced, one after the other's
    /// successor is ready. The number of places is for others to change.
    pub(super) fn set(&self, settings: PoolSettings) {
        let settings = Arc::new(settings);
        let before = std::mem::replace(
            &mut *self
                .settings
                .write()
                .unwrap_or_else(PoisonError::into_inner),
            settings.clone(),
        );
        self.state().set_settings(settings.clone());
        if before.start_batch != settings.start_batch {
            *self
                .starting
                .write()
                .unwrap_or_else(PoisonError::into_inner) =
                Arc::new(Semaphore::new(settings.start_batch));
        }
        if settings.needs_new_workers(&before) {
            self.generation.send_modify(|generation| *generation += 1);
        }
    }

    pub(super) fn starting(&self) -> Arc<Semaphore> {
        self.starting
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn places(&self) -> MutexGuard<'_, Vec<Arc<Place>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keep a task of the pool; those that have ended are forgotten.
    pub(super) fn keep(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
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
        let (value, after, queued, running, slots) = {
            let mut state = self.state();
            let (value, after) = change(&mut state);
            (value, after, state.queued(), state.running(), state.slots())
        };
        self.meters.queued.set(queued as f64);
        self.meters.running.set(running as f64);
        if running > slots {
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
        about: About,
        tainted_until: Option<Instant>,
    ) {
        let (link, id) = (link.clone(), worker_id.to_owned());
        self.change(|state| {
            let now = Instant::now();
            ((), state.join(link, id, tools, about, tainted_until, now))
        });
        self.workers_changed();
        let settings = self.settings();
        if !self.offer
            && self.ready() >= settings.size
            && !self.initialized.swap(true, Ordering::Relaxed)
        {
            events::pool_initialized(&self.name, settings.size, self.began.elapsed());
        }
    }

    /// A worker's stream has ended without a goodbye.
    pub(super) fn suspend(&self, link: &Arc<Link>) {
        self.change(|state| ((), state.suspend(link, Instant::now())));
        self.workers_changed();
    }

    /// A worker has dialled again, with what it still has. False where it is not awaited any more.
    pub(super) fn rejoin(&self, link: &Arc<Link>, held: &[u64]) -> bool {
        let known = self.change(|state| match state.rejoin(link, held, Instant::now()) {
            Some(after) => (true, after),
            None => (false, After::default()),
        });
        self.workers_changed();
        known
    }

    /// A worker's connection has ended for good, or its process. Repeating it does no harm.
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

    /// Events of a worker's tools.
    pub(super) fn telemetry(&self, worker: WorkerKey, telemetry: wire::Telemetry) {
        for event in telemetry.events {
            events::forward(event);
        }
        let told = telemetry.dropped;
        let before = self
            .state()
            .worker_mut(worker)
            .map(|worker| std::mem::replace(&mut worker.events_dropped, told));
        if let Some(more) = before.and_then(|before| told.checked_sub(before))
            && more > 0
        {
            events::dropped_by_worker(more);
        }
    }

    pub(super) fn heard(&self, worker: WorkerKey, rss_bytes: u64) {
        let limit = self.settings().recycle_rss_bytes;
        let mut state = self.state();
        if let Some(worker) = state.worker_mut(worker) {
            worker.heard = Instant::now();
            worker.rss_bytes = rss_bytes;
            if limit > 0 && rss_bytes >= limit {
                worker.link.retire("memory");
            }
        }
    }

    pub(super) fn send(&self, link: &Link, message: wire::to_worker::Message) {
        self.state().send(link.key, message);
        link.wake();
    }

    pub(super) fn drain_worker(&self, link: &Link, deadline_ms: u64) {
        self.change(|state| ((), state.drain(link.key, deadline_ms)));
        link.wake();
        self.workers_changed();
    }

    /// Refuse what waits and what comes.
    pub(super) fn close(&self) {
        self.change(|state| ((), state.close()));
    }

    /// Workers that serve.
    pub(super) fn ready(&self) -> usize {
        let state = self.state();
        let serving = |worker: &&super::state::Worker| !worker.draining && !worker.reconnecting;
        state.workers().iter().filter(serving).count()
    }

    /// Whether a worker has ever served, so that the pool's tools are known.
    pub(super) fn started(&self) -> bool {
        self.settings().size == 0 || self.state().started()
    }

    /// Whether the pool offers a tool under that name.
    pub(super) fn offers(&self, tool: &str) -> bool {
        self.state().offers(tool)
    }

    /// Whether the tool's author says that it may run twice.
    pub(super) fn marked_idempotent(&self, tool: &str) -> bool {
        self.state().marked_idempotent(tool)
    }

    /// Whether a worker of that id serves.
    pub(super) fn has_worker(&self, id: &str) -> bool {
        self.state()
            .workers()
            .iter()
            .any(|worker| worker.id == id && !worker.draining)
    }

    /// Calls that a worker has answered.
    pub(super) fn calls_of(&self, worker: WorkerKey) -> u64 {
        self.state()
            .worker_mut(worker)
            .map_or(0, |worker| worker.calls)
    }

    /// Calls that a worker has.
    pub(super) fn running_at(&self, worker: WorkerKey) -> usize {
        let mut state = self.state();
        state
            .worker_mut(worker)
            .map_or(0, |worker| worker.running())
    }

    /// Workers that are connected, or may come back.
    pub(super) fn workers(&self) -> usize {
        self.state().workers().len()
    }

    pub(super) fn has_workers(&self) -> bool {
        self.workers() > 0
    }

    /// Whether a call of that id is here.
    pub(super) fn has_call(&self, call_id: &str) -> bool {
        self.state().has_call(call_id)
    }

    /// How much room there is for a tool, less what waits; None where the pool does not offer it.
    pub(super) fn room_for(&self, tool: &str) -> Option<i64> {
        let state = self.state();
        let room = state.free() as i64 - state.queued() as i64;
        state.offers(tool).then_some(room)
    }

    /// Look after the workers until told to stop: replace the silent, and take calls back from stalled ones.
    pub(super) async fn tend(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let beat = Duration::from_millis(self.settings().heartbeat_interval_ms);
            let lines = self.unstall();
            let looked = self.lines.notified();
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(if lines { STALL / 2 } else { beat }) => {}
                () = looked, if !lines => tokio::time::sleep(STALL / 2).await,
            }
            self.replace_silent();
            self.tell_listened();
        }
    }

    /// Have workers send events while somebody listens, and no longer.
    fn tell_listened(&self) {
        let listened = events::listened();
        let links = self.state().tell_listened(listened);
        for link in links {
            link.wake();
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
        if self.offer {
            // Theirs to look after; a connection that is dead ends by its own keep-alive.
            return;
        }
        let (now, settings) = (Instant::now(), self.settings());
        let mut silent = Vec::new();
        for worker in self.state().workers() {
            let silence = now.saturating_duration_since(worker.heard);
            if !worker.reconnecting && silence > settings.silence_max(worker.running() > 0) {
                silent.push((worker.id.clone(), worker.link.clone(), silence));
            }
        }
        for (worker, link, silence) in silent {
            if link.kill("silent") {
                let silent_ms = silence.as_millis() as u64;
                tracing::error!(%worker, pool = self.name, silent_ms, "killed: no heartbeat");
                let missed = silent_ms / settings.heartbeat_interval_ms.max(1);
                let missed = u32::try_from(missed).unwrap_or(u32::MAX);
                events::heartbeat_timeout(&self.name, missed, &worker);
            }
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
