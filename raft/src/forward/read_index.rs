//! Asks the leader for read indexes, one after another over a stream that stays open.

use std::time::Duration;

use snakepit_proto::peer::{ReadIndexRequest, ReadIndexResponse, read_index_response};
use tonic::Status;

use super::Forwarder;
use crate::ReadError;
use crate::exchange::Exchange;

type Stream = Exchange<ReadIndexRequest, ReadIndexResponse>;

/// The stream to whoever was asked last.
#[derive(Debug)]
pub(crate) struct ReadIndexes {
    forwarder: Forwarder,
    open: Option<(Leader, Stream)>,
}

/// A node and its address.
type Leader = (u64, String);

impl ReadIndexes {
    pub(crate) fn new(forwarder: Forwarder) -> Self {
        Self {
            forwarder,
            open: None,
        }
    }

    /// The index up to which this node must have applied before it may answer a read, and the leader's clock.
    pub(crate) async fn ask(
        &mut self,
        leader: u64,
        address: &str,
        request: ReadIndexRequest,
        timeout: Duration,
    ) -> Result<(u64, u64), ReadError> {
        let asked = tokio::time::timeout(timeout, self.once(leader, address, request));
        match asked.await {
            Ok(Ok(ReadIndexResponse {
                result: Some(read_index_response::Result::Barrier(barrier)),
            })) => Ok((barrier.index, barrier.time_ms)),
            _ => Err(ReadError::NoLeader { leader: None }),
        }
    }

    /// Ask on the stream that is open, and where that has broken on another one: what a node vouches for, it does so for
    /// readers who had come before either.
    async fn once(
        &mut self,
        leader: u64,
        address: &str,
        request: ReadIndexRequest,
    ) -> Result<ReadIndexResponse, Status> {
        let leader = (leader, address.to_owned());
        if let Some((held, stream)) = self.open.take()
            && held == leader
            && let Ok((answer, stream)) = stream.ask(request).await
        {
            self.open = Some((held, stream));
            return Ok(answer);
        }
        let stream = self.forwarder.read_indexes(leader.0, address).await?;
        let (answer, stream) = stream.ask(request).await?;
        self.open = Some((leader, stream));
        Ok(answer)
    }
}
