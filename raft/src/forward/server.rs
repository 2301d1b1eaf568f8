//! Takes batches and read barriers for other nodes, where this one leads.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use snakepit_proto::peer::{self, forward_server, propose_response, read_index_response};
use snakepit_storage::codec;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use crate::ProposeError;
use crate::intake::Intake;
use crate::network::Channels;
use crate::queue::GroupResult;
use crate::reads::Reads;

/// Answers that wait for the stream at most; then no further batch is taken from it.
const ANSWERS_WAITING: usize = 64;
/// A stream ends once nothing has come for so long on a node that stops: until then, who sends is told that nothing was done.
const LAST_BATCHES: Duration = Duration::from_millis(100);

/// Serves [`peer::forward_server::Forward`].
#[derive(Debug)]
pub(crate) struct ForwardService {
    pub(crate) intake: Intake,
    pub(crate) reads: Reads,
    pub(crate) channels: Arc<Channels>,
    /// The group stops. Others hold their streams for as long as they are served.
    pub(crate) stop: CancellationToken,
}

#[tonic::async_trait]
impl forward_server::Forward for ForwardService {
    type ProposeStream = Pin<Box<dyn Stream<Item = Result<peer::ProposeResponse, Status>> + Send>>;

    async fn propose(
        &self,
        request: Request<Streaming<peer::ProposeRequest>>,
    ) -> Result<Response<Self::ProposeStream>, Status> {
        let mut requests = request.into_inner();
        let (intake, stop) = (self.intake.clone(), self.stop.clone());
        let (answers, outgoing) = mpsc::channel(ANSWERS_WAITING);
        tokio::spawn(async move {
            while let Some(request) = next(&mut requests, &stop).await {
                let Ok(place) = answers.clone().reserve_owned().await else {
                    break;
                };
                let sequence = request.sequence;
                let taken = take(&intake, request);
                tokio::spawn(async move {
                    let result = match taken {
                        Ok(waiting) => waiting.await.unwrap_or(Err(ProposeError::Stopping)),
                        Err(error) => Err(error),
                    };
                    place.send(Ok(peer::ProposeResponse {
                        sequence,
                        result: Some(wire(result)),
                    }));
                });
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(outgoing))))
    }

    type ReadIndexStream =
        Pin<Box<dyn Stream<Item = Result<peer::ReadIndexResponse, Status>> + Send>>;

    async fn read_index(
        &self,
        request: Request<Streaming<peer::ReadIndexRequest>>,
    ) -> Result<Response<Self::ReadIndexStream>, Status> {
        let (reads, channels) = (self.reads.clone(), self.channels.clone());
        let answers = request.into_inner().then(move |request| {
            let (reads, channels) = (reads.clone(), channels.clone());
            async move { Ok(confirm(&reads, &channels, request?).await) }
        });
        let answers = answers.take_until(self.stop.clone().cancelled_owned());
        Ok(Response::new(Box::pin(answers)))
    }
}

/// A read index for another node, which is told at once of what is committed.
async fn confirm(
    reads: &Reads,
    channels: &Channels,
    request: peer::ReadIndexRequest,
) -> peer::ReadIndexResponse {
    let peer::ReadIndexRequest { lease, vouch } = request;
    let result = match reads.confirm_here(lease, vouch).await {
        Ok((index, time_ms)) => {
            channels.await_commit(index);
            read_index_response::Result::Barrier(peer::Barrier { index, time_ms })
        }
        Err(error) => read_index_response::Result::Failed(error.to_string()),
    };
    peer::ReadIndexResponse {
        result: Some(result),
    }
}

/// The next batch, as long as there may be one.
async fn next(
    requests: &mut Streaming<peer::ProposeRequest>,
    stop: &CancellationToken,
) -> Option<peer::ProposeRequest> {
    let stopped_and_silent = async {
        stop.cancelled().await;
        tokio::time::sleep(LAST_BATCHES).await;
    };
    tokio::select! {
        request = requests.message() => request.ok().flatten(),
        () = stopped_and_silent => None,
    }
}

fn take(
    intake: &Intake,
    request: peer::ProposeRequest,
) -> Result<tokio::sync::oneshot::Receiver<GroupResult>, ProposeError> {
    let bytes = request.commands.iter().map(bytes::Bytes::len).sum();
    let commands = request
        .commands
        .iter()
        .map(|bytes| codec::command::decode(bytes))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| ProposeError::Exhausted(error.to_string()))?;
    intake
        .take(commands, bytes, true)
        .map(|(waiting, _)| waiting)
}

fn wire(result: GroupResult) -> propose_response::Result {
    use propose_response::Result as Wire;
    match result {
        Ok((index, outcomes)) => {
            let encoded = outcomes
                .iter()
                .map(|outcome| codec::outcome::encode(outcome).map(Into::into));
            match encoded.collect::<Result<Vec<_>, _>>() {
                Ok(outcomes) => Wire::Proposed(peer::Proposed { index, outcomes }),
                Err(error) => Wire::Unknown(error.to_string()),
            }
        }
        Err(ProposeError::NoLeader { leader }) => Wire::NotLeader(peer::NotLeader {
            leader_id: leader.unwrap_or(0),
        }),
        Err(ProposeError::Stopping) => Wire::NotLeader(peer::NotLeader { leader_id: 0 }),
        Err(ProposeError::Unknown(reason)) => Wire::Unknown(reason),
        Err(error @ (ProposeError::Exhausted(_) | ProposeError::TooLarge(_))) => {
            Wire::Refused(error.to_string())
        }
    }
}
