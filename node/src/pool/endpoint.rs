//! Where workers dial in: checks who they are, then carries messages both ways.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::{Stream, StreamExt as _};
use snakepit_proto::worker as wire;
use snakepit_proto::worker::from_worker::Message as From;
use snakepit_proto::worker::worker_service_server::WorkerService;
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};

use super::link::{Link, Outgoing};
use super::pool::Pool;
use super::settings::PoolSettings;
use super::state::{About, WorkerKey};

/// The version of the worker protocol.
pub const PROTOCOL: u32 = 1;
/// How long a connection may be silent before its hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections of one worker that its supervisor has not looked at yet.
const LINKS_MAX: usize = 4;

/// A worker that was started: it may say hello, and dial again where its stream breaks.
pub(super) struct Expected {
    token: String,
    pool: Arc<Pool>,
    tainted_until: Option<Instant>,
    links: mpsc::Sender<Arc<Link>>,
    /// The key of its connections, once it has said hello.
    key: Option<WorkerKey>,
}

impl Expected {
    /// With a new token, and where its connection will be told.
    pub(super) fn new(
        pool: Arc<Pool>,
        tainted_until: Option<Instant>,
    ) -> (Self, String, mpsc::Receiver<Arc<Link>>) {
        let token = format!(
            "{:032x}{:032x}",
            rand::random::<u128>(),
            rand::random::<u128>()
        );
        let (links, connected) = mpsc::channel(LINKS_MAX);
        (
            Self {
                token: token.clone(),
                pool,
                tainted_until,
                links,
                key: None,
            },
            token,
            connected,
        )
    }
}

/// The workers that were started, all pools together. Bounded by the pools' sizes.
pub(super) struct Registry {
    socket: PathBuf,
    node_id: u64,
    expected: Mutex<HashMap<String, Expected>>,
}

/// What a worker that may come in is told.
struct Admission {
    pool: Arc<Pool>,
    link: Arc<Link>,
    links: mpsc::Sender<Arc<Link>>,
    tainted_until: Option<Instant>,
}

impl Registry {
    pub(super) fn new(socket: PathBuf, node_id: u64) -> Self {
        Self {
            socket,
            node_id,
            expected: Mutex::default(),
        }
    }

    /// Where the workers dial.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    pub(super) fn node_id(&self) -> u64 {
        self.node_id
    }

    /// Let a worker in, until it is forgotten.
    pub(super) fn expect(&self, worker_id: &str, expected: Expected) {
        self.expected().insert(worker_id.to_owned(), expected);
    }

    /// Let a worker in no more.
    pub(super) fn forget(&self, worker_id: &str) {
        self.expected().remove(worker_id);
    }

    fn expected(&self) -> MutexGuard<'_, HashMap<String, Expected>> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker that brings its token: for the first time, or `again` after its stream broke.
    fn admit(&self, worker_id: &str, token: &str, again: bool) -> Option<Admission> {
        let mut all = self.expected();
        let known = all.get_mut(worker_id)?;
        if !same(known.token.as_bytes(), token.as_bytes()) || again != known.key.is_some() {
            return None;
        }
        let key = *known.key.get_or_insert_with(|| known.pool.number());
        Some(Admission {
            pool: known.pool.clone(),
            link: Arc::new(Link::new(key)),
            links: known.links.clone(),
            tainted_until: known.tainted_until,
        })
    }
}

/// Compares in a time that depends on the lengths only.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len()
        && one
            .iter()
            .zip(other)
            .fold(0, |difference, (a, b)| difference | (a ^ b))
            == 0
}

/// The worker service, for the server on the node's Unix socket.
#[derive(Clone)]
pub struct WorkerEndpoint {
    pub(super) registry: Arc<Registry>,
}

#[tonic::async_trait]
impl WorkerService for WorkerEndpoint {
    type ConnectStream = Outgoing;

    async fn connect(
        &self,
        request: Request<Streaming<wire::FromWorker>>,
    ) -> Result<Response<Outgoing>, Status> {
        let mut incoming = request.into_inner();
        let hello = hello(&mut incoming).await?;
        let (pool, link, outgoing) = self.registry.let_in(hello)?;
        tokio::spawn(read(incoming, pool, link, true));
        Ok(Response::new(outgoing))
    }
}

impl Registry {
    /// Let a worker in that has said hello, whatever its stream is made of.
    pub(super) fn let_in(
        &self,
        hello: wire::Hello,
    ) -> Result<(Arc<Pool>, Arc<Link>, Outgoing), Status> {
        let admission = self
            .admit(&hello.worker_id, &hello.token, hello.again)
            .ok_or_else(|| {
                Status::permission_denied(
                    "no such worker is expected; hint: only the node starts workers, others offer tools on its address for clients",
                )
            })?;
        let (pool, link) = (admission.pool, admission.link);
        let settings = pool.settings();
        let welcome = welcome(&settings, self.node_id());
        if admission.links.try_send(link.clone()).is_err() {
            return Err(Status::unavailable("the worker is no longer wanted"));
        }
        if hello.again {
            if !pool.rejoin(&link, &hello.held) {
                return Err(Status::unavailable("the worker is no longer wanted"));
            }
        } else {
            let about = about(&hello, &settings);
            pool.join(
                &link,
                &hello.worker_id,
                hello.tools,
                about,
                admission.tainted_until,
            );
        }
        let outgoing = Outgoing::new(pool.clone(), link.clone(), welcome);
        Ok((pool, link, outgoing))
    }
}

pub(super) fn welcome(settings: &PoolSettings, node_id: u64) -> wire::Welcome {
    wire::Welcome {
        node_id,
        pool: settings.name.clone(),
        heartbeat_interval_ms: u32::try_from(settings.heartbeat_interval_ms).unwrap_or(u32::MAX),
        chunk_credits: settings.chunk_credits,
        message_bytes_max: settings.message_bytes_max as u64,
    }
}

/// What a hello says, within what the pool allows.
pub(super) fn about(hello: &wire::Hello, settings: &PoolSettings) -> About {
    let slots = hello.slots.clamp(1, settings.slots);
    let credits = hello.credits.clamp(slots, settings.credits().max(slots));
    About {
        slots: slots as usize,
        credits: credits as usize,
        python_version: hello.python_version.clone(),
        gil: hello.gil,
        principal: String::new(),
        tools: hello.tools.iter().map(|tool| tool.name.clone()).collect(),
    }
}

/// The first message of a stream, which must be a hello.
pub(super) async fn hello(
    incoming: &mut (impl Stream<Item = Result<wire::FromWorker, Status>> + Unpin),
) -> Result<wire::Hello, Status> {
    let first = tokio::time::timeout(HELLO_TIMEOUT, incoming.next())
        .await
        .map_err(|_| Status::deadline_exceeded("no hello came"))?
        .transpose()?;
    let Some(wire::FromWorker {
        message: Some(From::Hello(hello)),
    }) = first
    else {
        return Err(Status::invalid_argument(
            "the first message must be a hello",
        ));
    };
    if hello.protocol != PROTOCOL {
        return Err(Status::failed_precondition(format!(
            "the worker speaks protocol {}, the node {PROTOCOL}; hint: install the package of the node's version",
            hello.protocol
        )));
    }
    Ok(hello)
}

/// Carry what the worker sends, to the end of its stream. Ends with the worker, or when the node kills it.
/// One that may come back keeps its calls for a while.
pub(super) async fn read(
    mut incoming: impl Stream<Item = Result<wire::FromWorker, Status>> + Unpin,
    pool: Arc<Pool>,
    link: Arc<Link>,
    may_come_back: bool,
) {
    let worker = link.key;
    while let Some(Ok(message)) = incoming.next().await {
        pool.meters.messages_in.increment(1);
        match message.message {
            Some(From::Results(results)) => {
                if !results.chunks.is_empty() && !pool.chunks(worker, results.chunks) {
                    tracing::error!(
                        pool = pool.name(),
                        "a worker sent chunks beyond its credits"
                    );
                    link.kill("killed");
                    break;
                }
                if !results.results.is_empty() {
                    pool.results(worker, results.results);
                }
            }
            Some(From::Heartbeat(beat)) => {
                pool.heard(worker, beat.rss_bytes);
                let ack = wire::HeartbeatAck {
                    number: beat.number,
                };
                pool.send(&link, wire::to_worker::Message::HeartbeatAck(ack));
            }
            Some(From::Goodbye(wire::Goodbye {})) => {
                link.set_drained();
                break;
            }
            Some(From::Telemetry(telemetry)) => {
                pool.telemetry(worker, telemetry);
            }
            Some(From::Hello(_)) | None => {
                tracing::warn!(pool = pool.name(), "a worker sent what is not known here");
            }
        }
    }
    if may_come_back && !link.drained() {
        pool.suspend(&link);
    } else {
        pool.leave(worker, link.drained());
    }
    link.closed.cancel();
    link.wake();
}
