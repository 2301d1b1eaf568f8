//! The other nodes' workers: which tools they offer, how busy they are, and calls sent there.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use snakepit_proto::bridge::{ExecuteToolResponse, ToolChunk, ToolSpec};
use snakepit_proto::headers;
use snakepit_proto::peer::calls_client::CallsClient;
use snakepit_proto::peer::keys_client::KeysClient;
use snakepit_proto::peer::{
    CallStateRequest, CapacityRequest, CapacityResponse, DropKeyRequest, GetKeyRequest,
    PoolCapacity, PutKeyRequest, RoutedCall, WorkerCapacity,
};
use snakepit_proto::transport::{WholeRequests, never_begun};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::config::Settings;
use crate::keys::KeyId;
use crate::pool::{ANY_TOOL, Affinity, Journal, Load};

/// Time between two looks at a peer.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Time that a peer has to answer a look; without one it gets no calls.
const LOOK_TIMEOUT: Duration = Duration::from_millis(500);
/// Time that a peer has to answer about a key.
const KEY_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a peer is asked whether a destroyed key is gone, and the time between.
const DROP_TRIES: u32 = 20;
const DROP_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// Idle time after which a peer is pinged, and its time to answer.
const PING: Duration = Duration::from_secs(2);

/// Whether a worker has calls in all of its slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Busy {
    /// It had a free one when its node last spoke.
    No,
    /// It had none then.
    Perhaps,
    /// It has calls of this node.
    Yes,
}

#[derive(Debug)]
struct Peer {
    client: CallsClient<WholeRequests<Channel>>,
    keys: KeysClient<Channel>,
    /// What it last said of itself; nothing where it does not answer.
    seen: Mutex<Option<CapacityResponse>>,
    /// Calls sent there since it last spoke, and not answered.
    sent: AtomicU32,
    /// Calls sent there for one worker, and not answered, by the worker.
    wanted: Mutex<HashMap<String, u32>>,
    /// How often it has spoken.
    looks: AtomicU64,
}

/// A call that was sent to a peer. When it ends its slot is free again, without waiting for the next look.
#[derive(Debug)]
struct Sent {
    peer: Arc<Peer>,
    pool: String,
    /// The one that it was sent for; empty: any.
    worker: String,
    look: u64,
}

impl Sent {
    fn to(peer: &Arc<Peer>, call: &RoutedCall) -> Self {
        let look = peer.looks.load(Ordering::Relaxed);
        peer.sent.fetch_add(1, Ordering::Relaxed);
        if !call.worker.is_empty() {
            *peer.wanted().entry(call.worker.clone()).or_default() += 1;
        }
        Self {
            peer: peer.clone(),
            pool: call.pool.clone(),
            worker: call.worker.clone(),
            look,
        }
    }

    /// It is not wanted there any more.
    fn forget_wanted(&self) {
        if self.worker.is_empty() {
            return;
        }
        let mut wanted = self.peer.wanted();
        if let Some(count) = wanted.get_mut(&self.worker) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                wanted.remove(&self.worker);
            }
        }
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        self.forget_wanted();
        let mut seen = self.peer.seen();
        if self.peer.looks.load(Ordering::Relaxed) == self.look {
            let less = |sent: u32| sent.checked_sub(1);
            let _ = self
                .peer
                .sent
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        } else if let Some(pool) = seen
            .as_mut()
            .and_then(|seen| seen.pools.iter_mut().find(|pool| pool.name == self.pool))
        {
            // What it said last was said while it had the call.
            pool.free = (pool.free + 1).min(pool.slots);
            let ran = |worker: &&mut WorkerCapacity| worker.id == self.worker;
            if let Some(worker) = pool.workers.iter_mut().find(ran) {
                worker.free = (worker.free + 1).min(worker.slots);
            }
        }
    }
}

impl Peer {
    fn seen(&self) -> std::sync::MutexGuard<'_, Option<CapacityResponse>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wanted(&self) -> std::sync::MutexGuard<'_, HashMap<String, u32>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How busy each of its pools is that offers a tool, less what was sent there since it spoke.
    fn loads(&self, node: u64, tool: &str) -> Vec<Load> {
        let sent = self.sent.load(Ordering::Relaxed);
        let seen = self.seen();
        let pools = seen.as_ref().map_or(&[][..], |seen| &seen.pools);
        let offering = pools.iter().filter(|pool| {
            let named = |name: &str| pool.tools.iter().any(|spec| spec.name == name);
            named(tool) || named(ANY_TOOL)
        });
        offering
            .map(|pool| Load {
                node,
                pool: pool.name.clone(),
                exact: pool.tools.iter().any(|spec| spec.name == tool),
                slots: pool.slots,
                free: pool.free.saturating_sub(sent),
                waiting: pool.queued + sent.saturating_sub(pool.free),
                circuit_open: pool.circuits_open.iter().any(|open| open == tool),
            })
            .collect()
    }
}

/// The other nodes; cheap to clone.
#[derive(Clone, Debug)]
pub struct Peers {
    cluster_id: Arc<str>,
    peers: Arc<BTreeMap<u64, Arc<Peer>>>,
    /// One of them has said how busy it is.
    spoken: Arc<Notify>,
}

impl Peers {
    /// Know the other members, and look at them until `stop`.
    pub fn start(settings: &Settings, stop: &CancellationToken) -> Self {
        let limit = settings.limits.message_bytes_max;
        let others = settings
            .members
            .iter()
            .filter(|member| member.id != settings.node.id);
        let peers: BTreeMap<u64, Arc<Peer>> = others
            .filter_map(|member| {
                let endpoint = Endpoint::from_shared(format!("http://{}", member.peer)).ok()?;
                let channel = endpoint
                    .tcp_nodelay(true)
                    .connect_timeout(LOOK_TIMEOUT)
                    .http2_keep_alive_interval(PING)
                    .keep_alive_timeout(PING)
                    .keep_alive_while_idle(true)
                    .connect_lazy();
                let keys = KeysClient::new(channel.clone());
                let client = CallsClient::new(WholeRequests(channel))
                    .max_decoding_message_size(limit)
                    .max_encoding_message_size(limit);
                let peer = Peer {
                    client,
                    keys,
                    seen: Mutex::default(),
                    sent: AtomicU32::new(0),
                    wanted: Mutex::default(),
                    looks: AtomicU64::new(0),
                };
                Some((member.id, Arc::new(peer)))
            })
            .collect();
        let spoken = Arc::new(Notify::new());
        for peer in peers.values() {
            let looks = look(peer.clone(), spoken.clone());
            tokio::spawn(stop.clone().run_until_cancelled_owned(looks));
        }
        Self {
            cluster_id: settings.node.cluster_id.as_str().into(),
            peers: Arc::new(peers),
            spoken,
        }
    }

    /// Wait until one of them has said how busy it is.
    pub async fn has_spoken(&self) {
        self.spoken.notified().await;
    }

    /// Free slots of a pool on the other nodes, less what was sent there since they spoke.
    pub fn room(&self, pool: &str) -> usize {
        let of = |peer: &Arc<Peer>| {
            let seen = peer.seen();
            let mut pools = seen.iter().flat_map(|seen| &seen.pools);
            let found = pools.find(|known| known.name == pool && known.queued == 0);
            let sent = peer.sent.load(Ordering::Relaxed);
            found.map_or(0, |known| known.free.saturating_sub(sent) as usize)
        };
        self.peers.values().map(of).sum()
    }

    /// The tools that the others offer.
    pub fn tools(&self) -> Vec<(u64, ToolSpec)> {
        let mut tools = Vec::new();
        for (id, peer) in &*self.peers {
            if let Some(seen) = &*peer.seen() {
                let specs = seen.pools.iter().flat_map(|pool| &pool.tools);
                tools.extend(specs.map(|spec| (*id, spec.clone())));
            }
        }
        tools
    }

    /// How busy the others' pools are that offer a tool.
    pub fn loads(&self, tool: &str) -> Vec<Load> {
        let loads = |(id, peer): (&u64, &Arc<Peer>)| peer.loads(*id, tool);
        self.peers.iter().flat_map(loads).collect()
    }

    /// Which worker a session's calls go to in a pool, as the first of its nodes says.
    pub fn affinity(&self, pool: &str) -> Option<Affinity> {
        self.peers.values().find_map(|peer| {
            let seen = peer.seen();
            let known = seen
                .as_ref()?
                .pools
                .iter()
                .find(|known| known.name == pool)?;
            Affinity::named(&known.affinity)
        })
    }

    /// What the log keeps of a tool's calls, as the first pool that offers it says.
    pub fn journal(&self, tool: &str, named: &str) -> Option<Journal> {
        self.peers.values().find_map(|peer| {
            let seen = peer.seen();
            let offers = |pool: &&PoolCapacity| {
                let fits = |spec: &ToolSpec| spec.name == tool || spec.name == ANY_TOOL;
                (named.is_empty() || pool.name == named) && pool.tools.iter().any(fits)
            };
            let known = seen.as_ref()?.pools.iter().find(offers)?;
            Journal::named(&known.journal)
        })
    }

    /// The version that a tool's author gave it: in the pool that is named, else in any.
    pub fn tool_version(&self, tool: &str, named: &str) -> Option<String> {
        self.peers.values().find_map(|peer| {
            let seen = peer.seen();
            let pools = seen.as_ref()?.pools.iter();
            let pools = pools.filter(|pool| named.is_empty() || pool.name == named);
            let mut specs = pools.flat_map(|pool| &pool.tools);
            let spec = specs.find(|spec| spec.name == tool)?;
            spec.metadata.get("version").cloned()
        })
    }

    /// Whether a tool's author says that it may run twice.
    pub fn marked_idempotent(&self, tool: &str) -> bool {
        self.tools().iter().any(|(_, spec)| {
            let mark = spec.metadata.get("idempotent");
            spec.name == tool && mark.is_some_and(|mark| mark == "true")
        })
    }

    /// The workers of a pool on the other nodes, each with its node.
    pub fn workers(&self, pool: &str) -> Vec<(u64, String, Busy)> {
        let mut workers = Vec::new();
        for (id, peer) in &*self.peers {
            let wanted = peer.wanted().clone();
            let seen = peer.seen();
            let pools = seen.iter().flat_map(|seen| &seen.pools);
            let of_pool = pools.filter(|known| known.name == pool);
            let busy = |worker: &WorkerCapacity| {
                let sent = wanted.get(&worker.id).copied().unwrap_or_default();
                if sent >= worker.slots.max(1) {
                    Busy::Yes
                } else if worker.free > 0 {
                    Busy::No
                } else {
                    Busy::Perhaps
                }
            };
            workers.extend(
                of_pool
                    .flat_map(|pool| &pool.workers)
                    .map(|worker| (*id, worker.id.clone(), busy(worker))),
            );
        }
        workers
    }

    /// A pool of a node has sent a call back: it has nothing free, whatever the node said last.
    pub fn note_full(&self, node: u64, pool: &str) {
        let Some(peer) = self.peers.get(&node) else {
            return;
        };
        let mut seen = peer.seen();
        let pools = seen.iter_mut().flat_map(|seen| &mut seen.pools);
        for known in pools.filter(|known| known.name == pool) {
            known.free = 0;
        }
    }

    /// A worker is gone, whatever its node said last.
    pub fn forget_worker(&self, node: u64, pool: &str, worker: &str) {
        let Some(peer) = self.peers.get(&node) else {
            return;
        };
        let mut seen = peer.seen();
        let pools = seen.iter_mut().flat_map(|seen| &mut seen.pools);
        for known in pools.filter(|known| known.name == pool) {
            known.workers.retain(|known| known.id != worker);
        }
    }

    /// Whether a node answers.
    pub fn reaches(&self, node: u64) -> bool {
        self.peers
            .get(&node)
            .is_some_and(|peer| peer.seen().is_some())
    }

    /// Whether a node still has a call; None where it does not answer.
    pub async fn has_call(&self, node: u64, call_id: &str) -> Option<bool> {
        let mut client = self.peers.get(&node)?.client.clone();
        let request = CallStateRequest {
            call_id: call_id.to_owned(),
        };
        let state = tokio::time::timeout(LOOK_TIMEOUT, client.call_state(request)).await;
        Some(state.ok()?.ok()?.into_inner().known)
    }

    /// Have a node keep the key of a subject.
    pub async fn put_key(&self, id: u64, key: &[u8]) -> Result<(), Status> {
        let request = PutKeyRequest {
            cluster_id: self.cluster_id.to_string(),
            key: bytes::Bytes::copy_from_slice(key),
        };
        let mut keys = self.peer(id)?.keys.clone();
        timely(keys.put_key(request)).await.map(drop)
    }

    /// Get the key of a subject from a node; `None` where it does not have it.
    pub async fn get_key(&self, id: u64, key_id: &KeyId) -> Result<Option<Vec<u8>>, Status> {
        let request = GetKeyRequest {
            cluster_id: self.cluster_id.to_string(),
            key_id: key_id.to_string(),
        };
        let mut keys = self.peer(id)?.keys.clone();
        let key = timely(keys.get_key(request)).await?.key;
        Ok((!key.is_empty()).then(|| key.to_vec()))
    }

    /// Whether a node says that a key which the log has destroyed is gone there.
    pub async fn drop_key(&self, id: u64, key_id: &KeyId) -> bool {
        let Ok(peer) = self.peer(id) else {
            return false;
        };
        for _ in 0..DROP_TRIES {
            let request = DropKeyRequest {
                cluster_id: self.cluster_id.to_string(),
                key_id: key_id.to_string(),
            };
            let mut keys = peer.keys.clone();
            match timely(keys.drop_key(request)).await {
                Ok(dropped) if dropped.gone => return true,
                // It lags a little.
                Ok(_) => tokio::time::sleep(DROP_AGAIN_AFTER).await,
                Err(_) => return false,
            }
        }
        false
    }

    fn peer(&self, id: u64) -> Result<&Arc<Peer>, Status> {
        self.peers
            .get(&id)
            .ok_or_else(|| Status::unavailable(format!("node {id} is not known; hint: retry")))
    }

    /// Run a call on another node.
    pub async fn execute(&self, id: u64, call: RoutedCall) -> Result<ExecuteToolResponse, Status> {
        let peer = self.peer(id)?;
        let _sent = Sent::to(peer, &call);
        let done = peer.client.clone().execute(call).await;
        done.map(tonic::Response::into_inner)
            .map_err(|status| lost(id, status))
    }

    /// Run a streaming call on another node.
    pub async fn execute_stream(
        &self,
        id: u64,
        call: RoutedCall,
    ) -> Result<impl Stream<Item = Result<ToolChunk, Status>> + Send + 'static + use<>, Status>
    {
        let peer = self.peer(id)?;
        let sent = Sent::to(peer, &call);
        let chunks = peer
            .client
            .clone()
            .execute_stream(call)
            .await
            .map_err(|status| lost(id, status))?;
        Ok(chunks.into_inner().map(move |chunk| {
            let _sent = &sent;
            chunk.map_err(|status| lost(id, status))
        }))
    }
}

async fn timely<T>(
    answer: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, Status> {
    let answered = tokio::time::timeout(KEY_TIMEOUT, answer).await;
    answered
        .map_err(|_| Status::deadline_exceeded("the node does not answer"))?
        .map(tonic::Response::into_inner)
}

async fn look(peer: Arc<Peer>, spoken: Arc<Notify>) {
    loop {
        let mut client = peer.client.clone();
        let seen = tokio::time::timeout(LOOK_TIMEOUT, client.capacity(CapacityRequest {})).await;
        {
            let mut held = peer.seen();
            peer.looks.fetch_add(1, Ordering::Relaxed);
            peer.sent.store(0, Ordering::Relaxed);
            *held = seen
                .ok()
                .and_then(Result::ok)
                .map(tonic::Response::into_inner);
        }
        spoken.notify_one();
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// A status of a peer's own goes to the caller as it is. One that the connection made is another matter:
/// the call may be running there, unless there was none.
fn lost(id: u64, status: Status) -> Status {
    if status.metadata().contains_key(headers::ERROR_KIND) || status.code() == Code::Unimplemented {
        return status;
    }
    if never_begun(&status) {
        let mut silent = Status::unavailable(format!(
            "node {id} cannot be reached: {}; hint: not done, retry",
            status.message()
        ));
        super::status::mark(&mut silent, "unavailable", false);
        return silent;
    }
    let mut lost = Status::unknown(format!(
        "the connection to node {id} broke while it had the call: {}; it may be done; hint: retry only if running it twice does no harm",
        status.message()
    ));
    super::status::mark(&mut lost, "unknown", true);
    lost
}
