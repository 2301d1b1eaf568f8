//! What a node serves. [`Node`] is what the services share; each service has a file or folder of its own.

mod ask;
mod audit;
mod bridge;
mod calls;
mod cluster;
mod glob;
mod looks;
mod peers;
mod ready;
mod router;
mod status;
mod touch;
mod wire;

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use snakepit_machine::{Answer, Body, Command, Rejection, Rows, RowsExt, SessionRow};
use snakepit_raft::{Barrier, Group};
use snakepit_storage::StateStore;
use tokio::sync::Semaphore;

pub use ask::Ask;
pub use audit::AuditService;
pub use bridge::Bridge;
pub use calls::CallService;
pub use cluster::ClusterService;
pub use peers::Peers;
pub use ready::Readiness;
pub use status::Failure;

use crate::config::Settings;
use crate::pool::Pools;

/// One node, as its services see it.
pub struct Node {
    /// Its settings.
    pub settings: Settings,
    /// Its part in the Raft group.
    pub group: Group,
    /// Its rows and events.
    pub state: Arc<StateStore>,
    /// Its workers.
    pub pools: Pools,
    /// The other nodes' workers.
    pub peers: Peers,
    /// When it began.
    pub started: Instant,
    requests: Arc<Semaphore>,
    touches: touch::Touches,
    /// When a leader last confirmed a read.
    confirmed: Mutex<Option<Instant>>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("id", &self.id())
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

impl Node {
    /// Put a node together.
    pub fn new(
        settings: Settings,
        group: Group,
        state: Arc<StateStore>,
        pools: Pools,
        peers: Peers,
    ) -> Arc<Self> {
        let requests = Arc::new(Semaphore::new(settings.limits.concurrent_requests_max));
        let touches = touch::Touches::default();
        Arc::new(Self {
            settings,
            group,
            state,
            pools,
            peers,
            started: Instant::now(),
            requests,
            touches,
            confirmed: Mutex::default(),
        })
    }

    /// This node's id.
    pub fn id(&self) -> u64 {
        self.settings.node.id
    }

    /// Propose a change; the index at which its answer is true, and the answer.
    async fn propose(&self, ask: &Ask, body: Body) -> Result<(u64, Answer), Failure> {
        let command = Command {
            origin: ask.origin.clone(),
            body,
        };
        let proposed = self.group.propose(command, ask.deadline).await?;
        Ok((proposed.index, proposed.outcome?))
    }

    /// Wait until this node may answer the request from its own rows.
    async fn barrier(&self, ask: &Ask) -> Result<Barrier, Failure> {
        Ok(self.group.barrier(ask.consistency, ask.deadline).await?)
    }

    /// Read what may block on a thread that may.
    async fn blocking<T: Send + 'static>(
        &self,
        read: impl FnOnce(&StateStore) -> io::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let state = self.state.clone();
        let read = tokio::task::spawn_blocking(move || read(&state)).await;
        Ok(read.map_err(io::Error::other)??)
    }

    /// Read a session and something of it, at a barrier, row by row. What is in memory is read at once; only
    /// what must come from disk goes to a thread that may wait.
    async fn read_rows<T: Send + 'static>(
        &self,
        ask: &Ask,
        session_id: &str,
        read: impl Fn(&dyn Rows, &SessionRow) -> Result<T, Failure> + Send + 'static,
    ) -> Result<(u64, T), Failure> {
        let barrier = self.barrier(ask).await?;
        let cached = {
            let rows = self.state.cached_rows();
            let found = living(&rows, session_id, barrier.time_ms, &read);
            (!rows.missed()).then_some(found)
        };
        let (session, found) = match cached {
            Some(found) => found?,
            None => {
                let id = session_id.to_owned();
                let found = self
                    .blocking(move |state| Ok(living(&state.rows(), &id, barrier.time_ms, &read)));
                found.await??
            }
        };
        self.touch_soon(&session, barrier.time_ms);
        Ok((barrier.index, found))
    }

    /// Read a session and something of it, at a barrier. The session must be alive there.
    async fn read_session<T: Send + 'static>(
        &self,
        ask: &Ask,
        session_id: &str,
        read: impl FnOnce(&StateStore, &SessionRow) -> Result<T, Failure> + Send + 'static,
    ) -> Result<(u64, T), Failure> {
        let barrier = self.barrier(ask).await?;
        let id = session_id.to_owned();
        let found = self
            .blocking(move |state| {
                let session = state.rows().session(&id).map_err(io::Error::other)?;
                Ok(session
                    .filter(|session| session.alive_at(barrier.time_ms))
                    .map(|session| {
                        let found = read(state, &session);
                        (session, found)
                    }))
            })
            .await?;
        match found {
            Some((session, found)) => {
                let found = found?;
                self.touch_soon(&session, barrier.time_ms);
                Ok((barrier.index, found))
            }
            None => Err(Rejection::no_session(session_id).into()),
        }
    }
}

/// A session that is alive at a time, and something of it.
fn living<T>(
    rows: &dyn Rows,
    session_id: &str,
    time_ms: u64,
    read: &impl Fn(&dyn Rows, &SessionRow) -> Result<T, Failure>,
) -> Result<(SessionRow, T), Failure> {
    match rows.session(session_id)? {
        Some(session) if session.alive_at(time_ms) => {
            let found = read(rows, &session)?;
            Ok((session, found))
        }
        _ => Err(Rejection::no_session(session_id).into()),
    }
}
