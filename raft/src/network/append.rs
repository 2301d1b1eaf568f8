//! A stream of appends: requests are pipelined, answers come back in their order.

use std::time::Duration;

use futures_util::{Stream, StreamExt};
use openraft::OptionalSend;
use openraft::base::BoxStream;
use openraft::error::RPCError;
use openraft::network::{RPCOption, RPCTypes};
use openraft::raft::{AppendEntriesRequest, StreamAppendResult};

use super::commits::{self, Eager};
use super::{Connection, bad_message, unreachable_peer};
use crate::convert::wire;
use crate::types::TypeConfig;

type Results<'s> = BoxStream<'s, Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>>>;

/// Time that a peer has to open the stream, at least.
const OPEN_TIMEOUT_MIN: Duration = Duration::from_millis(500);
/// Wait after a stream could not be opened, and the longest wait after several.
const RETRY_MIN: Duration = Duration::from_millis(10);
const RETRY_MAX: Duration = Duration::from_millis(200);

/// Streams that could not be opened, one after another. openraft waits between attempts only once a stream
/// is open, so the wait before the next one is ours.
#[derive(Debug, Default)]
pub(super) struct Failures(u32);

impl Failures {
    async fn wait(&self) {
        if let Some(doublings) = self.0.checked_sub(1) {
            let wait = RETRY_MIN
                .saturating_mul(1 << doublings.min(8))
                .min(RETRY_MAX);
            tokio::time::sleep(wait).await;
        }
    }
}

pub(super) async fn stream<'s, S>(
    connection: &'s mut Connection,
    input: S,
    option: RPCOption,
) -> Result<Results<'s>, RPCError<TypeConfig>>
where
    S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
{
    let eager = Eager::default();
    let (awaited, wait_max) = (connection.channels.awaited(), connection.commit_wait_max);
    let input = commits::gather(input, awaited, eager.clone(), wait_max);
    // An entry that cannot be encoded ends the stream; openraft begins a new one and reports it.
    let requests = input.map(wire::append).take_while(|request| {
        if let Err(error) = request {
            tracing::error!(%error, "an entry cannot be sent");
        }
        std::future::ready(request.is_ok())
    });
    let requests = requests.filter_map(|request| std::future::ready(request.ok()));
    let mut client = connection.client.clone();
    let timeout = option.soft_ttl().max(OPEN_TIMEOUT_MIN);
    connection.failures.wait().await;
    let opened = connection
        .bounded(RPCTypes::AppendEntries, timeout, client.append(requests))
        .await;
    connection.failures.0 = if opened.is_ok() {
        0
    } else {
        connection.failures.0.saturating_add(1)
    };
    let responses = opened?.into_inner();
    let results = responses.map(move |response| match response {
        Ok(response) => {
            eager.set(response.eager);
            wire::from_appended(response).map_err(bad_message)
        }
        Err(status) => Err(unreachable_peer(&status)),
    });
    Ok(Box::pin(results))
}
