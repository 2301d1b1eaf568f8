//! What other nodes ask of this one: appends, votes, snapshots.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use openraft::raft::TransferLeaderRequest;
use snakepit_proto::peer::{self, raft_server, snapshot_part};
use snakepit_storage::snapshot::bytes_received;
use snakepit_storage::{SnapshotManifest, SnapshotRef, StateStorage};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use crate::applied::AppliedIndex;
use crate::convert::{self, wire};
use crate::parts;
use crate::state::State;
use crate::types::{Snapshot, TypeConfig};

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Serves [`peer::raft_server::Raft`].
#[derive(Debug)]
pub(crate) struct RaftService<S: StateStorage> {
    pub(crate) raft: openraft::Raft<TypeConfig, State<S>>,
    pub(crate) store: Arc<S>,
    pub(crate) applied: AppliedIndex,
    /// One snapshot is received at a time.
    pub(crate) receiving: Mutex<()>,
    /// Raft has stopped, and all that was taken is answered. A leader with nothing to say keeps both halves of its stream.
    pub(crate) stopped: CancellationToken,
}

fn bad(error: impl std::fmt::Display) -> Status {
    Status::invalid_argument(error.to_string())
}

fn stopped(error: impl std::fmt::Display) -> Status {
    Status::unavailable(format!("raft has stopped: {error}"))
}

fn disk(error: impl std::fmt::Display) -> Status {
    Status::internal(error.to_string())
}

#[tonic::async_trait]
impl<S: StateStorage> raft_server::Raft for RaftService<S> {
    type AppendStream = Answers<peer::AppendResponse>;

    async fn append(
        &self,
        request: Request<Streaming<peer::AppendRequest>>,
    ) -> Result<Response<Self::AppendStream>, Status> {
        // A message that cannot be read ends the stream; the leader begins another.
        let requests = request.into_inner().map(|message| match message {
            Ok(message) => wire::from_append(message)
                .map_err(|error| tracing::error!(%error, "bad append"))
                .ok(),
            Err(_) => None,
        });
        let requests = requests.take_while(|request| std::future::ready(request.is_some()));
        let requests = requests
            .filter_map(std::future::ready)
            .take_until(self.stopped.clone().cancelled_owned());
        let applied = self.applied.clone();
        let results = self
            .raft
            .stream_append(requests)
            .map(move |result| match result {
                Ok(result) => Ok(wire::appended(&result, applied.is_waited_for())),
                Err(fatal) => Err(stopped(fatal)),
            });
        let results = results.take_until(self.stopped.clone().cancelled_owned());
        Ok(Response::new(Box::pin(results)))
    }

    async fn vote(
        &self,
        request: Request<peer::VoteRequest>,
    ) -> Result<Response<peer::VoteResponse>, Status> {
        let request = wire::from_vote_request(request.into_inner()).map_err(bad)?;
        let response = self.raft.vote(request).await.map_err(stopped)?;
        Ok(Response::new(wire::vote_response(&response)))
    }

    async fn pre_vote(
        &self,
        request: Request<peer::VoteRequest>,
    ) -> Result<Response<peer::VoteResponse>, Status> {
        let request = wire::from_vote_request(request.into_inner()).map_err(bad)?;
        let response = self.raft.pre_vote(request).await.map_err(stopped)?;
        Ok(Response::new(wire::vote_response(&response)))
    }

    async fn transfer_leader(
        &self,
        request: Request<peer::TransferLeaderRequest>,
    ) -> Result<Response<peer::TransferLeaderResponse>, Status> {
        let request = request.into_inner();
        let from = wire::from_vote(request.from).map_err(bad)?;
        let wanted = TransferLeaderRequest::new(from, request.to, request.last.map(wire::from_id));
        let answer = self
            .raft
            .handle_transfer_leader(wanted)
            .await
            .map_err(stopped)?;
        let reason = answer
            .as_ref()
            .err()
            .map(ToString::to_string)
            .unwrap_or_default();
        Ok(Response::new(peer::TransferLeaderResponse {
            accepted: answer.is_ok(),
            reason,
        }))
    }

    async fn offer_snapshot(
        &self,
        request: Request<peer::SnapshotOffer>,
    ) -> Result<Response<peer::SnapshotWants>, Status> {
        let _one = self.receiving.lock().await;
        let manifest = SnapshotManifest::decode(&request.into_inner().manifest).map_err(bad)?;
        let store = self.store.clone();
        let files = tokio::task::spawn_blocking(move || missing(&*store, &manifest))
            .await
            .map_err(disk)?
            .map_err(disk)?;
        Ok(Response::new(peer::SnapshotWants { files }))
    }

    async fn send_snapshot(
        &self,
        request: Request<Streaming<peer::SnapshotPart>>,
    ) -> Result<Response<peer::SnapshotResult>, Status> {
        let _one = self.receiving.lock().await;
        let mut incoming = request.into_inner();
        let Some(peer::SnapshotPart {
            part: Some(snapshot_part::Part::Begin(offer)),
        }) = incoming.message().await?
        else {
            return Err(bad("a snapshot begins with its offer"));
        };
        let vote = wire::from_vote(offer.vote).map_err(bad)?;
        let manifest = SnapshotManifest::decode(&offer.manifest).map_err(bad)?;
        let folder = self.store.staging(&manifest.id).map_err(disk)?;
        parts::receive(&folder, &mut incoming).await?;

        let written = manifest.clone();
        let staged = folder.clone();
        tokio::task::spawn_blocking(move || written.write(&staged))
            .await
            .map_err(disk)?
            .map_err(disk)?;
        let reference = SnapshotRef {
            id: manifest.id.clone(),
            path: folder,
            state: manifest.state(),
        };
        let snapshot = Snapshot {
            meta: convert::snapshot_meta(&reference.state),
            snapshot: reference,
        };
        tracing::info!(
            snapshot = manifest.id,
            bytes = manifest.bytes(),
            "a snapshot was received"
        );
        let response = self
            .raft
            .install_full_snapshot(vote, snapshot)
            .await
            .map_err(stopped)?;
        let installed = response.vote <= vote;
        Ok(Response::new(peer::SnapshotResult {
            vote: Some(wire::vote(&response.vote)),
            installed,
            reason: if installed {
                String::new()
            } else {
                "there is a later leader".into()
            },
        }))
    }
}

/// The files of a snapshot that are not here yet, and how far each has come.
fn missing<S: StateStorage>(
    store: &S,
    manifest: &SnapshotManifest,
) -> std::io::Result<Vec<peer::snapshot_wants::Want>> {
    let folder = store.staging(&manifest.id)?;
    let mut wants = Vec::new();
    for file in &manifest.files {
        let offset = bytes_received(&folder, &file.name)?;
        if offset < file.bytes || file.bytes == 0 {
            wants.push(peer::snapshot_wants::Want {
                name: file.name.clone(),
                offset,
            });
        }
    }
    Ok(wants)
}
