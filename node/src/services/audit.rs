//! What auditors ask: stored events, and what the rows are.

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;
use snakepit_proto::cluster::{self, audit_server};
use snakepit_storage::{StateStore, StoredEvent};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{Failure, Node};

/// Events read at once.
const READ_EVENTS: usize = 1_024;
/// Bytes of events read at once.
const READ_BYTES: usize = 1 << 20;
/// Messages that wait for the stream at most.
const AHEAD: usize = 256;

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Serves [`audit_server::Audit`]. Rows and events are read as this node has them; ask for a digest first
/// where they must be as new as a write.
#[derive(Clone, Debug)]
pub struct AuditService(pub Arc<Node>);

#[tonic::async_trait]
impl audit_server::Audit for AuditService {
    type ReadEventsStream = Answers<cluster::StoredEvent>;

    async fn read_events(
        &self,
        request: Request<cluster::ReadEventsRequest>,
    ) -> Result<Response<Self::ReadEventsStream>, Status> {
        let node = self.0.clone();
        let request = request.into_inner();
        let (events, outgoing) = mpsc::channel(AHEAD);
        tokio::spawn(async move {
            if let Err(failure) = send_events(&node, request, &events).await {
                let _ = events.send(Err(node.status(failure))).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(outgoing))))
    }

    async fn digest(
        &self,
        request: Request<cluster::DigestRequest>,
    ) -> Result<Response<cluster::DigestResponse>, Status> {
        let node = &self.0;
        let digested = async {
            let ask = node.ask(request.metadata())?;
            let wanted = request.into_inner().at_least_index;
            let mut applied = node.group.applied_index();
            let wait = async { applied.wait_for(|index| *index >= wanted).await.is_ok() };
            if tokio::time::timeout_at(ask.deadline, wait).await != Ok(true) {
                return Err(Failure::Read(snakepit_raft::ReadError::Deadline));
            }
            node.blocking(digest).await
        };
        let mut response = digested.await.map_err(|failure| node.status(failure))?;
        response.node_id = node.id();
        Ok(Response::new(response))
    }

    type ReadRowsStream = Answers<cluster::RowBytes>;

    async fn read_rows(
        &self,
        _request: Request<cluster::ReadRowsRequest>,
    ) -> Result<Response<Self::ReadRowsStream>, Status> {
        let (rows, outgoing) = mpsc::channel(AHEAD);
        let state = self.0.state.clone();
        let node = self.0.clone();
        tokio::task::spawn_blocking(move || {
            let sent = state.with_view(|view| {
                for row in view.row_bytes() {
                    let row = row?;
                    let message = cluster::RowBytes {
                        key: key_of(&row).into(),
                        value: row.value.to_vec().into(),
                    };
                    if rows.blocking_send(Ok(message)).is_err() {
                        break;
                    }
                }
                Ok::<_, io::Error>(())
            });
            if let Err(error) = sent {
                let _ = rows.blocking_send(Err(node.status(error.into())));
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(outgoing))))
    }
}

/// A row's key with its column in front, as the digest takes it: unique among all rows.
fn key_of(row: &snakepit_storage::state_store::RowBytes) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + row.key.len());
    key.push(row.column as u8);
    key.extend_from_slice(&row.key);
    key
}

fn digest(state: &StateStore) -> io::Result<cluster::DigestResponse> {
    state.with_view(|view| {
        let applied = view.applied()?;
        let (position, chain_head) = view.chain_head()?;
        let digest = view.rows_digest()?;
        Ok(cluster::DigestResponse {
            node_id: 0,
            applied_index: applied.last.map_or(0, |id| id.index),
            position,
            chain_head: chain_head.to_vec().into(),
            rows_digest: digest.hash.to_vec().into(),
            rows: digest.rows,
        })
    })
}

/// Send events from a position on, and, where it is asked for, those to come.
async fn send_events(
    node: &Node,
    request: cluster::ReadEventsRequest,
    to: &mpsc::Sender<Result<cluster::StoredEvent, Status>>,
) -> Result<(), Failure> {
    let mut position = request.from_position.max(1);
    let mut left = if request.limit == 0 {
        u64::MAX
    } else {
        request.limit
    };
    let mut applied = node.group.applied_index();
    loop {
        applied.borrow_and_update();
        // What the log holds now; in a session's own log positions jump.
        let end = node.state.head().position;
        while position <= end && left > 0 {
            let session_id = request.session_id.clone();
            let count = READ_EVENTS.min(usize::try_from(left).unwrap_or(READ_EVENTS));
            let found = node
                .blocking(move |state| read(state, &session_id, position, count))
                .await?;
            let Some(last) = found.last() else { break };
            position = last.position + 1;
            left -= found.len() as u64;
            for event in found {
                let message = cluster::StoredEvent {
                    position: event.position,
                    event: event.bytes.to_vec().into(),
                    hash: event.hash.to_vec().into(),
                };
                if to.send(Ok(message)).await.is_err() {
                    return Ok(());
                }
            }
        }
        if !request.follow || left == 0 {
            return Ok(());
        }
        position = position.max(end + 1);
        tokio::select! {
            () = to.closed() => return Ok(()),
            changed = applied.changed() => if changed.is_err() { return Ok(()) },
        }
    }
}

fn read(
    state: &StateStore,
    session_id: &str,
    from: u64,
    count: usize,
) -> io::Result<Vec<StoredEvent>> {
    if session_id.is_empty() {
        state.events(from, count, READ_BYTES)
    } else {
        state.session_events(session_id, from, count, READ_BYTES)
    }
}
