//! Do the nodes hold the same, and is it what their events say?

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use snakepit_client::{Client, DigestResponse, EventQuery};
use snakepit_machine::Event;
use snakepit_storage::{Replay, StoredEvent};

use crate::Cluster;
use crate::deadline::eventually;

/// What all nodes that are up hold, at one log index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// The index.
    pub index: u64,
    /// Position of the last event.
    pub position: u64,
    /// Its hash.
    pub chain_head: Vec<u8>,
    /// Digest of all rows.
    pub rows_digest: Vec<u8>,
    /// How many rows.
    pub rows: u64,
}

impl Agreed {
    fn of(digest: &DigestResponse) -> Self {
        Self {
            index: digest.applied_index,
            position: digest.position,
            chain_head: digest.chain_head.to_vec(),
            rows_digest: digest.rows_digest.to_vec(),
            rows: digest.rows,
        }
    }
}

impl Cluster {
    /// Wait until all nodes that are up stand at the same index, with nothing under way, and require that they
    /// hold the same there.
    pub async fn agree(&self) -> Agreed {
        eventually("all nodes stand at the same index", || async {
            let newest = self
                .statuses()
                .await?
                .iter()
                .map(|s| s.committed_index)
                .max()
                .unwrap_or(0);
            let asked = self.up().into_iter().map(|id| async move {
                let digest = self.at(id).digest(newest).await;
                digest
                    .map(|digest| (id, Agreed::of(&digest)))
                    .map_err(|error| error.to_string())
            });
            let told = join_all(asked)
                .await
                .into_iter()
                .collect::<Result<Vec<_>, _>>()?;
            let (_, first) = told.first().cloned().ok_or("no node is up")?;
            if told.iter().any(|(_, other)| other.index != first.index) {
                return Err(format!("{told:?}"));
            }
            for (id, other) in &told {
                assert_eq!(
                    *other, first,
                    "node {id} and node {} differ at {}",
                    told[0].0, first.index
                );
            }
            Ok(first)
        })
        .await
    }

    /// As [`Cluster::agree`], and fold the events of each node again: the rows must come out that it serves.
    /// The events, in order.
    pub async fn verify(&self) -> Vec<Event> {
        let agreed = self.agree().await;
        let mut folded = Vec::new();
        for id in self.up() {
            let (replay, events) = fold(&self.at(id), agreed.position).await;
            assert_eq!(
                replay.chain_head().to_vec(),
                agreed.chain_head,
                "node {id}: chain head"
            );
            let digest = replay.rows_digest().expect("rows can be encoded");
            assert_eq!(digest.hash.to_vec(), agreed.rows_digest, "node {id}: rows");
            assert_eq!(digest.rows, agreed.rows, "node {id}: number of rows");
            folded = events;
        }
        folded
    }
}

/// Fold a node's events up to a position.
pub async fn fold(client: &Client, position: u64) -> (Replay, Vec<Event>) {
    let mut replay = Replay::new();
    let mut events = Vec::new();
    if position == 0 {
        return (replay, events);
    }
    let mut stored = client.read_events(EventQuery {
        limit: position,
        ..EventQuery::default()
    });
    while let Some(event) = stored.next().await {
        let event = event.expect("events can be read");
        let stored = StoredEvent {
            position: event.position,
            bytes: event.event.to_vec(),
            hash: event.hash.as_ref().try_into().expect("a hash has 32 bytes"),
        };
        events.push(
            replay
                .feed(&stored)
                .unwrap_or_else(|error| panic!("{error}")),
        );
    }
    assert_eq!(replay.position(), position, "all events were sent");
    (replay, events)
}

/// Events of one session that a node has.
pub async fn session_events(client: &Client, session: &str) -> Vec<Event> {
    let query = EventQuery {
        session: session.into(),
        ..EventQuery::default()
    };
    events(client, query).await
}

/// Events that a node has, as they are asked for.
pub async fn events(client: &Client, query: EventQuery) -> Vec<Event> {
    let stored: Vec<_> = client.read_events(query).collect().await;
    let decode = |event: snakepit_client::StoredEvent| {
        snakepit_proto::events::decode(&event.event).expect("an event that can be read")
    };
    stored
        .into_iter()
        .map(|event| decode(event.expect("events can be read")))
        .collect()
}
