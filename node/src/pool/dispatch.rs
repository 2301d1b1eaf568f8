//! The node's pools, as the rest of the node sees them.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use snakepit_proto::worker::worker_service_server::WorkerServiceServer;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::call::{CallContext, CallOutcome, ToolCall};
use super::endpoint::{Registry, WorkerEndpoint};
use super::error::CallError;
use super::frames;
use super::place::Place;
use super::pool::{self, Pool};
use super::queries::ANY_TOOL;
use super::seat::Supervisor;
use super::settings::{MESSAGE_BYTES_MAX, PoolSettings};
use super::socket::listen_unix;
use super::spawn::Spawner;
use super::state::{CallKey, Reply, split_token};
use super::stop::Stop;
use super::stream::CallStream;
use super::zygote::Zygote;
use crate::telemetry::events;

/// Room in the server's messages for the frame around what fills them, in bytes.
const FRAME_BYTES: usize = 64 * 1024;
/// Calls that wait for a tool that no pool offers yet.
const EARLY_CALLS_MAX: usize = 1_000;
/// How long a stop may take beyond its deadline: to kill, to reap and to read the last output.
const STOP_MARGIN: Duration = Duration::from_secs(3);

/// All pools of a node. Cheap to clone; the workers are killed when the last one is dropped, but
/// [`Pools::drain_and_stop`] is the way to end.
#[derive(Clone)]
pub struct Pools {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) node_id: u64,
    /// In the order of their names.
    pools: RwLock<Arc<[Kept]>>,
    pub(super) registry: Arc<Registry>,
    pub(super) stop: Stop,
    pub(super) changed: Arc<watch::Sender<u64>>,
    pub(super) numbers: Arc<AtomicU64>,
    /// Calls of tools that no pool offers yet, while a pool has not started.
    early: Semaphore,
    spawner: Arc<Spawner>,
    /// Pools that were removed, until their workers have ended.
    leaving: Mutex<JoinSet<()>>,
    /// Serves streams of frames.
    frames: Mutex<Option<AbortHandle>>,
}

/// A pool and who keeps its workers.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) pool: Arc<Pool>,
    supervisor: Option<Arc<Supervisor>>,
    stop: CancellationToken,
}

/// Cancels a call when its future is dropped.
struct Hold<'a> {
    pool: &'a Arc<Pool>,
    key: CallKey,
    armed: bool,
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.pool.abandon(self.key);
        }
    }
}

impl Pools {
    /// Start the pools' workers. The socket must be served (see [`Pools::service`]) soon after, or workers
    /// find nobody to dial. The metrics recorder, where there is one, must be installed before.
    ///
    /// Fails where a setting is wrong, two pools have one name, or no thread can be started.
    pub fn start(
        settings: Vec<PoolSettings>,
        node_id: u64,
        socket_path: PathBuf,
    ) -> io::Result<Self> {
        check(&settings)?;
        let inner = Inner {
            node_id,
            pools: RwLock::new(Arc::from([])),
            registry: Arc::new(Registry::new(socket_path, node_id)),
            stop: Stop::default(),
            changed: Arc::new(watch::Sender::new(0)),
            numbers: Arc::new(AtomicU64::new(1)),
            early: Semaphore::new(EARLY_CALLS_MAX),
            spawner: Spawner::start()?,
            leaving: Mutex::default(),
            frames: Mutex::default(),
        };
        let pools = Self {
            inner: Arc::new(inner),
        };
        pools.listen()?;
        pools.apply(settings);
        Ok(pools)
    }

    /// Serve streams of frames until the pools are dropped.
    fn listen(&self) -> io::Result<()> {
        let path = frames::beside(self.inner.registry.socket());
        let listener = listen_unix(&path)?;
        let served = frames::serve(listener, self.inner.registry.clone());
        *self
            .inner
            .frames
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(tokio::spawn(served).abort_handle());
        Ok(())
    }

    /// Have exactly these pools from now on, beside those that other processes offer: new ones start, known
    /// ones change, others drain and end. The settings must be valid, and no two of one name.
    pub fn apply(&self, wanted: Vec<PoolSettings>) {
        if self.inner.stop.asked() {
            return;
        }
        let mut wanted: BTreeMap<String, PoolSettings> = wanted
            .into_iter()
            .map(|settings| (settings.name.clone(), settings))
            .collect();
        self.change(|known| {
            let mut kept = Vec::new();
            for known in known {
                match wanted.remove(known.pool.name()) {
                    // A name that is offered under is taken until nobody does so any more.
                    _ if known.supervisor.is_none() => kept.push(known),
                    Some(settings) => {
                        if *known.pool.settings() != settings {
                            tracing::info!(pool = settings.name, "the pool has new settings");
                            known.pool.set(settings);
                        }
                        known.resize();
                        kept.push(known);
                    }
                    None => self.remove(known),
                }
            }
            let new = std::mem::take(&mut wanted).into_values();
            kept.extend(new.map(|settings| self.make(settings)));
            Some(kept)
        });
    }

    /// Change the pools that there are, one change at a time; None leaves them.
    pub(super) fn change(&self, change: impl FnOnce(Vec<Kept>) -> Option<Vec<Kept>>) {
        {
            let mut pools = self
                .inner
                .pools
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            let Some(mut changed) = change(pools.to_vec()) else {
                return;
            };
            changed.sort_by(|one, other| one.pool.name().cmp(other.pool.name()));
            *pools = changed.into();
        }
        self.inner.changed.send_modify(|count| *count += 1);
    }

    pub(super) fn new_pool(&self, settings: PoolSettings, offer: bool) -> Arc<Pool> {
        let (numbers, changed) = (self.inner.numbers.clone(), self.inner.changed.clone());
        Arc::new(Pool::new(settings, numbers, changed, offer))
    }

    fn make(&self, settings: PoolSettings) -> Kept {
        let inner = &self.inner;
        tracing::info!(
            pool = settings.name,
            size = settings.size,
            "the pool begins"
        );
        let pool = self.new_pool(settings, false);
        let supervisor = Supervisor {
            pool: pool.clone(),
            registry: inner.registry.clone(),
            spawner: inner.spawner.clone(),
            zygote: Zygote::new(inner.spawner.clone()),
            node_id: inner.node_id,
        };
        let kept = Kept {
            pool,
            supervisor: Some(Arc::new(supervisor)),
            stop: CancellationToken::new(),
        };
        kept.pool.keep(kept.pool.clone().tend(kept.stop.clone()));
        kept.resize();
        kept
    }

    fn remove(&self, kept: Kept) {
        tracing::info!(pool = kept.pool.name(), "the pool ends");
        kept.pool.close();
        let patience = Duration::from_millis(kept.pool.settings().drain_timeout_ms);
        let mut leaving = self
            .inner
            .leaving
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while leaving.try_join_next().is_some() {}
        leaving.spawn(async move { kept.end(Instant::now() + patience).await });
    }

    pub(super) fn kept(&self) -> Arc<[Kept]> {
        self.inner
            .pools
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The worker service, for the server on the socket.
    pub fn service(&self) -> WorkerServiceServer<WorkerEndpoint> {
        WorkerServiceServer::new(WorkerEndpoint {
            registry: self.inner.registry.clone(),
        })
        .max_decoding_message_size(MESSAGE_BYTES_MAX + FRAME_BYTES)
        .max_encoding_message_size(MESSAGE_BYTES_MAX + FRAME_BYTES)
    }

    /// Run a tool, and wait for its end. A Python exception is an outcome. Dropping the future cancels the
    /// call: it leaves the queue, an async tool is cancelled, and a sync tool's worker is killed after
    /// `cancel_grace_ms`.
    pub async fn call(&self, call: ToolCall) -> Result<CallOutcome, CallError> {
        let pool = &self.pool_for(&call).await?;
        let (reply, mut answer) = oneshot::channel();
        let admitted = pool.admit(call, Reply::Once(reply), false)?;
        let key = admitted.key;
        let mut hold = Hold {
            pool,
            key,
            armed: true,
        };
        let mut queue_deadline = admitted.queue_deadline.filter(|at| *at < admitted.deadline);
        let outcome = loop {
            let next = queue_deadline.unwrap_or(admitted.deadline);
            match tokio::time::timeout_at(next.into(), &mut answer).await {
                Ok(Ok(answer)) => break answer,
                // The pool answers each call, so its state is gone: the node stops.
                Ok(Err(_)) => break Err(CallError::Draining),
                Err(_) if queue_deadline.take().is_some() => {
                    if let Some(error) = pool.queue_timeout(key) {
                        break Err(error);
                    }
                }
                Err(_) => {
                    let error = pool.expire(key);
                    // It may have ended this very moment.
                    break match answer.try_recv() {
                        Ok(Ok(outcome)) => Ok(outcome),
                        _ => Err(error),
                    };
                }
            }
        };
        hold.armed = false;
        outcome
    }

    /// Run a streaming tool. Errors after admission, the queue's timeout among them, are the stream's last
    /// item.
    pub async fn stream(&self, call: ToolCall) -> Result<CallStream, CallError> {
        let pool = self.pool_for(&call).await?;
        // One more than there are credits, for an error.
        let (reply, chunks) = mpsc::channel(pool.settings().chunk_credits as usize + 1);
        let call_id = call.call_id.clone();
        let admitted = pool.admit(call, Reply::Stream(reply), true)?;
        Ok(CallStream::new(pool, &admitted, call_id, chunks))
    }

    /// The call that a worker's callback belongs to, while it runs.
    pub fn context_of_token(&self, token: &str) -> Option<CallContext> {
        let (key, secret) = split_token(token)?;
        self.kept()
            .iter()
            .find_map(|kept| kept.pool.context(key, secret))
    }

    /// Stop in order: refuse calls that wait and that come, let running ones end until the deadline or their
    /// pool's `drain_timeout_ms`, whichever is first, then kill. When it returns, no worker's process lives.
    pub async fn drain_and_stop(&self, deadline: Instant) {
        self.inner.stop.ask(deadline);
        let kept = self.kept();
        for kept in kept.iter() {
            kept.pool.close();
        }
        self.inner.changed.send_modify(|count| *count += 1);
        let mut ending = JoinSet::new();
        for kept in kept.iter() {
            let kept = kept.clone();
            ending.spawn(async move { kept.end(deadline).await });
        }
        let mut leaving = std::mem::take(
            &mut *self
                .inner
                .leaving
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        let limit = deadline.max(Instant::now()) + 2 * STOP_MARGIN;
        for tasks in [&mut ending, &mut leaving] {
            while let Ok(Some(_)) = tokio::time::timeout_at(limit.into(), tasks.join_next()).await {
            }
            tasks.shutdown().await;
        }
        self.inner.spawner.guard.end();
    }

    /// The pool with the most room that offers the tool; the one that the call names, where it does.
    async fn pool_for(&self, call: &ToolCall) -> Result<Arc<Pool>, CallError> {
        if let Some(pool) = self.offering(&call.tool, &call.pool) {
            return Ok(pool);
        }
        if self.all_started() {
            return Err(self.nobody_offers(call));
        }
        self.wait_for_tool(call).await
    }

    fn all_started(&self) -> bool {
        self.kept().iter().all(|kept| kept.pool.started())
    }

    fn offering(&self, tool: &str, named: &str) -> Option<Arc<Pool>> {
        let kept = self.kept();
        let fits = |kept: &&Kept| named.is_empty() || kept.pool.name() == named;
        let kept: Vec<_> = kept.iter().filter(fits).cloned().collect();
        let tool = offered_as(&kept, tool);
        let pools = kept.iter().map(|kept| &kept.pool);
        pools
            .filter_map(|pool| Some((pool.room_for(tool)?, pool)))
            .max_by_key(|(room, _)| *room)
            .map(|(_, pool)| pool.clone())
    }

    /// While pools start, nobody knows what they will offer.
    async fn wait_for_tool(&self, call: &ToolCall) -> Result<Arc<Pool>, CallError> {
        let kept = self.kept();
        let patience = kept
            .iter()
            .map(|kept| kept.pool.settings().queue_timeout_ms)
            .max();
        let name = || kept.first().map_or("", |kept| kept.pool.name()).to_owned();
        let _place = self
            .inner
            .early
            .try_acquire()
            .map_err(|_| CallError::QueueFull {
                pool: name(),
                queued: EARLY_CALLS_MAX,
            })?;
        let began = Instant::now();
        let until = began + Duration::from_millis(patience.unwrap_or(0));
        let limit = call.deadline.map_or(until, |deadline| deadline.min(until));
        let mut changes = self.inner.changed.subscribe();
        loop {
            if self.inner.stop.asked() {
                return Err(CallError::Draining);
            }
            if let Some(pool) = self.offering(&call.tool, &call.pool) {
                return Ok(pool);
            }
            if self.all_started() {
                return Err(self.nobody_offers(call));
            }
            if tokio::time::timeout_at(limit.into(), changes.changed())
                .await
                .is_err()
            {
                if call
                    .deadline
                    .is_some_and(|deadline| deadline <= Instant::now())
                {
                    return Err(CallError::DeadlineExceeded { maybe: false });
                }
                let waited_ms = began.elapsed().as_millis() as u64;
                return Err(CallError::QueueTimeout {
                    pool: name(),
                    waited_ms,
                });
            }
        }
    }

    fn nobody_offers(&self, call: &ToolCall) -> CallError {
        let kept = self.kept();
        if !call.pool.is_empty() {
            return CallError::NoSuchPool {
                pool: call.pool.clone(),
                tool: call.tool.clone(),
            };
        }
        let known = pool::tools(kept.iter().map(|kept| &kept.pool))
            .into_keys()
            .collect();
        CallError::NoSuchTool {
            tool: call.tool.clone(),
            known,
        }
    }
}

impl Kept {
    /// Of a pool whose workers are not the node's.
    pub(super) fn offered(pool: Arc<Pool>) -> Self {
        let stop = CancellationToken::new();
        pool.keep(pool.clone().tend(stop.clone()));
        Self {
            pool,
            supervisor: None,
            stop,
        }
    }

    /// Tend it no more: it has no workers, and gets none.
    pub(super) fn forget(self) {
        self.stop.cancel();
    }

    /// Have as many places as the settings say.
    fn resize(&self) {
        let Some(supervisor) = &self.supervisor else {
            return;
        };
        let settings = self.pool.settings();
        let mut places = self.pool.places();
        while places.len() > settings.size {
            let place = places.pop().expect("there is more than one");
            place
                .stop
                .ask(Instant::now() + Duration::from_millis(settings.drain_timeout_ms));
        }
        while places.len() < settings.size {
            let place = Arc::new(Place::new(places.len()));
            places.push(place.clone());
            self.pool.keep(supervisor.clone().keep(place));
        }
    }

    /// Let running calls end until the deadline, then kill. When it returns, no worker's process lives.
    async fn end(&self, deadline: Instant) {
        self.stop.cancel();
        for place in self.pool.places().iter() {
            place.stop.ask(deadline);
        }
        let mut tasks = std::mem::take(
            &mut *self
                .pool
                .tasks
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        let limit = deadline.max(Instant::now()) + STOP_MARGIN;
        let (name, processes, began) = (self.pool.name(), self.pool.workers(), Instant::now());
        events::cleanup_start(name, processes);
        while let Ok(Some(_)) = tokio::time::timeout_at(limit.into(), tasks.join_next()).await {}
        if tasks.is_empty() {
            events::cleanup_success(name, processes, began.elapsed());
        } else {
            events::cleanup_timeout(name, tasks.len(), began.elapsed());
        }
        // What is left of them drops its process, and that kills its group.
        tasks.shutdown().await;
        if let Some(supervisor) = &self.supervisor {
            supervisor.zygote.end().await;
        }
    }
}

/// The name under which a tool is offered here: its own, else that of adapters which take any name.
pub(super) fn offered_as<'a>(kept: &[Kept], tool: &'a str) -> &'a str {
    let own = kept.iter().any(|kept| kept.pool.offers(tool));
    if own { tool } else { ANY_TOOL }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Without an orderly stop: the tasks end with their set, and their processes with them.
        self.stop.ask(Instant::now());
        let frames = self
            .frames
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(frames) = frames.take() {
            frames.abort();
        }
        let kept = self.pools.get_mut().unwrap_or_else(PoisonError::into_inner);
        for kept in kept.iter() {
            kept.stop.cancel();
            kept.pool
                .tasks
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .abort_all();
        }
    }
}

fn check(settings: &[PoolSettings]) -> io::Result<()> {
    let mut problems = Vec::new();
    for (index, pool) in settings.iter().enumerate() {
        problems.extend(
            pool.validate()
                .into_iter()
                .map(|text| format!("pool {}: {text}", pool.name)),
        );
        if settings[..index]
            .iter()
            .any(|other| other.name == pool.name)
        {
            problems.push(format!(
                "pool {}: the name is taken; give each pool its own",
                pool.name
            ));
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        problems.join("; "),
    ))
}
