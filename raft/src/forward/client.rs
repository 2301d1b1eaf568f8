//! The way to the leader: batches of commands over one long-lived stream, and streams for read indexes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use snakepit_machine::Command;
use snakepit_proto::peer::forward_client::ForwardClient;
use snakepit_proto::peer::{self, propose_response};
use snakepit_storage::codec;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::transport::Channel;

use crate::ProposeError;
use crate::exchange::{self, Exchange};
use crate::network::{Channels, Purpose};
use crate::queue::GroupResult;

/// Batches that wait for the stream at most.
const STREAM_QUEUE: usize = 64;
/// Time that the leader has to take the stream.
const OPEN_TIMEOUT: Duration = Duration::from_millis(1_000);

type Waiting = Arc<Mutex<Pending>>;

/// Batches on their way over one stream.
#[derive(Debug, Default)]
struct Pending {
    next: u64,
    replies: BTreeMap<u64, oneshot::Sender<GroupResult>>,
    broken: bool,
}

#[derive(Clone, Debug)]
struct Stream {
    requests: mpsc::Sender<peer::ProposeRequest>,
    waiting: Waiting,
}

/// The way to the leader, whoever it is; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Forwarder {
    channels: Arc<Channels>,
    streams: Arc<tokio::sync::Mutex<BTreeMap<(u64, String), Stream>>>,
}

fn lock(waiting: &Waiting) -> std::sync::MutexGuard<'_, Pending> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

fn gone() -> ProposeError {
    ProposeError::NoLeader { leader: None }
}

impl Forwarder {
    pub(crate) fn new(channels: Arc<Channels>) -> Self {
        Self {
            channels,
            streams: Arc::default(),
        }
    }

    fn client(&self, leader: u64, address: &str) -> ForwardClient<Channel> {
        let limit = self.channels.message_bytes_max();
        ForwardClient::new(self.channels.get(leader, address, Purpose::Forward))
            .max_decoding_message_size(limit)
            .max_encoding_message_size(limit)
    }

    /// Whether commands can be sent there.
    pub(crate) async fn reach(&self, leader: u64, address: &str) -> bool {
        self.stream(leader, address).await.is_some()
    }

    /// Propose commands there. The outer error means that they cannot be sent at all.
    pub(crate) async fn propose(
        &self,
        leader: u64,
        address: &str,
        commands: &[&Command],
    ) -> Result<GroupResult, ProposeError> {
        let commands = commands
            .iter()
            .map(|command| codec::command::encode(command).map(Into::into))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| ProposeError::TooLarge(error.to_string()))?;
        let Some(stream) = self.stream(leader, address).await else {
            return Ok(Err(gone()));
        };
        let (reply, answer) = oneshot::channel();
        let sequence = {
            let mut pending = lock(&stream.waiting);
            if pending.broken {
                return Ok(Err(gone()));
            }
            pending.next += 1;
            let sequence = pending.next;
            pending.replies.insert(sequence, reply);
            sequence
        };
        if stream
            .requests
            .send(peer::ProposeRequest { sequence, commands })
            .await
            .is_err()
        {
            lock(&stream.waiting).replies.remove(&sequence);
            return Ok(Err(gone()));
        }
        let lost = || {
            Err(ProposeError::Unknown(
                "the connection to the leader broke".into(),
            ))
        };
        Ok(answer.await.unwrap_or_else(|_| lost()))
    }

    /// The stream to a leader; a new one where there is none or the old one broke.
    async fn stream(&self, leader: u64, address: &str) -> Option<Stream> {
        let mut streams = self.streams.lock().await;
        let key = (leader, address.to_owned());
        if let Some(stream) = streams.get(&key)
            && !lock(&stream.waiting).broken
        {
            return Some(stream.clone());
        }
        streams.remove(&key);
        let (requests, outgoing) = mpsc::channel(STREAM_QUEUE);
        let mut client = self.client(leader, address);
        let opened =
            tokio::time::timeout(OPEN_TIMEOUT, client.propose(ReceiverStream::new(outgoing))).await;
        let mut responses = opened.ok()?.ok()?.into_inner();
        let waiting = Waiting::default();
        let stream = Stream {
            requests,
            waiting: waiting.clone(),
        };
        streams.insert(key, stream.clone());
        tokio::spawn(async move {
            while let Ok(Some(response)) = responses.message().await {
                let reply = lock(&waiting).replies.remove(&response.sequence);
                if let Some(reply) = reply {
                    let _ = reply.send(result_of(response.result));
                }
            }
            let mut pending = lock(&waiting);
            pending.broken = true;
            // Dropping the replies tells whoever waits that the outcome is unknown.
            pending.replies.clear();
        });
        Some(stream)
    }

    /// A stream on which that node is asked for read indexes.
    pub(super) async fn read_indexes(
        &self,
        leader: u64,
        address: &str,
    ) -> Result<Exchange<peer::ReadIndexRequest, peer::ReadIndexResponse>, Status> {
        let (requests, outgoing) = exchange::requests();
        let opened = self.client(leader, address).read_index(outgoing).await?;
        Ok(Exchange::new(requests, opened.into_inner()))
    }
}

fn result_of(result: Option<propose_response::Result>) -> GroupResult {
    match result {
        Some(propose_response::Result::Proposed(proposed)) => {
            let outcomes = proposed
                .outcomes
                .iter()
                .map(|bytes| codec::outcome::decode(bytes))
                .collect::<Result<_, _>>();
            let outcomes = outcomes.map_err(|error| ProposeError::Unknown(error.to_string()))?;
            Ok((proposed.index, outcomes))
        }
        Some(propose_response::Result::NotLeader(other)) => Err(ProposeError::NoLeader {
            leader: (other.leader_id != 0).then_some(other.leader_id),
        }),
        Some(propose_response::Result::Refused(reason)) => Err(ProposeError::Exhausted(reason)),
        Some(propose_response::Result::Unknown(reason)) => Err(ProposeError::Unknown(reason)),
        None => Err(ProposeError::Unknown("the leader's answer is empty".into())),
    }
}
