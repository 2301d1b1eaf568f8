//! What auditors ask: stored events, and what the rows are.

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;
use snakepit_proto::cluster::{self, audit_server};
use snakepit_storage::StateStore;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{Ask, Failure, Node, wire};

mod events;
mod tree;

/// Messages that wait for the stream at most.
const AHEAD: usize = 256;

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Serves [`audit_server::Audit`]. Events and the tree have all that was acknowledged before they are asked for, where
/// there is a leader who says so in time; rows are read as this node has them: ask for a digest first where they must
/// be as new as a write.
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
        let ask = node
            .ask(request.metadata())
            .map_err(|failure| node.status(failure))?;
        let request = request.into_inner();
        let (to, outgoing) = mpsc::channel(AHEAD);
        node.check_in_service()
            .map_err(|failure| node.status(failure))?;
        tokio::spawn(async move {
            node.newest(&ask).await;
            if let Err(failure) = events::send(&node, request, &to).await {
                let _ = to.send(Err(node.status(failure))).await;
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
            let wait = async { applied.reach(wanted).await.is_ok() };
            if tokio::time::timeout_at(ask.deadline, wait).await != Ok(true) {
                return Err(Failure::Read(snakepit_raft::ReadError::Deadline));
            }
            node.blocking(digest).await
        };
        let mut response = digested.await.map_err(|failure| node.status(failure))?;
        response.node_id = node.id();
        Ok(Response::new(response))
    }

    async fn get_checkpoint(
        &self,
        request: Request<cluster::GetCheckpointRequest>,
    ) -> Result<Response<cluster::GetCheckpointResponse>, Status> {
        let ask = self.ask(&request)?;
        self.told(tree::checkpoint(&self.0, &ask, request.into_inner()).await)
    }

    async fn prove_inclusion(
        &self,
        request: Request<cluster::ProveInclusionRequest>,
    ) -> Result<Response<cluster::ProveInclusionResponse>, Status> {
        let ask = self.ask(&request)?;
        self.told(tree::inclusion(&self.0, &ask, request.into_inner()).await)
    }

    async fn prove_consistency(
        &self,
        request: Request<cluster::ProveConsistencyRequest>,
    ) -> Result<Response<cluster::ProveConsistencyResponse>, Status> {
        let ask = self.ask(&request)?;
        self.told(tree::consistency(&self.0, &ask, request.into_inner()).await)
    }

    async fn archive_events(
        &self,
        request: Request<cluster::ArchiveEventsRequest>,
    ) -> Result<Response<cluster::ArchiveEventsResponse>, Status> {
        let archived = async {
            let ask = self.0.ask(request.metadata())?;
            let through = request.into_inner().through;
            let (index, response) = self.0.archive_events(&ask, through).await?;
            Ok(wire::at_index(index, response))
        };
        archived.await.map_err(|failure| self.0.status(failure))
    }

    async fn list_segments(
        &self,
        _request: Request<cluster::ListSegmentsRequest>,
    ) -> Result<Response<cluster::ListSegmentsResponse>, Status> {
        self.told(self.0.list_segments().await)
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

impl AuditService {
    fn ask<T>(&self, request: &Request<T>) -> Result<Ask, Status> {
        let ask = self.0.ask(request.metadata());
        ask.map_err(|failure| self.0.status(failure))
    }

    fn told<T>(&self, answered: Result<T, Failure>) -> Result<Response<T>, Status> {
        answered
            .map(Response::new)
            .map_err(|failure| self.0.status(failure))
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
