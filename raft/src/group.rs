//! The handle of the group.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openraft::async_runtime::WatchReceiver as _;
use openraft::error::{InitializeError, RaftError};
use snakepit_machine::Command;
use snakepit_proto::peer::copies_server::CopiesServer;
use snakepit_proto::peer::forward_server::ForwardServer;
use snakepit_proto::peer::raft_server::RaftServer;
use snakepit_storage::{NodeAddress, RaftStore, StateStore};
use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::service::{Routes, RoutesBuilder};

use crate::applied::AppliedIndex;
use crate::copies::CopiesService;
use crate::expiry;
use crate::forward::{ForwardService, Forwarder};
use crate::intake::Intake;
use crate::leadership::Leadership;
use crate::log::Log;
use crate::network::{Channels, Network};
use crate::options::RaftOptions;
use crate::proposer::Proposer;
use crate::reads::{Barrier, Consistency, ReadParts, Reads};
use crate::server::RaftService;
use crate::state::State;
use crate::status::{GroupStatus, Role};
use crate::types::Raft;
use crate::{ProposeError, Proposed, ReadError};

/// How often it is seen whether raft has stopped.
const LOOK_AFTER: Duration = Duration::from_millis(100);
/// The part of the lag that may go by before a node is told of a commit. Entries that come behind it tell it for nothing,
/// and nothing else does it as long; rows that change again before they are written are what the lag is for.
const TOLD_WITHIN: u32 = 10;

/// What a node keeps on disk.
#[derive(Clone)]
pub struct Stores {
    /// The log.
    pub log: Arc<RaftStore>,
    /// The state.
    pub state: Arc<StateStore>,
}

/// Why the group could not be started on this node.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Settings that do not fit together.
    #[error(
        "the raft settings do not fit together: {0}; hint: election timeouts must exceed the heartbeat interval"
    )]
    Settings(#[from] openraft::ConfigError),
    /// The stores cannot be read.
    #[error("the raft stores cannot be read: {0}")]
    Stores(#[from] io::Error),
    /// openraft refused to run.
    #[error("raft cannot run: {0}")]
    Raft(String),
}

struct Inner {
    raft: Raft,
    options: Arc<RaftOptions>,
    store: Arc<StateStore>,
    leadership: Leadership,
    intake: Intake,
    reads: Reads,
    channels: Arc<Channels>,
    state: State<StateStore>,
    withdrawn: Arc<AtomicBool>,
    stop: CancellationToken,
    stopped: CancellationToken,
}

/// This node's part in the group; cheap to clone.
#[derive(Clone)]
pub struct Group {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group")
            .field("leadership", &self.inner.leadership)
            .finish_non_exhaustive()
    }
}

impl Group {
    /// Take part in the group. Nothing is served yet: the caller serves [`Group::services`].
    pub async fn start(
        node_id: u64,
        options: RaftOptions,
        stores: Stores,
    ) -> Result<Self, StartError> {
        let config = Arc::new(options.config()?);
        let options = Arc::new(options);
        let channels = Arc::new(Channels::new(node_id, options.message_bytes_max));
        let told_within = options.apply_lag_max / TOLD_WITHIN;
        let state = State::new(stores.state.clone(), options.apply_lag_max - told_within)?;
        let network = Network {
            channels: channels.clone(),
            commit_wait_max: told_within,
        };
        let log = Log::new(stores.log, options.append_bytes_max);
        let promised = log.promised();
        let raft = Raft::new(node_id, config, network, log, state.clone())
            .await
            .map_err(|fatal| StartError::Raft(fatal.to_string()))?;

        let stop = CancellationToken::new();
        let leadership = Leadership::new(node_id, raft.server_metrics());
        let forwarder = Forwarder::new(channels.clone());
        let (queue, waiting) = mpsc::channel(options.propose_queue_max);
        let intake = Intake::new(queue, options.propose_queue_bytes_max);
        let proposer = Proposer {
            raft: raft.clone(),
            options: options.clone(),
            leadership: leadership.clone(),
            forwarder: forwarder.clone(),
            queue: waiting,
            stop: stop.clone(),
        };
        tokio::spawn(proposer.run());
        let reads = Reads::start(ReadParts {
            raft: raft.clone(),
            leadership: leadership.clone(),
            promised,
            forwarder,
            applied: state.applied_index(),
            rpc_timeout: options
                .rpc_timeout()
                .max(Duration::from_millis(options.election_timeout_min_ms)),
            stop: stop.clone(),
        });
        tokio::spawn(expiry::sweep(
            stores.state.clone(),
            leadership.clone(),
            intake.clone(),
            stop.clone(),
        ));
        let store = stores.state;
        Ok(Self {
            inner: Arc::new(Inner {
                raft,
                options,
                store,
                leadership,
                intake,
                reads,
                channels,
                state,
                withdrawn: Arc::default(),
                stop,
                stopped: CancellationToken::new(),
            }),
        })
    }

    /// Begin a new group with these members, unless this node's log says that there is one already. All
    /// members may do so, with the same members.
    pub async fn bootstrap(&self, members: BTreeMap<u64, NodeAddress>) -> Result<bool, StartError> {
        match self.inner.raft.initialize(members).await {
            Ok(()) => Ok(true),
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(false),
            Err(error) => Err(StartError::Raft(error.to_string())),
        }
    }

    /// What other nodes ask of this one.
    pub fn services(&self) -> Routes {
        let limit = self.inner.options.message_bytes_max;
        let raft = RaftService {
            raft: self.inner.raft.clone(),
            store: self.inner.store.clone(),
            applied: self.applied_index(),
            receiving: Mutex::default(),
            stopped: self.inner.stopped.clone(),
        };
        let forward = ForwardService {
            intake: self.inner.intake.clone(),
            reads: self.inner.reads.clone(),
            channels: self.inner.channels.clone(),
            stop: self.inner.stop.clone(),
        };
        let copies = CopiesService {
            node_id: self.inner.leadership.local(),
            cluster_id: self.inner.options.cluster_id.clone(),
            store: self.inner.store.clone(),
            withdrawn: self.inner.withdrawn.clone(),
        };
        let mut routes = RoutesBuilder::default();
        routes.add_service(CopiesServer::new(copies));
        routes.add_service(
            RaftServer::new(raft)
                .max_decoding_message_size(limit)
                .max_encoding_message_size(limit),
        );
        routes.add_service(
            ForwardServer::new(forward)
                .max_decoding_message_size(limit)
                .max_encoding_message_size(limit),
        );
        routes.routes()
    }

    /// Propose a command from any node, and wait until it is committed and applied where it was proposed.
    /// Where no leader is known it waits for one, until the deadline.
    pub async fn propose(
        &self,
        command: Command,
        deadline: Instant,
    ) -> Result<Proposed, ProposeError> {
        let bytes = weight(&command);
        let (waiting, stage) = self.inner.intake.take(vec![command], bytes, false)?;
        match tokio::time::timeout_at(deadline, waiting).await {
            Ok(Ok(Ok((index, mut outcomes)))) => match outcomes.pop() {
                Some(outcome) => Ok(Proposed { index, outcome }),
                None => Err(ProposeError::Unknown("the entry has no outcome".into())),
            },
            Ok(Ok(Err(error))) => Err(error),
            Ok(Err(_)) if stage.give_up() => Err(ProposeError::Stopping),
            Ok(Err(_)) => Err(ProposeError::Unknown(
                "this node stopped while the write was on its way".into(),
            )),
            Err(_) if stage.give_up() => Err(ProposeError::NoLeader {
                leader: self.inner.leadership.leader(),
            }),
            Err(_) => Err(ProposeError::Unknown(
                "the deadline passed while the write was on its way".into(),
            )),
        }
    }

    /// Wait until a read may be answered from this node's store.
    pub async fn barrier(
        &self,
        consistency: Consistency,
        deadline: Instant,
    ) -> Result<Barrier, ReadError> {
        let reads = &self.inner.reads;
        let Ok(confirmed) = tokio::time::timeout_at(deadline, reads.confirmed(consistency)).await
        else {
            // The leader may be known and gone: nobody has confirmed the read.
            let leader = self.inner.leadership.leader();
            return Err(ReadError::NoLeader { leader });
        };
        let applied = reads.applied(consistency, confirmed?);
        let applied = tokio::time::timeout_at(deadline, applied).await;
        applied.map_err(|_| ReadError::Deadline)?
    }

    /// How the group stands.
    pub fn status(&self) -> GroupStatus {
        let mut status = GroupStatus::of(&self.inner.raft.metrics().borrow_watched());
        // What raft has handed over may not be applied yet.
        let applied = self.applied_index().get();
        status.applied = status.applied.map(|handed| handed.min(applied));
        status
    }

    /// The last applied log index, as it grows.
    pub fn applied_index(&self) -> AppliedIndex {
        self.inner.state.applied_index()
    }

    /// Make a snapshot now, whatever the log's length.
    pub async fn take_snapshot(&self) -> Result<(), StartError> {
        self.inner
            .raft
            .trigger()
            .snapshot()
            .await
            .map_err(|fatal| StartError::Raft(fatal.to_string()))
    }

    /// Give leadership to another voter: to this one, or to the one that lacks least. Returns who got it,
    /// `None` where this node does not lead or nobody took it within two election timeouts.
    pub async fn transfer_leader(&self, to: Option<u64>) -> Option<u64> {
        let status = self.status();
        if status.role != Role::Leader {
            return None;
        }
        let candidates = status
            .members
            .iter()
            .filter(|member| member.voter && member.id != status.node_id);
        let best = candidates
            .filter(|member| member.matched.is_some())
            .max_by_key(|member| member.matched);
        let to = to.or_else(|| best.map(|member| member.id))?;
        self.inner.raft.trigger().transfer_leader(to).await.ok()?;
        let patience = Duration::from_millis(2 * self.inner.options.election_timeout_max_ms);
        let taken = async {
            let mut metrics = self.inner.raft.metrics();
            let taken = metrics
                .wait_until(|metrics| metrics.current_leader == Some(to))
                .await;
            taken.is_ok().then_some(to)
        };
        tokio::time::timeout(patience, taken).await.ok().flatten()
    }

    /// Stop: hand leadership over where this node has it, answer what waits, and end.
    pub async fn stop(&self) {
        if let Some(to) = self.transfer_leader(None).await {
            tracing::info!(to, "leadership was handed over");
        }
        self.inner.stop.cancel();
        if let Err(error) = self.inner.raft.shutdown().await {
            tracing::warn!(%error, "raft did not stop cleanly");
        }
        if let Err(error) = self.inner.state.settle().await {
            tracing::warn!(%error, "the last entries are applied at the next start");
        }
        self.inner.stopped.cancel();
    }

    /// This node's own data is wrong: let nobody copy it, and lead no more. It goes on voting, and keeps entries, which
    /// are checked by themselves.
    pub async fn withdraw(&self) {
        self.inner.withdrawn.store(true, Ordering::Release);
        if let Some(to) = self.transfer_leader(None).await {
            tracing::info!(to, "leadership was handed over");
        }
    }

    /// Returns when raft has stopped by itself, with the reason: the node cannot go on. It looks now and then: to be
    /// told of all that changes would wake it with every entry.
    pub async fn failed(&self) -> String {
        let metrics = self.inner.raft.metrics();
        let mut rarely = self.inner.raft.server_metrics();
        let mut ended = false;
        loop {
            if let Err(fatal) = &metrics.borrow_watched().running_state {
                return fatal.to_string();
            }
            if let Some(failure) = self.inner.state.failure() {
                return failure.to_owned();
            }
            if ended {
                return "raft has ended".to_owned();
            }
            let change = tokio::time::timeout(LOOK_AFTER, rarely.changed()).await;
            ended = matches!(change, Ok(Err(_)));
        }
    }
}

/// What a call's names and digests weigh, about.
const CALL_BYTES: usize = 192;

/// Bytes that a command weighs in the queue, about.
fn weight(command: &Command) -> usize {
    use snakepit_machine::Body;
    let value =
        |value: &snakepit_machine::Value| usize::try_from(value.size_bytes()).unwrap_or(usize::MAX);
    let texts = |map: &BTreeMap<String, String>| {
        map.iter()
            .map(|(key, value)| key.len() + value.len())
            .sum::<usize>()
    };
    64 + match &command.body {
        Body::CreateSession(body) => texts(&body.metadata),
        Body::RegisterVariable(body) => {
            value(&body.value)
                + texts(&body.metadata)
                + body.constraints_json.len()
                + body.access_json.len()
        }
        Body::SetVariables(body) => {
            let updates = body.updates.iter();
            updates
                .map(|update| update.identifier.len() + update.value.as_ref().map_or(0, value))
                .sum::<usize>()
                + texts(&body.metadata)
        }
        Body::RollbackVariable(body) => value(&body.value) + texts(&body.metadata),
        Body::SetAccess(body) => body.access_json.len(),
        Body::StartOptimization(body) => texts(&body.config),
        Body::PutProgram(body) => value(&body.value) + texts(&body.metadata),
        Body::RegisterTools(body) => {
            let tools = body.tools.iter();
            tools.map(|(name, spec)| name.len() + spec.len()).sum()
        }
        Body::ImportSession(body) => {
            let variables = body.variables.iter().map(|(name, variable)| {
                name.len()
                    + value(&variable.value)
                    + texts(&variable.metadata)
                    + texts(&variable.depends_on)
                    + variable.constraints_json.len()
                    + variable.access_json.len()
            });
            let programs = body
                .programs
                .iter()
                .map(|(id, program)| id.len() + value(&program.value) + texts(&program.metadata));
            variables.sum::<usize>() + programs.sum::<usize>() + texts(&body.metadata)
        }
        Body::PutPool(body) => body.definition_json.len(),
        Body::StartCall(body) => body.arguments.len() + CALL_BYTES,
        Body::EndCall(body) => body.result.len() + CALL_BYTES,
        Body::PutChunks(body) => body.chunks.iter().map(|chunk| chunk.len() + 8).sum(),
        Body::RecordCalls(body) => body.calls.len() * 2 * CALL_BYTES,
        Body::ArchiveEvents(_)
        | Body::PutSubject(_)
        | Body::EraseSubject(_)
        | Body::RemovePool(_)
        | Body::BindWorker(_)
        | Body::UnbindWorker(_)
        | Body::DeleteSession(_)
        | Body::TouchSession(_)
        | Body::ExpireSession(_)
        | Body::DeleteVariable(_)
        | Body::AddDependency(_)
        | Body::RemoveDependency(_)
        | Body::StopOptimization(_)
        | Body::DeleteProgram(_)
        | Body::ExpireProgram(_) => 0,
    }
}
