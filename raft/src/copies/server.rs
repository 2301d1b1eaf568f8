use std::io::{self, Read as _};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::Stream;
use snakepit_proto::peer::{self, copies_server, snapshot_wants};
use snakepit_storage::{SnapshotManifest, SnapshotRef, StateStorage, StateStore};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::parts::{self, PART_BYTES, PARTS_AHEAD};

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Serves [`peer::copies_server::Copies`].
pub(crate) struct CopiesService {
    pub(crate) node_id: u64,
    pub(crate) cluster_id: String,
    pub(crate) store: Arc<StateStore>,
    /// This node's own data is known to be wrong: nobody is to copy it.
    pub(crate) withdrawn: Arc<AtomicBool>,
}

impl CopiesService {
    fn check_cluster(&self, cluster_id: &str) -> Result<(), Status> {
        if cluster_id == self.cluster_id {
            return Ok(());
        }
        Err(Status::failed_precondition(format!(
            "this node belongs to cluster {}, not {cluster_id}; hint: correct the addresses of the members",
            self.cluster_id
        )))
    }

    fn check_in_service(&self) -> Result<(), Status> {
        if self.withdrawn.load(Ordering::Acquire) {
            return Err(Status::unavailable(
                "this node has found its own data wrong; hint: copy from another node",
            ));
        }
        Ok(())
    }
}

fn disk(error: impl std::fmt::Display) -> Status {
    Status::internal(error.to_string())
}

#[tonic::async_trait]
impl copies_server::Copies for CopiesService {
    async fn tree_head(
        &self,
        request: Request<peer::TreeHeadRequest>,
    ) -> Result<Response<peer::TreeHeadResponse>, Status> {
        let request = request.into_inner();
        self.check_cluster(&request.cluster_id)?;
        let store = self.store.clone();
        let read = tokio::task::spawn_blocking(move || {
            let head = store.head();
            let size = head.position.min(request.size_max);
            Ok::<_, io::Error>((head, size, store.tree_root(size)?))
        });
        let (head, size, root) = read.await.map_err(disk)?.map_err(disk)?;
        Ok(Response::new(peer::TreeHeadResponse {
            node_id: self.node_id,
            size,
            root: Bytes::copy_from_slice(&root),
            applied: head.applied.map_or(0, |id| id.index),
            position: head.position,
            out_of_service: self.withdrawn.load(Ordering::Acquire),
        }))
    }

    type PullSnapshotStream = Answers<peer::SnapshotPart>;

    async fn pull_snapshot(
        &self,
        request: Request<peer::PullSnapshotRequest>,
    ) -> Result<Response<Self::PullSnapshotStream>, Status> {
        let request = request.into_inner();
        self.check_cluster(&request.cluster_id)?;
        self.check_in_service()?;
        let store = self.store.clone();
        let (parts, outgoing) = mpsc::channel(PARTS_AHEAD);
        tokio::task::spawn_blocking(move || {
            let sent = snapshot(&store, request.at_least_index).and_then(|snapshot| {
                let manifest = SnapshotManifest::read(&snapshot.path)?;
                tracing::info!(
                    snapshot = manifest.id,
                    bytes = manifest.bytes(),
                    "another node copies a snapshot"
                );
                let wants = manifest.files.iter().map(|file| snapshot_wants::Want {
                    name: file.name.clone(),
                    offset: 0,
                });
                let offer = peer::SnapshotOffer {
                    vote: None,
                    snapshot_id: manifest.id.clone(),
                    files: Vec::new(),
                    manifest: manifest.encode()?.into(),
                };
                let wants: Vec<_> = wants.collect();
                parts::read(&snapshot.path, offer, &wants, |part| {
                    parts.blocking_send(Ok(part)).is_ok()
                })
            });
            if let Err(error) = sent {
                let _ = parts.blocking_send(Err(disk(error)));
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(outgoing))))
    }

    type PullSegmentStream = Answers<peer::SegmentPart>;

    async fn pull_segment(
        &self,
        request: Request<peer::PullSegmentRequest>,
    ) -> Result<Response<Self::PullSegmentStream>, Status> {
        let request = request.into_inner();
        self.check_cluster(&request.cluster_id)?;
        self.check_in_service()?;
        let (first, last) = (request.first, request.last);
        let Some(path) = self.store.segment_file(first, last) else {
            return Err(Status::not_found(format!(
                "this node has no segment of events {first} to {last}; hint: ask another node"
            )));
        };
        let (parts, outgoing) = mpsc::channel(PARTS_AHEAD);
        tokio::task::spawn_blocking(move || {
            let sent = std::fs::File::open(path).and_then(|mut file| {
                loop {
                    let mut buffer = vec![0; PART_BYTES];
                    let read = file.read(&mut buffer)?;
                    buffer.truncate(read);
                    let bytes = Bytes::from(buffer);
                    if read == 0
                        || parts
                            .blocking_send(Ok(peer::SegmentPart { bytes }))
                            .is_err()
                    {
                        return Ok(());
                    }
                }
            });
            if let Err(error) = sent {
                let _ = parts.blocking_send(Err(disk(error)));
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(outgoing))))
    }
}

/// The current snapshot where it covers an index, else a new one.
fn snapshot(store: &StateStore, at_least_index: u64) -> io::Result<SnapshotRef> {
    let covers = |snapshot: &SnapshotRef| {
        let last = snapshot.state.last;
        last.is_some_and(|last| last.index >= at_least_index)
    };
    if let Some(current) = store.current_snapshot()?.filter(covers) {
        return Ok(current);
    }
    let built = store.build_snapshot()?;
    if covers(&built) {
        return Ok(built);
    }
    Err(io::Error::other(format!(
        "this node is at {:?}, a snapshot that covers entry {at_least_index} is asked for",
        built.state.last
    )))
}
