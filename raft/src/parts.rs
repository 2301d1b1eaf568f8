//! Files of a snapshot as a stream of parts: an offer, data, an end.

use std::io::{self, Read as _, Write as _};
use std::path::Path;

use bytes::Bytes;
use snakepit_proto::peer::{self, snapshot_part};
use snakepit_storage::snapshot::{open_at, receive_at};
use tonic::{Status, Streaming};

/// Bytes of one part.
pub(crate) const PART_BYTES: usize = 256 << 10;
/// Parts on their way at most.
pub(crate) const PARTS_AHEAD: usize = 8;

/// Read the wanted files of a snapshot, until `send` says that nobody takes them.
pub(crate) fn read(
    folder: &Path,
    offer: peer::SnapshotOffer,
    wants: &[peer::snapshot_wants::Want],
    send: impl Fn(peer::SnapshotPart) -> bool,
) -> io::Result<()> {
    let send = |part| send(peer::SnapshotPart { part: Some(part) });
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

/// Write parts as they come, one file after another, until their end.
pub(crate) async fn receive(
    folder: &Path,
    parts: &mut Streaming<peer::SnapshotPart>,
) -> Result<(), Status> {
    let mut open: Option<(String, std::fs::File)> = None;
    while let Some(part) = parts.message().await? {
        match part.part {
            Some(snapshot_part::Part::Data(data)) => {
                let folder = folder.to_owned();
                let held = open.take();
                let written = tokio::task::spawn_blocking(move || {
                    let mut file = match held {
                        Some((name, file)) if name == data.name => file,
                        _ => receive_at(&folder, &data.name, data.offset)?,
                    };
                    file.write_all(&data.bytes)?;
                    Ok::<_, std::io::Error>((data.name, file))
                });
                open = Some(written.await.map_err(disk)?.map_err(disk)?);
            }
            Some(snapshot_part::Part::End(_)) => return Ok(()),
            Some(snapshot_part::Part::Begin(_)) | None => {
                return Err(bad("a snapshot has one offer, then data"));
            }
        }
    }
    Err(Status::aborted(
        "the snapshot broke off; hint: it is resumed by the next offer",
    ))
}

fn bad(error: impl std::fmt::Display) -> Status {
    Status::invalid_argument(error.to_string())
}

fn disk(error: impl std::fmt::Display) -> Status {
    Status::internal(error.to_string())
}
