//! What a node serves. [`Node`] is what the services share; each service has a file or folder of its own.

mod archive;
mod ask;
mod audit;
mod bridge;
mod calls;
mod cluster;
mod correlation;
mod history;
mod integrity;
mod keys;
mod looks;
mod peers;
mod pools;
mod ready;
mod route;
mod seal;
mod serve;
mod sessions;
mod status;
mod subjects;
mod touch;
mod watch;
mod wire;

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use snakepit_machine::{Answer, Body, Command, Origin, Rejection, Rows, RowsExt, SessionRow};
use snakepit_raft::{Barrier, Consistency, Group, Proposed, ReadError};
use snakepit_storage::StateStore;
use tokio::sync::Semaphore;

pub use ask::Ask;
pub use audit::AuditService;
pub use bridge::Bridge;
pub use calls::CallService;
pub use cluster::ClusterService;
pub use keys::KeyService;
pub use peers::{Busy, Peers};
pub use pools::wanted_pools;
pub use ready::Readiness;
pub use sessions::SessionService;
pub use status::Failure;

use self::wire::Look;
use crate::config::Settings;
use crate::evidence::checkpoint::SigningKey;
use crate::keys::KeyStore;
use crate::labels::Labels;
use crate::pool::Pools;
use crate::telemetry::trace;

/// How long an operator's question waits for a leader's word.
const NEWEST_PATIENCE: Duration = Duration::from_secs(1);

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
    /// What it has, for pools to be placed by.
    pub labels: Labels,
    /// Signs checkpoints of the log; `None` where it has no key.
    pub signing_key: Option<SigningKey>,
    /// Keys of subjects that it has.
    pub keys: Arc<KeyStore>,
    /// Whether its data is right.
    pub integrity: integrity::Integrity,
    /// When it began.
    pub started: Instant,
    requests: Arc<Semaphore>,
    calls: route::CallLog,
    touches: touch::Touches,
    watches: watch::Hub,
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

/// What a node has on disk, apart from the log of its group.
#[derive(Clone)]
pub struct Stored {
    /// Its rows and events.
    pub state: Arc<StateStore>,
    /// Keys of subjects that it has.
    pub keys: Arc<KeyStore>,
    /// Signs checkpoints of the log; `None` where it has no key.
    pub signing_key: Option<SigningKey>,
}

impl Node {
    /// Put a node together.
    pub fn new(
        settings: Settings,
        group: Group,
        stored: Stored,
        pools: Pools,
        peers: Peers,
        labels: Labels,
    ) -> Arc<Self> {
        let requests = Arc::new(Semaphore::new(settings.limits.concurrent_requests_max));
        let touches = touch::Touches::default();
        let watches = watch::Hub::new(&settings.limits);
        Arc::new(Self {
            settings,
            group,
            state: stored.state,
            pools,
            peers,
            labels,
            signing_key: stored.signing_key,
            keys: stored.keys,
            integrity: integrity::Integrity::default(),
            started: Instant::now(),
            requests,
            calls: route::CallLog::default(),
            touches,
            watches,
            confirmed: Mutex::default(),
        })
    }

    /// This node's id.
    pub fn id(&self) -> u64 {
        self.settings.node.id
    }

    /// Propose a change; the index at which its answer is true, and the answer.
    async fn propose(&self, ask: &Ask, body: Body) -> Result<(u64, Answer), Failure> {
        self.propose_as(ask, (*ask.origin).clone(), body).await
    }

    /// As [`Self::propose`], as another request than the one that was asked.
    async fn propose_as(
        &self,
        ask: &Ask,
        origin: Origin,
        body: Body,
    ) -> Result<(u64, Answer), Failure> {
        let session_id = body.session_id().to_owned();
        note_session(&session_id);
        let body = self.sealed(ask, body).await?;
        let command = Command { origin, body };
        let proposed = self.group.propose(command, ask.deadline).await?;
        if self.tells(ask, &session_id, &proposed).await
            && let Ok(Some(session)) = self.state.cached_rows().session(&session_id)
        {
            tell(ask, &session, proposed.outcome.as_ref().err());
        }
        Ok((proposed.index, proposed.outcome?))
    }

    /// Whether each request on a session is logged. One that was just begun may not be known here yet.
    async fn tells(&self, ask: &Ask, session_id: &str, proposed: &Proposed) -> bool {
        let told = || match self.state.session_config(session_id) {
            Ok(config) => config.map(|config| config.enable_telemetry),
            Err(_) => Some(false),
        };
        if session_id.is_empty() {
            return false;
        }
        if let Some(told) = told() {
            return told;
        }
        proposed.outcome.is_ok()
            && self.applied(ask, proposed.index).await.is_ok()
            && told().unwrap_or(false)
    }

    /// The kept answer to an earlier arrival of the same request, on a session. What a call reads before it
    /// proposes may have changed since then.
    async fn kept_answer(
        &self,
        ask: &Ask,
        session_id: &str,
    ) -> Result<Option<(u64, Answer)>, Failure> {
        if ask.origin.request_id.is_empty() {
            return Ok(None);
        }
        let (sid, origin) = (session_id.to_owned(), ask.origin.clone());
        let read = self.read_rows(ask, session_id, move |rows, session, _| {
            Ok(rows.kept_answer(&sid, session.answers, &origin.request_id)?)
        });
        let (index, kept) = read.await?;
        Ok(kept.map(|answer| (index, answer)))
    }

    /// Wait until this node may answer the request from its own rows.
    async fn barrier(&self, ask: &Ask) -> Result<Barrier, Failure> {
        let began = Instant::now();
        let barrier = self.group.barrier(ask.consistency, ask.deadline).await?;
        if ask.consistency == Consistency::Linearizable {
            self.confirm(began);
        }
        Ok(barrier)
    }

    /// For operators: wait until this node has all that was acknowledged. Without a leader who says so in time they see
    /// what the node knows.
    async fn newest(&self, ask: &Ask) {
        let _ = tokio::time::timeout(NEWEST_PATIENCE, self.barrier(ask)).await;
    }

    /// As [`Self::barrier`], or at once where the session lets reads be as old as this node's last barrier is;
    /// the flag tells that.
    async fn cached_barrier(
        &self,
        ask: &Ask,
        session_id: &str,
        bypass: bool,
    ) -> Result<(Barrier, bool), Failure> {
        if !bypass && !ask.consistency_named {
            let config = self.state.session_config(session_id);
            if let Ok(Some(config)) = config
                && config.enable_caching
                && self
                    .confirmed_since()
                    .is_some_and(|since| since <= Duration::from_millis(config.cache_ttl_ms))
            {
                let barrier = self.group.barrier(Consistency::Stale, ask.deadline).await?;
                return Ok((barrier, true));
            }
        }
        Ok((self.barrier(ask).await?, false))
    }

    /// Wait until this node has applied a log index.
    async fn applied(&self, ask: &Ask, index: u64) -> Result<(), Failure> {
        let mut applied = self.group.applied_index();
        let wait = applied.reach(index);
        match tokio::time::timeout_at(ask.deadline, wait).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Failure::Read(ReadError::Stopping)),
            Err(_) => Err(Failure::Read(ReadError::Deadline)),
        }
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

    /// Read a session and something of it, at a barrier, row by row.
    async fn read_rows<T: Send + 'static>(
        &self,
        ask: &Ask,
        session_id: &str,
        read: impl Fn(&dyn Rows, &SessionRow, &Look) -> Result<T, Failure> + Send + 'static,
    ) -> Result<(u64, T), Failure> {
        let barrier = self.barrier(ask).await?;
        self.read_rows_at(ask, session_id, barrier, read).await
    }

    /// Read a session and something of it, at a barrier that was passed, row by row. What is in memory is read
    /// at once; only what must come from disk goes to a thread that may wait.
    async fn read_rows_at<T: Send + 'static>(
        &self,
        ask: &Ask,
        session_id: &str,
        barrier: Barrier,
        read: impl Fn(&dyn Rows, &SessionRow, &Look) -> Result<T, Failure> + Send + 'static,
    ) -> Result<(u64, T), Failure> {
        note_session(session_id);
        self.key_of(ask, session_id).await?;
        let look = ask.look(barrier.time_ms);
        let cached = {
            let rows = self.state.cached_rows();
            let found = living(&rows, session_id, &look, &read);
            (!rows.missed()).then_some(found)
        };
        let (session, found) = match cached {
            Some(found) => found?,
            None => {
                let id = session_id.to_owned();
                let found =
                    self.blocking(move |state| Ok(living(&state.rows(), &id, &look, &read)));
                found.await??
            }
        };
        tell(ask, &session, None);
        self.touch_soon(&session, barrier.time_ms);
        Ok((barrier.index, found))
    }

    /// Read a session and something of it, at a barrier. The session must be alive there.
    async fn read_session<T: Send + 'static>(
        &self,
        ask: &Ask,
        session_id: &str,
        read: impl FnOnce(&StateStore, &SessionRow, &Look) -> Result<T, Failure> + Send + 'static,
    ) -> Result<(u64, T), Failure> {
        let barrier = self.barrier(ask).await?;
        self.read_session_at(ask, session_id, barrier, read).await
    }

    /// Read a session and something of it, at a barrier that was passed. The session must be alive there.
    async fn read_session_at<T: Send + 'static>(
        &self,
        ask: &Ask,
        session_id: &str,
        barrier: Barrier,
        read: impl FnOnce(&StateStore, &SessionRow, &Look) -> Result<T, Failure> + Send + 'static,
    ) -> Result<(u64, T), Failure> {
        note_session(session_id);
        self.key_of(ask, session_id).await?;
        let (id, look) = (session_id.to_owned(), ask.look(barrier.time_ms));
        let found = self
            .blocking(move |state| {
                let session = state.rows().session(&id).map_err(io::Error::other)?;
                Ok(session
                    .filter(|session| session.alive_at(look.now_ms))
                    .map(|session| {
                        let found = read(state, &session, &look);
                        (session, found)
                    }))
            })
            .await?;
        match found {
            Some((session, found)) => {
                let found = found?;
                tell(ask, &session, None);
                self.touch_soon(&session, barrier.time_ms);
                Ok((barrier.index, found))
            }
            None => Err(Rejection::no_session(session_id).into()),
        }
    }
}

/// Note the session in the span of the request.
fn note_session(session_id: &str) {
    trace::set(trace::keys::SESSION_ID, || session_id.to_owned());
}

/// One line in the log for a request on a session that wants it.
fn tell(ask: &Ask, session: &SessionRow, refused: Option<&Rejection>) {
    if session.config.enable_telemetry {
        tracing::info!(
            target: "snakepit::session",
            session_id = session.id,
            revision = session.revision,
            call = ask.name,
            principal = ask.origin.principal.name,
            request_id = ask.origin.request_id,
            call_id = ask.origin.call_id,
            correlation_id = ask.correlation_id,
            refused = refused.map(tracing::field::display),
            "request"
        );
    }
}

/// A session that is alive at a time, and something of it.
fn living<T>(
    rows: &dyn Rows,
    session_id: &str,
    look: &Look,
    read: &impl Fn(&dyn Rows, &SessionRow, &Look) -> Result<T, Failure>,
) -> Result<(Arc<SessionRow>, T), Failure> {
    match rows.session(session_id)? {
        Some(session) if session.alive_at(look.now_ms) => {
            let found = read(rows, &session, look)?;
            Ok((session, found))
        }
        _ => Err(Rejection::no_session(session_id).into()),
    }
}
