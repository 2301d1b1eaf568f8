use std::io;
use std::path::PathBuf;
use std::time::Duration;

use snakepit_machine::SegmentRow;
use snakepit_proto::peer::copies_client::CopiesClient;
use snakepit_proto::peer::{self, snapshot_part};
use snakepit_storage::tree::Hash;
use snakepit_storage::{SnapshotManifest, StateStorage as _, StateStore};
use tokio::io::AsyncWriteExt as _;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::parts;

/// Time that a peer has to take a connection, and to answer what takes no time.
const TIMEOUT: Duration = Duration::from_millis(2_000);
/// Idle time after which a peer is pinged, and its time to answer.
const PING: Duration = Duration::from_secs(2);

/// Another node has not given what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// It does not answer, or refuses.
    #[error("{}", .0.message())]
    Peer(Box<Status>),
    /// What it gave cannot be kept, or is not what it should be.
    #[error(transparent)]
    Disk(#[from] io::Error),
}

impl From<Status> for CopyError {
    fn from(status: Status) -> Self {
        Self::Peer(Box::new(status))
    }
}

impl CopyError {
    /// Whether the other node answers, but does not have what was asked for.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Peer(status) if status.code() == Code::NotFound)
    }
}

/// What a node says of its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeHead {
    /// The node.
    pub node_id: u64,
    /// Events in the tree.
    pub size: u64,
    /// Its root.
    pub root: Hash,
    /// The last applied log index.
    pub applied: u64,
    /// Events that there are by then.
    pub position: u64,
    /// Whether the node has found its own data wrong.
    pub out_of_service: bool,
}

/// Asks another node for copies; connects with its first use.
#[derive(Clone, Debug)]
pub struct CopyClient {
    client: CopiesClient<Channel>,
    cluster_id: String,
}

impl CopyClient {
    /// A client of the node at an address, host:port for other nodes.
    ///
    /// # Errors
    ///
    /// `InvalidInput` where the address is none.
    pub fn new(address: &str, cluster_id: &str) -> io::Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let channel = endpoint
            .tcp_nodelay(true)
            .connect_timeout(TIMEOUT)
            .http2_keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .connect_lazy();
        Ok(Self {
            client: CopiesClient::new(channel),
            cluster_id: cluster_id.to_owned(),
        })
    }

    /// Head of the tree of its first `size_max` events, or of all where it has fewer.
    pub async fn tree_head(&self, size_max: u64) -> Result<TreeHead, CopyError> {
        let mut request = tonic::Request::new(peer::TreeHeadRequest {
            cluster_id: self.cluster_id.clone(),
            size_max,
        });
        request.set_timeout(TIMEOUT);
        let mut client = self.client.clone();
        let answer = client.tree_head(request);
        let head = tokio::time::timeout(TIMEOUT, answer)
            .await
            .map_err(|_| Status::deadline_exceeded("it does not answer"))??
            .into_inner();
        let root = Hash::try_from(head.root.as_ref())
            .map_err(|_| Status::internal("its root is no hash"))?;
        Ok(TreeHead {
            node_id: head.node_id,
            size: head.size,
            root,
            applied: head.applied,
            position: head.position,
            out_of_service: head.out_of_service,
        })
    }

    /// Copy a snapshot that covers a log index into the staging folder of a store; the folder.
    pub async fn pull_snapshot(
        &self,
        store: &StateStore,
        at_least_index: u64,
    ) -> Result<PathBuf, CopyError> {
        let request = peer::PullSnapshotRequest {
            cluster_id: self.cluster_id.clone(),
            at_least_index,
        };
        let mut parts = self
            .client
            .clone()
            .pull_snapshot(request)
            .await?
            .into_inner();
        let Some(peer::SnapshotPart {
            part: Some(snapshot_part::Part::Begin(offer)),
        }) = parts.message().await?
        else {
            return Err(Status::internal("a snapshot begins with its offer").into());
        };
        let manifest = SnapshotManifest::decode(&offer.manifest)?;
        let folder = store.staging(&manifest.id)?;
        parts::receive(&folder, &mut parts).await?;
        manifest.write(&folder)?;
        Ok(folder)
    }

    /// Copy a segment into the archive of a store, if it proves what the log says of it.
    pub async fn pull_segment(
        &self,
        store: &StateStore,
        segment: &SegmentRow,
    ) -> Result<(), CopyError> {
        let request = peer::PullSegmentRequest {
            cluster_id: self.cluster_id.clone(),
            first: segment.first,
            last: segment.last,
        };
        let mut parts = self
            .client
            .clone()
            .pull_segment(request)
            .await?
            .into_inner();
        let path = store.receive_segment(segment.first, segment.last)?;
        let mut file = tokio::fs::File::create_new(&path).await?;
        loop {
            match parts.message().await {
                Ok(Some(part)) => file.write_all(&part.bytes).await?,
                Ok(None) => break,
                Err(status) => {
                    let _ = tokio::fs::remove_file(&path).await;
                    return Err(status.into());
                }
            }
        }
        file.flush().await?;
        drop(file);
        let (store, segment) = (store.clone(), segment.clone());
        tokio::task::spawn_blocking(move || store.adopt_segment(&path, &segment))
            .await
            .map_err(io::Error::other)??;
        Ok(())
    }
}
