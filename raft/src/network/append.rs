//! A stream of appends: requests are pipelined, answers come back in their order.

use futures_util::{Stream, StreamExt};
use openraft::OptionalSend;
use openraft::base::BoxStream;
use openraft::error::RPCError;
use openraft::network::{RPCOption, RPCTypes};
use openraft::raft::{AppendEntriesRequest, StreamAppendResult};

use super::{Connection, bad_message, unreachable_peer};
use crate::convert::wire;
use crate::types::TypeConfig;

type Results<'s> = BoxStream<'s, Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>>>;

/// Time that a peer has to open the stream, at least.
const OPEN_TIMEOUT_MIN: std::time::Duration = std::time::Duration::from_millis(500);

pub(super) async fn stream<'s, S>(
    connection: &'s mut Connection,
    input: S,
    option: RPCOption,
) -> Result<Results<'s>, RPCError<TypeConfig>>
where
    S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
{
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
    let responses = connection.bounded(RPCTypes::AppendEntries, timeout, client.append(requests)).await?.into_inner();
    let results = responses.map(|response| match response {
        Ok(response) => wire::from_appended(response).map_err(bad_message),
        Err(status) => Err(unreachable_peer(&status)),
    });
    Ok(Box::pin(results))
}
