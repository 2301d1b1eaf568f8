//! Asks the leader for read indexes, one after another over a stream that stays open.

use std::time::Duration;

use snakepit_proto::peer::{ReadIndexRequest, ReadIndexResponse, read_index_response};
use tonic::Status;

use super::Forwarder;
use crate::ReadError;
use crate::exchange::Exchange;

/// The stream to whoever was asked last.
#[derive(Debug)]
pub(crate) struct ReadIndexes {
    forwarder: Forwarder,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    leader: u64,
    address: String,
    exchange: Exchange<ReadIndexRequest, ReadIndexResponse>,
}

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

    async fn once(
        &mut self,
        leader: u64,
        address: &str,
        request: ReadIndexRequest,
    ) -> Result<ReadIndexResponse, Status> {
        // It is put back with an answer only: what is dropped in the middle is gone.
        let held = self.open.take();
        if let Some(mut held) =
            held.filter(|held| (held.leader, &*held.address) == (leader, address))
            && let Ok(answer) = held.exchange.ask(request).await
        {
            self.open = Some(held);
            return Ok(answer);
        }
        let mut open = Open {
            leader,
            address: address.to_owned(),
            exchange: self.forwarder.read_indexes(leader, address).await?,
        };
        let answer = open.exchange.ask(request).await?;
        self.open = Some(open);
        Ok(answer)
    }
}
