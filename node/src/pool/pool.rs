//! One pool: its calls behind a lock, its places for workers, and what is done around the lock.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use snakepit_proto::bridge::ToolSpec;
use snakepit_proto::worker as wire;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;

use super::call::CallContext;
use super::link::Link;
use super::meters::Meters;
use super::place::Place;
use super::settings::PoolSettings;
use super::state::{About, After, CallKey, State, WorkerKey};
use crate::telemetry::events;

/// See the module.
pub(super) struct Pool {
    pub(super) name: String,
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
    pub(super) lines: Notify,
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
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> (T, After)) -> T {
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

    /// Whether there are several calls, waiting or running.
    pub(super) fn has_several_calls(&self) -> bool {
        let state = self.state();
        state.running() + state.queued() > 1
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
