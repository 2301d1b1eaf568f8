//! What auditors ask: stored events, digests, rows.

use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use snakepit_proto::cluster::archive_events_request::Through;
use snakepit_proto::cluster::{
    ArchiveEventsRequest, DigestRequest, DigestResponse, GetCheckpointRequest, ListSegmentsRequest,
    ProveConsistencyRequest, ProveInclusionRequest, ReadEventsRequest, ReadRowsRequest, RowBytes,
    audit_client::AuditClient,
};
use tokio::time::sleep;
use tonic::Streaming;

use crate::call::{MESSAGE_BYTES_MAX, Patience, Repeat};
use crate::error::Failure;
use crate::{Client, ClientError, Moment};

/// Which events are wanted: all that is given must fit.
pub use snakepit_proto::cluster::EventFilter;
/// An event as stored: its bytes, and the hash of the chain up to it.
pub use snakepit_proto::cluster::StoredEvent;
/// What a node answers about its tree.
pub use snakepit_proto::cluster::{
    GetCheckpointResponse, ProveConsistencyResponse, ProveInclusionResponse, Segment,
};

/// Waits between attempts at a stream that breaks again and again without an event in between.
const REOPEN_WAIT: Duration = Duration::from_millis(200);
/// Breaks in a row, without an event in between, after which a stream gives up.
const BREAKS_MAX: u32 = 5;

/// Events in order; ends after the asked ones, or never where it follows.
pub type EventStream = Pin<Box<dyn Stream<Item = Result<StoredEvent, ClientError>> + Send>>;
/// Rows as canonical bytes.
pub type RowStream = Pin<Box<dyn Stream<Item = Result<RowBytes, ClientError>> + Send>>;

/// Which events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// The first position; 0 and 1 are the first of all.
    pub from: u64,
    /// At most so many; 0 for all there are.
    pub limit: u64,
    /// Of one session only; empty for all.
    pub session: String,
    /// Stay, and give what comes.
    pub follow: bool,
    /// The last position; 0 for no end.
    pub to: u64,
    /// Only what passes it.
    pub filter: EventFilter,
    /// Only what the journal has of this call; empty for all.
    pub journal_of: String,
}

struct Reading {
    client: Client,
    query: EventQuery,
    open: Option<Streaming<StoredEvent>>,
    breaks: u32,
    done: bool,
}

impl Client {
    /// Stored events in order. Where the node fails, goes on at another one behind the last event.
    pub fn read_events(&self, query: EventQuery) -> EventStream {
        let reading = Reading {
            client: self.clone(),
            query,
            open: None,
            breaks: 0,
            done: false,
        };
        Box::pin(stream::unfold(reading, |mut reading| async move {
            let item = reading.next().await?;
            reading.done |= item.is_err();
            Some((item, reading))
        }))
    }

    /// Position, chain head and digest of all rows of the asked node, at one log index; waits until that node
    /// has applied `at_least_index`.
    pub async fn digest(&self, at_least_index: u64) -> Result<DigestResponse, ClientError> {
        let send =
            |channel, request| async move { AuditClient::new(channel).digest(request).await };
        let request = DigestRequest { at_least_index };
        Ok(self
            .call(Repeat::Read, Patience::Whole, request, send)
            .await?
            .value)
    }

    /// Head of the tree of the first `size` events, all that there are where it is 0; signed where the asked
    /// node has the cluster's key.
    ///
    /// # Errors
    ///
    /// `Invalid` where the log has fewer events.
    pub async fn checkpoint(&self, size: u64) -> Result<GetCheckpointResponse, ClientError> {
        let send = |channel, request| async move {
            AuditClient::new(channel).get_checkpoint(request).await
        };
        let request = GetCheckpointRequest { size };
        Ok(self
            .call(Repeat::Read, Patience::Whole, request, send)
            .await?
            .value)
    }

    /// Archive events up to a moment: they go into segments, then out of the stores of all nodes. The segments that
    /// were made, none where all were archived before.
    ///
    /// # Errors
    ///
    /// `Invalid` where the log has no such moment.
    pub async fn archive_events(&self, through: Moment) -> Result<Vec<Segment>, ClientError> {
        let send = |channel, request| async move {
            AuditClient::new(channel).archive_events(request).await
        };
        let request = ArchiveEventsRequest {
            through: match through {
                Moment::Now => None,
                Moment::Position(position) => Some(Through::Position(position)),
                Moment::TimeMs(time_ms) => Some(Through::TimeMs(time_ms)),
            },
        };
        Ok(self
            .call(Repeat::Deduplicated, Patience::Whole, request, send)
            .await?
            .value
            .segments)
    }

    /// A node's id, the segments of the log, and where that node stands with each.
    pub async fn segments(&self) -> Result<(u64, Vec<Segment>), ClientError> {
        let send = |channel, request| async move {
            AuditClient::new(channel).list_segments(request).await
        };
        let listed = self
            .call(Repeat::Read, Patience::Whole, ListSegmentsRequest {}, send)
            .await?
            .value;
        Ok((listed.node_id, listed.segments))
    }

    /// Proof that an event is in the tree of the first `size` events, of all where it is 0.
    pub async fn prove_inclusion(
        &self,
        position: u64,
        size: u64,
    ) -> Result<ProveInclusionResponse, ClientError> {
        let send = |channel, request| async move {
            AuditClient::new(channel).prove_inclusion(request).await
        };
        let request = ProveInclusionRequest { position, size };
        Ok(self
            .call(Repeat::Read, Patience::Whole, request, send)
            .await?
            .value)
    }

    /// Proof that the tree of `old_size` events is the beginning of that of `new_size`, of all where it is 0.
    pub async fn prove_consistency(
        &self,
        old_size: u64,
        new_size: u64,
    ) -> Result<ProveConsistencyResponse, ClientError> {
        let send = |channel, request| async move {
            AuditClient::new(channel).prove_consistency(request).await
        };
        let request = ProveConsistencyRequest { old_size, new_size };
        Ok(self
            .call(Repeat::Read, Patience::Whole, request, send)
            .await?
            .value)
    }

    /// All rows of the asked node, at one log index.
    pub async fn read_rows(&self) -> Result<RowStream, ClientError> {
        let send = |channel, request| async move {
            AuditClient::new(channel)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .read_rows(request)
                .await
        };
        let request = ReadRowsRequest {};
        let rows = self
            .call(Repeat::Read, Patience::Stream, request, send)
            .await?
            .value;
        let endpoint = self.endpoint();
        Ok(Box::pin(rows.map(move |row| {
            row.map_err(|status| Failure::of(endpoint.authority(), &status).error)
        })))
    }

    async fn open_events(&self, query: &EventQuery) -> Result<Streaming<StoredEvent>, ClientError> {
        let request = ReadEventsRequest {
            from_position: query.from,
            limit: query.limit,
            session_id: query.session.clone(),
            follow: query.follow,
            to_position: query.to,
            filter: Some(query.filter.clone()),
            journal_of: query.journal_of.clone(),
        };
        let send = |channel, request| async move {
            AuditClient::new(channel)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .read_events(request)
                .await
        };
        Ok(self
            .call(Repeat::Read, Patience::Stream, request, send)
            .await?
            .value)
    }
}

impl Reading {
    async fn next(&mut self) -> Option<Result<StoredEvent, ClientError>> {
        while !self.done {
            let mut open = match self.open.take() {
                Some(open) => open,
                None => match self.client.open_events(&self.query).await {
                    Ok(open) => open,
                    Err(error) => return Some(Err(error)),
                },
            };
            match open.message().await {
                Ok(Some(event)) => {
                    self.breaks = 0;
                    self.query.from = event.position + 1;
                    self.count_down();
                    self.open = Some(open);
                    return Some(Ok(event));
                }
                Ok(None) => return None,
                Err(status) => {
                    let endpoint = self.client.endpoint();
                    let failure = Failure::of(endpoint.authority(), &status);
                    self.breaks += 1;
                    if !failure.transient || self.breaks > BREAKS_MAX {
                        return Some(Err(failure.error));
                    }
                    sleep(REOPEN_WAIT * (self.breaks - 1)).await;
                }
            }
        }
        None
    }

    /// One event less is wanted; the last one ends the stream without another question.
    fn count_down(&mut self) {
        if self.query.limit > 0 {
            self.query.limit -= 1;
            self.done = self.query.limit == 0;
        }
    }
}
