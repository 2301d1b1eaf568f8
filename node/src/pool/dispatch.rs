//! The node's pools, as the rest of the node sees them.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use snakepit_proto::worker::worker_service_server::WorkerServiceServer;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::call::{CallContext, CallOutcome, ToolCall};
use super::endpoint::{Registry, WorkerEndpoint};
use super::error::CallError;
use super::pool::{self, Pool};
use super::seat::Supervisor;
use super::settings::PoolSettings;
use super::spawn::Spawner;
use super::state::{CallKey, Reply, split_token};
use super::stop::Stop;
use super::stream::CallStream;

/// Room in the server's messages for the frame around what fills them, in bytes.
const FRAME_BYTES: usize = 64 * 1024;
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
    pub(super) pools: Vec<Arc<Pool>>,
    registry: Arc<Registry>,
    stop: Arc<Stop>,
    pub(super) changed: Arc<watch::Sender<u64>>,
    tasks: Mutex<JoinSet<()>>,
    /// Calls of tools that no pool offers yet, while a pool has not started.
    early: Semaphore,
    spawner: Arc<Spawner>,
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
        let numbers = Arc::new(AtomicU64::new(1));
        let changed = Arc::new(watch::Sender::new(0));
        let early = settings
            .iter()
            .map(|pool| pool.queue_max)
            .max()
            .unwrap_or(0);
        let pools: Vec<_> = settings
            .into_iter()
            .map(|settings| Arc::new(Pool::new(settings, numbers.clone(), changed.clone())))
            .collect();
        let registry = Arc::new(Registry::new(socket_path, node_id));
        let spawner = Spawner::start()?;
        let stop = Arc::new(Stop::default());
        let mut tasks = JoinSet::new();
        for pool in &pools {
            tasks.spawn(pool.clone().tend(stop.token()));
            let supervisor = Arc::new(Supervisor {
                pool: pool.clone(),
                registry: registry.clone(),
                spawner: spawner.clone(),
                node_id,
                stop: stop.clone(),
            });
            for index in 0..pool.settings.size {
                tasks.spawn(supervisor.clone().keep(index));
            }
        }
        let early = Semaphore::new(early);
        let tasks = Mutex::new(tasks);
        let inner = Inner {
            node_id,
            pools,
            registry,
            stop,
            changed,
            tasks,
            early,
            spawner,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The worker service, for the server on the socket.
    pub fn service(&self) -> WorkerServiceServer<WorkerEndpoint> {
        let largest = self
            .inner
            .pools
            .iter()
            .map(|pool| pool.settings.message_bytes_max)
            .max();
        let limit = largest.unwrap_or(0) + FRAME_BYTES;
        WorkerServiceServer::new(WorkerEndpoint {
            registry: self.inner.registry.clone(),
        })
        .max_decoding_message_size(limit)
        .max_encoding_message_size(limit)
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
        let (reply, chunks) = mpsc::channel(pool.settings.chunk_credits as usize + 1);
        let admitted = pool.admit(call, Reply::Stream(reply), true)?;
        Ok(CallStream::new(pool, &admitted, chunks))
    }

    /// The call that a worker's callback belongs to, while it runs.
    pub fn context_of_token(&self, token: &str) -> Option<CallContext> {
        let (key, secret) = split_token(token)?;
        self.inner
            .pools
            .iter()
            .find_map(|pool| pool.context(key, secret))
    }

    /// Stop in order: refuse calls that wait and that come, let running ones end until the deadline or their
    /// pool's `drain_timeout_ms`, whichever is first, then kill. When it returns, no worker's process lives.
    pub async fn drain_and_stop(&self, deadline: Instant) {
        for pool in &self.inner.pools {
            pool.close();
        }
        self.inner.stop.ask(deadline);
        self.inner.changed.send_modify(|count| *count += 1);
        let mut tasks = std::mem::take(
            &mut *self
                .inner
                .tasks
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        let limit = deadline.max(Instant::now()) + STOP_MARGIN;
        while let Ok(Some(_)) = tokio::time::timeout_at(limit.into(), tasks.join_next()).await {}
        // What is left of them drops its process, and that kills its group.
        tasks.shutdown().await;
        self.inner.spawner.guard.end();
    }

    /// The pool with the most room that offers the tool.
    async fn pool_for(&self, call: &ToolCall) -> Result<Arc<Pool>, CallError> {
        if let Some(pool) = self.offering(&call.tool) {
            return Ok(pool);
        }
        if self.inner.pools.iter().all(|pool| pool.started()) {
            return Err(self.no_such_tool(&call.tool));
        }
        self.wait_for_tool(call).await
    }

    fn offering(&self, tool: &str) -> Option<Arc<Pool>> {
        let tool = self.offered_as(tool);
        let room = |pool: &&Arc<Pool>| pool.room_for(tool);
        match self.inner.pools.as_slice() {
            // With one pool, its own lock is taken once more, at admission.
            [only] => only.room_for(tool).map(|_| only.clone()),
            all => all
                .iter()
                .filter(|pool| room(pool).is_some())
                .max_by_key(room)
                .cloned(),
        }
    }

    /// While pools start, nobody knows what they will offer.
    async fn wait_for_tool(&self, call: &ToolCall) -> Result<Arc<Pool>, CallError> {
        let first = &self.inner.pools[0];
        let name = || first.settings.name.clone();
        let _place = self
            .inner
            .early
            .try_acquire()
            .map_err(|_| CallError::QueueFull {
                pool: name(),
                queued: first.settings.queue_max,
            })?;
        let began = Instant::now();
        let patience = self
            .inner
            .pools
            .iter()
            .map(|pool| pool.settings.queue_timeout_ms)
            .max();
        let until = began + Duration::from_millis(patience.unwrap_or(0));
        let limit = call.deadline.map_or(until, |deadline| deadline.min(until));
        let mut changes = self.inner.changed.subscribe();
        loop {
            if self.inner.stop.asked() {
                return Err(CallError::Draining);
            }
            if let Some(pool) = self.offering(&call.tool) {
                return Ok(pool);
            }
            if self.inner.pools.iter().all(|pool| pool.started()) {
                return Err(self.no_such_tool(&call.tool));
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

    fn no_such_tool(&self, tool: &str) -> CallError {
        let known = pool::tools(self.inner.pools.iter()).into_keys().collect();
        CallError::NoSuchTool {
            tool: tool.to_owned(),
            known,
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Without an orderly stop: the tasks end with their set, and their processes with them.
        self.stop.ask(Instant::now());
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
