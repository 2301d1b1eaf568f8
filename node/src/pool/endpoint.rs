//! Where workers dial in: checks who they are, then carries messages both ways.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use snakepit_proto::worker as wire;
use snakepit_proto::worker::from_worker::Message as From;
use snakepit_proto::worker::worker_service_server::WorkerService;
use tokio::sync::oneshot;
use tonic::{Request, Response, Status, Streaming};

use super::link::{Link, Outgoing};
use super::pool::Pool;

/// The version of the worker protocol.
pub const PROTOCOL: u32 = 1;
/// How long a connection may be silent before its hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// A worker that was started and has not said hello.
pub(super) struct Expected {
    token: String,
    pool: Arc<Pool>,
    hello: oneshot::Sender<Arc<Link>>,
}

impl Expected {
    /// With a new token, and where its connection will be told.
    pub(super) fn new(pool: Arc<Pool>) -> (Self, String, oneshot::Receiver<Arc<Link>>) {
        let token = format!(
            "{:032x}{:032x}",
            rand::random::<u128>(),
            rand::random::<u128>()
        );
        let (hello, connected) = oneshot::channel();
        (
            Self {
                token: token.clone(),
                pool,
                hello,
            },
            token,
            connected,
        )
    }
}

/// The workers that are expected, all pools together. Bounded by the pools' sizes.
pub(super) struct Registry {
    socket: PathBuf,
    node_id: u64,
    expected: Mutex<HashMap<String, Expected>>,
}

/// Ends an expectation when it is dropped.
pub(super) struct Expectation<'a> {
    registry: &'a Registry,
    worker_id: String,
}

impl Drop for Expectation<'_> {
    fn drop(&mut self) {
        self.registry.expected().remove(&self.worker_id);
    }
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

    /// Let a worker in, once.
    pub(super) fn expect(&self, worker_id: &str, expected: Expected) -> Expectation<'_> {
        self.expected().insert(worker_id.to_owned(), expected);
        Expectation {
            registry: self,
            worker_id: worker_id.to_owned(),
        }
    }

    fn expected(&self) -> MutexGuard<'_, HashMap<String, Expected>> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, worker_id: &str, token: &str) -> Option<Expected> {
        let mut all = self.expected();
        let known = all.get(worker_id)?;
        if same(known.token.as_bytes(), token.as_bytes()) {
            all.remove(worker_id)
        } else {
            None
        }
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
        let expected = self
            .registry
            .take(&hello.worker_id, &hello.token)
            .ok_or_else(|| {
                Status::permission_denied(
                    "no such worker is expected; hint: only the node starts workers",
                )
            })?;
        let pool = expected.pool;
        let link = Arc::new(Link::new(pool.number()));
        let settings = &pool.settings;
        let slots = hello.slots.clamp(1, settings.slots);
        let credits = hello.credits.clamp(slots, settings.credits().max(slots));
        let welcome = wire::Welcome {
            node_id: self.registry.node_id,
            pool: settings.name.clone(),
            heartbeat_interval_ms: u32::try_from(settings.heartbeat_interval_ms)
                .unwrap_or(u32::MAX),
            chunk_credits: settings.chunk_credits,
            message_bytes_max: settings.message_bytes_max as u64,
        };
        if expected.hello.send(link.clone()).is_err() {
            return Err(Status::unavailable("the worker is no longer wanted"));
        }
        pool.join(
            &link,
            &hello.worker_id,
            hello.tools,
            slots as usize,
            credits as usize,
        );
        let outgoing = Outgoing::new(pool.clone(), link.clone(), welcome);
        tokio::spawn(read(incoming, pool, link));
        Ok(Response::new(outgoing))
    }
}

async fn hello(incoming: &mut Streaming<wire::FromWorker>) -> Result<wire::Hello, Status> {
    let first = tokio::time::timeout(HELLO_TIMEOUT, incoming.message())
        .await
        .map_err(|_| Status::deadline_exceeded("no hello came"))??;
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
async fn read(mut incoming: Streaming<wire::FromWorker>, pool: Arc<Pool>, link: Arc<Link>) {
    let worker = link.key;
    while let Ok(Some(message)) = incoming.message().await {
        pool.meters.messages_in.increment(1);
        match message.message {
            Some(From::Results(results)) => {
                if !results.chunks.is_empty() && !pool.chunks(worker, results.chunks) {
                    tracing::error!(
                        pool = pool.settings.name,
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
                pool.heard(worker);
                let ack = wire::HeartbeatAck {
                    number: beat.number,
                };
                pool.send(&link, wire::to_worker::Message::HeartbeatAck(ack));
            }
            Some(From::Goodbye(wire::Goodbye {})) => {
                link.set_drained();
                break;
            }
            Some(From::Hello(_)) | None => {
                tracing::warn!(
                    pool = pool.settings.name,
                    "a worker sent what is not known here"
                );
            }
        }
    }
    pool.leave(worker, link.drained());
    link.closed.cancel();
    link.wake();
}
