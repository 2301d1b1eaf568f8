//! Sending a snapshot: offer its files, send those parts that the other node lacks.

use std::io::{self, Read};

use bytes::Bytes;
use openraft::error::{NetworkError, StreamingError};
use openraft::raft::SnapshotResponse;
use snakepit_proto::peer::{self, snapshot_part};
use snakepit_storage::SnapshotManifest;
use snakepit_storage::snapshot::open_at;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{Connection, wire};
use crate::types::{Snapshot, TypeConfig, Vote};

/// Bytes of one part.
const PART_BYTES: usize = 256 << 10;
/// Parts on their way at most.
const PARTS_AHEAD: usize = 8;

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
    let reader =
        tokio::task::spawn_blocking(move || read_parts(&folder, offer, &wants.files, &parts));
    let result = client.send_snapshot(ReceiverStream::new(outgoing)).await;
    reader.await.map_err(failed)?.map_err(failed)?;
    let result = result.map_err(failed)?.into_inner();
    let answered = wire::from_vote(result.vote).map_err(failed)?;
    if !result.installed && answered <= vote {
        return Err(failed(result.reason));
    }
    Ok(SnapshotResponse::new(answered))
}

fn read_parts(
    folder: &std::path::Path,
    offer: peer::SnapshotOffer,
    wants: &[peer::snapshot_wants::Want],
    parts: &mpsc::Sender<peer::SnapshotPart>,
) -> io::Result<()> {
    let send = |part| {
        parts
            .blocking_send(peer::SnapshotPart { part: Some(part) })
            .is_ok()
    };
    if !send(snapshot_part::Part::Begin(offer)) {
        return Ok(());
    }
    for want in wants {
        let mut file = open_at(folder, &want.name, want.offset)?;
        let mut offset = want.offset;
        loop {
            let mut buffer = vec![0; PART_BYTES];
            let read = file.read(&mut buffer)?;
            if read == 0 && offset > want.offset {
                break;
            }
            buffer.truncate(read);
            let data = snapshot_part::FileData {
                name: want.name.clone(),
                offset,
                bytes: Bytes::from(buffer),
            };
            if !send(snapshot_part::Part::Data(data)) {
                return Ok(());
            }
            offset += read as u64;
            if read == 0 {
                break; // an empty file is one empty part
            }
        }
    }
    send(snapshot_part::Part::End(true));
    Ok(())
}
