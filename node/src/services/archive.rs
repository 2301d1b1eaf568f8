//! Archiving: old events go into segments first, then the log says so, then each node moves its own out. What a node lacks
//! it gets from another.

use std::sync::Arc;
use std::time::Duration;

use snakepit_machine::{Answer, ArchiveEvents, Body, SegmentRow};
use snakepit_proto::cluster::{self, archive_events_request::Through};
use snakepit_raft::CopyClient;
use snakepit_storage::state_store::{SEGMENT_EVENTS_MAX, SegmentStanding};
use tokio_util::sync::CancellationToken;

use super::{Ask, Failure, Node};

/// Time between two looks at what is to be moved.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Node {
    /// Archive events up to a position or a time; the segments that were made.
    pub(super) async fn archive_events(
        &self,
        ask: &Ask,
        through: Option<Through>,
    ) -> Result<(u64, cluster::ArchiveEventsResponse), Failure> {
        let mut index = self.barrier(ask).await?.index;
        let (archived, through) = self
            .blocking(move |state| {
                let through = match through {
                    Some(Through::Position(position)) => position,
                    Some(Through::TimeMs(time_ms)) => state.position_at(time_ms)?,
                    None => 0,
                };
                Ok((state.archived()?, through))
            })
            .await?;
        let position = self.state.head().position;
        if through == 0 || through > position {
            return Err(Failure::Invalid(format!(
                "events up to {through} cannot be archived, the log has {position}; hint: name a position or a time that it has"
            )));
        }
        let mut segments = Vec::new();
        let mut first = archived + 1;
        while first <= through {
            let last = through.min(first + SEGMENT_EVENTS_MAX - 1);
            let sealed = self.blocking(move |state| state.seal(first, last)).await?;
            let body = Body::ArchiveEvents(ArchiveEvents {
                first,
                last,
                root: sealed.root.to_vec(),
                hash: sealed.hash.to_vec(),
            });
            // Each segment is a request of its own; one that is repeated finds them done.
            let mut part = ask.origin.as_ref().clone();
            part.request_id.clear();
            match self.propose_as(ask, part, body).await? {
                (at, Answer::Done { .. }) => index = at,
                _ => return Err(super::bridge::misfit()),
            }
            segments.push((first, last));
            first = last + 1;
        }
        self.applied(ask, index).await?;
        let made = self
            .blocking(move |state| {
                let mut rows = state.segments()?;
                rows.retain(|row| segments.contains(&(row.first, row.last)));
                rows.iter().map(|row| shown(state, row)).collect()
            })
            .await?;
        Ok((index, cluster::ArchiveEventsResponse { segments: made }))
    }

    /// The segments of the log, and where this node stands with each.
    pub(super) async fn list_segments(&self) -> Result<cluster::ListSegmentsResponse, Failure> {
        let segments = self
            .blocking(|state| {
                let rows = state.segments()?;
                rows.iter().map(|row| shown(state, row)).collect()
            })
            .await?;
        Ok(cluster::ListSegmentsResponse {
            node_id: self.id(),
            segments,
        })
    }

    /// Move out what the log says is archived, and get what is missing, until `stop`.
    pub async fn keep_archive(self: Arc<Self>, stop: CancellationToken) {
        let mut settled = 0;
        while stop
            .run_until_cancelled(tokio::time::sleep(LOOK_EVERY))
            .await
            .is_some()
        {
            let rows = self
                .blocking(move |state| {
                    if state.archived()? == settled {
                        return Ok(Vec::new());
                    }
                    let mut rows = Vec::new();
                    for row in state.segments()? {
                        let standing = state.standing(&row)?;
                        rows.push((row, standing));
                    }
                    Ok(rows)
                })
                .await;
            let rows = match rows {
                Ok(rows) => rows,
                Err(failure) => {
                    tracing::error!(?failure, "the archive cannot be looked at");
                    continue;
                }
            };
            let mut last = settled;
            let mut all = true;
            for (row, standing) in rows {
                last = row.last;
                all &= self.settle(row, standing).await;
            }
            if all {
                settled = last;
            }
        }
    }

    /// Bring one segment to where it belongs; whether it is there.
    async fn settle(&self, row: SegmentRow, standing: SegmentStanding) -> bool {
        let (first, last) = (row.first, row.last);
        match standing {
            SegmentStanding::Moved => true,
            SegmentStanding::Held => match self.blocking(move |state| state.move_out(&row)).await {
                Ok(()) => {
                    tracing::info!(first, last, "events were moved to the archive");
                    true
                }
                Err(failure) => {
                    tracing::error!(
                        first,
                        last,
                        ?failure,
                        "events cannot be moved to the archive"
                    );
                    false
                }
            },
            SegmentStanding::Missing => self.get_segment(&row).await,
        }
    }

    /// Set damaged segments aside and get others' in their place; whether any was damaged. One that nobody gives now is
    /// looked for again when the node starts.
    pub(super) async fn mend_archive(&self) -> Result<bool, Failure> {
        let damaged = self.blocking(|state| state.set_damaged_aside()).await?;
        for row in &damaged {
            self.get_segment(row).await;
        }
        Ok(!damaged.is_empty())
    }

    /// Get a segment from whoever has it.
    async fn get_segment(&self, row: &SegmentRow) -> bool {
        for member in self.group.status().members {
            if member.id == self.id() {
                continue;
            }
            let cluster_id = &self.settings.node.cluster_id;
            let Ok(client) = CopyClient::new(&member.address.peer, cluster_id) else {
                continue;
            };
            match client.pull_segment(&self.state, row).await {
                Ok(()) => {
                    tracing::info!(
                        first = row.first,
                        last = row.last,
                        from = member.id,
                        "a segment was copied into the archive"
                    );
                    return true;
                }
                Err(error) if error.is_not_found() => {}
                Err(error) => {
                    tracing::warn!(first = row.first, from = member.id, %error, "a segment cannot be copied");
                }
            }
        }
        false
    }
}

fn shown(
    state: &snakepit_storage::StateStore,
    row: &SegmentRow,
) -> std::io::Result<cluster::Segment> {
    let standing = match state.standing(row)? {
        SegmentStanding::Held => "held",
        SegmentStanding::Moved => "moved",
        SegmentStanding::Missing => "missing",
    };
    let file = state.segment_file(row.first, row.last);
    let bytes = file.as_ref().and_then(|file| std::fs::metadata(file).ok());
    Ok(cluster::Segment {
        first: row.first,
        last: row.last,
        root: row.root.clone().into(),
        hash: row.hash.clone().into(),
        archived_ms: row.archived_ms,
        standing: standing.into(),
        file: file
            .map(|file| file.display().to_string())
            .unwrap_or_default(),
        bytes: bytes.map_or(0, |metadata| metadata.len()),
    })
}
