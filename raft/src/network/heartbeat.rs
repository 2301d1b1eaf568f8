//! Heartbeats: one exchange after another over a stream that stays open, so that a heartbeat, or a read barrier of the
//! leader, costs one message each way.

use futures_util::{Stream, StreamExt};
use openraft::OptionalSend;
use openraft::base::BoxStream;
use openraft::error::RPCError;
use openraft::network::{RPCOption, RPCTypes};
use openraft::raft::{AppendEntriesRequest, StreamAppendResult};
use snakepit_proto::peer;

use super::{Connection, bad_message, unreachable_peer};
use crate::convert::wire;
use crate::exchange::{self, Exchange};
use crate::types::TypeConfig;

type Answer = Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>>;

/// A stream with nothing on its way.
pub(super) type Idle = Exchange<peer::AppendRequest, peer::AppendResponse>;

pub(super) fn exchange<'s, S>(
    connection: &'s mut Connection,
    input: S,
    option: RPCOption,
) -> BoxStream<'s, Answer>
where
    S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
{
    let answers = futures_util::stream::unfold(Some((connection, input)), move |state| {
        let option = option.clone();
        async move {
            let (connection, mut input) = state?;
            let request = input.next().await?;
            let answer = once(connection, request, &option).await;
            let goes_on = matches!(answer, Ok(Ok(_)));
            Some((answer, goes_on.then_some((connection, input))))
        }
    });
    Box::pin(answers)
}

async fn once(
    connection: &mut Connection,
    request: AppendEntriesRequest<TypeConfig>,
    option: &RPCOption,
) -> Answer {
    let request = wire::append(request).map_err(bad_message)?;
    let idle = match connection.idle.take() {
        Some(idle) => idle,
        None => open(connection, option).await?,
    };
    let answer = idle.ask(request).await;
    let (answer, idle) = answer.map_err(|status| unreachable_peer(&status))?;
    let response = wire::from_appended(answer).map_err(bad_message)?;
    // After a conflict or a higher vote the peer ends the stream.
    if response.is_ok() {
        connection.idle = Some(idle);
    }
    Ok(response)
}

async fn open(connection: &Connection, option: &RPCOption) -> Result<Idle, RPCError<TypeConfig>> {
    let (requests, outgoing) = exchange::requests();
    let mut client = connection.client.clone();
    let opening = client.append(outgoing);
    let responses = connection
        .bounded(RPCTypes::AppendEntries, option.hard_ttl(), opening)
        .await?;
    Ok(Exchange::new(requests, responses.into_inner()))
}
