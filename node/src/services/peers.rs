//! The other nodes' workers: which tools they offer, how busy they are, and calls sent there.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use snakepit_proto::bridge::{ExecuteToolResponse, ToolChunk, ToolSpec};
use snakepit_proto::headers;
use snakepit_proto::peer::calls_client::CallsClient;
use snakepit_proto::peer::{CapacityRequest, CapacityResponse, RoutedCall};
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::config::Settings;
use crate::pool::ANY_TOOL;

/// Time between two looks at a peer.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Time that a peer has to answer a look; without one it gets no calls.
const LOOK_TIMEOUT: Duration = Duration::from_millis(500);
/// Idle time after which a peer is pinged, and its time to answer.
const PING: Duration = Duration::from_secs(2);

#[derive(Debug)]
struct Peer {
    client: CallsClient<Channel>,
    /// What it last said of itself; nothing where it does not answer.
    seen: Mutex<Option<CapacityResponse>>,
    /// Calls sent there since it last spoke, and not answered.
    sent: AtomicU32,
    /// How often it has spoken.
    looks: AtomicU64,
}

/// A call that was sent to a peer. When it ends its slot is free again, without waiting for the next look.
#[derive(Debug)]
struct Sent {
    peer: Arc<Peer>,
    look: u64,
}

impl Sent {
    fn to(peer: &Arc<Peer>) -> Self {
        let look = peer.looks.load(Ordering::Relaxed);
        peer.sent.fetch_add(1, Ordering::Relaxed);
        Self {
            peer: peer.clone(),
            look,
        }
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        let mut seen = self.peer.seen();
        if self.peer.looks.load(Ordering::Relaxed) == self.look {
            let less = |sent: u32| sent.checked_sub(1);
            let _ = self
                .peer
                .sent
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        } else if let Some(seen) = &mut *seen {
            // What it said last was said while it had the call.
            seen.free = (seen.free + 1).min(seen.slots);
        }
    }
}

impl Peer {
    fn seen(&self) -> std::sync::MutexGuard<'_, Option<CapacityResponse>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Slots thought to be free for a tool; `None` where the peer does not offer it.
    fn free(&self, tool: &str) -> Option<u32> {
        let seen = self.seen();
        let seen = seen.as_ref().filter(|seen| {
            seen.tools
                .iter()
                .any(|spec| spec.name == tool || spec.name == ANY_TOOL)
        })?;
        Some(seen.free.saturating_sub(self.sent.load(Ordering::Relaxed)))
    }
}

/// The other nodes; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    peers: Arc<BTreeMap<u64, Arc<Peer>>>,
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
                let client = CallsClient::new(channel)
                    .max_decoding_message_size(limit)
                    .max_encoding_message_size(limit);
                let peer = Peer {
                    client,
                    seen: Mutex::default(),
                    sent: AtomicU32::new(0),
                    looks: AtomicU64::new(0),
                };
                Some((member.id, Arc::new(peer)))
            })
            .collect();
        for peer in peers.values() {
            tokio::spawn(stop.clone().run_until_cancelled_owned(look(peer.clone())));
        }
        Self {
            peers: Arc::new(peers),
        }
    }

    /// The tools that the others offer.
    pub fn tools(&self) -> Vec<(u64, ToolSpec)> {
        let mut tools = Vec::new();
        for (id, peer) in &*self.peers {
            if let Some(seen) = &*peer.seen() {
                tools.extend(seen.tools.iter().map(|spec| (*id, spec.clone())));
            }
        }
        tools
    }

    /// The node with most free slots for a tool; where `only_free`, one with any.
    pub fn freest(&self, tool: &str, only_free: bool) -> Option<u64> {
        let offers = self
            .peers
            .iter()
            .filter_map(|(id, peer)| Some((*id, peer.free(tool)?)));
        let best = offers.max_by_key(|(_, free)| *free)?;
        (best.1 > 0 || !only_free).then_some(best.0)
    }

    fn peer(&self, id: u64) -> Result<&Arc<Peer>, Status> {
        self.peers
            .get(&id)
            .ok_or_else(|| Status::unavailable(format!("node {id} is not known; hint: retry")))
    }

    /// Run a call on another node.
    pub async fn execute(&self, id: u64, call: RoutedCall) -> Result<ExecuteToolResponse, Status> {
        let peer = self.peer(id)?;
        let _sent = Sent::to(peer);
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
        let sent = Sent::to(peer);
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

async fn look(peer: Arc<Peer>) {
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
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// A status of a peer's own goes to the caller as it is. One that the connection made is another matter:
/// the call may be running there.
fn lost(id: u64, status: Status) -> Status {
    if status.metadata().contains_key(headers::ERROR_KIND) || status.code() == Code::Unimplemented {
        return status;
    }
    let mut lost = Status::unknown(format!(
        "the connection to node {id} broke while it had the call: {}; it may be done; hint: retry only if running it twice does no harm",
        status.message()
    ));
    lost.metadata_mut()
        .insert(headers::ERROR_KIND, MetadataValue::from_static("unknown"));
    lost.metadata_mut()
        .insert(headers::DONE, MetadataValue::from_static("maybe"));
    lost
}
