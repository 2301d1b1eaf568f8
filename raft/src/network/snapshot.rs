//! Sending a snapshot: offer its files, send those parts that the other node lacks.

use openraft::error::{NetworkError, StreamingError};
use openraft::raft::SnapshotResponse;
use snakepit_proto::peer;
use snakepit_storage::SnapshotManifest;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{Connection, wire};
use crate::parts::{self, PARTS_AHEAD};
use crate::types::{Snapshot, TypeConfig, Vote};

fn failed(error: impl ToString) -> StreamingError<TypeConfig> {
    StreamingError::Network(NetworkError::from_string(error))
}

pub(super) async fn send(
    connection: &Connection,
    vote: Vote,
    snapshot: Snapshot,
) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
    let folder = snapshot.snapshot.path.clone();
    let manifest = tokio::task::spawn_blocking(move || SnapshotManifest::read(&folder))
        .await
        .map_err(failed)?
        .map_err(failed)?;
    let offer = peer::SnapshotOffer {
        vote: Some(wire::vote(&vote)),
        snapshot_id: manifest.id.clone(),
        files: Vec::new(),
        manifest: manifest.encode().map_err(failed)?.into(),
    };
    let mut client = connection.client.clone();
    let wants = client
        .offer_snapshot(offer.clone())
        .await
        .map_err(failed)?
        .into_inner();

    tracing::info!(
        target = connection.target,
        snapshot = manifest.id,
        bytes = manifest.bytes(),
        files = manifest.files.len(),
        wanted = wants.files.len(),
        "sending a snapshot"
    );
    let (parts, outgoing) = mpsc::channel(PARTS_AHEAD);
    let folder = snapshot.snapshot.path;
    let reader = tokio::task::spawn_blocking(move || {
        parts::read(&folder, offer, &wants.files, |part| {
            parts.blocking_send(part).is_ok()
        })
    });
    let result = client.send_snapshot(ReceiverStream::new(outgoing)).await;
    reader.await.map_err(failed)?.map_err(failed)?;
    let result = result.map_err(failed)?.into_inner();
    let answered = wire::from_vote(result.vote).map_err(failed)?;
    if !result.installed && answered <= vote {
        return Err(failed(result.reason));
    }
    Ok(SnapshotResponse::new(answered))
}
