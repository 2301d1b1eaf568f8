//! Stored events for a stream: from a position on, those that pass a filter, and those to come.

use std::io;

use snakepit_proto::cluster::{self, EventFilter, ReadEventsRequest};
use snakepit_storage::{StateStore, StoredEvent};
use tokio::sync::mpsc;
use tonic::Status;

use super::super::{Failure, Node};
use crate::evidence::filter;

/// Events read at once.
const READ_EVENTS: usize = 1_024;
/// Bytes of events read at once.
const READ_BYTES: usize = 1 << 20;

/// Where events are read: in the whole log, or along one of its indexes.
#[derive(Clone)]
enum Along {
    Log,
    Session(String),
    Call(String),
}

/// What was read.
struct Found {
    events: Vec<StoredEvent>,
    /// The last position that was looked at; `None` at the end of what there is.
    last: Option<u64>,
}

/// Send events from a position on, and, where it is asked for, those to come.
pub(super) async fn send(
    node: &Node,
    request: ReadEventsRequest,
    to: &mpsc::Sender<Result<cluster::StoredEvent, Status>>,
) -> Result<(), Failure> {
    let wanted = request.filter.unwrap_or_default();
    filter::check(&wanted).map_err(Failure::Invalid)?;
    let to_position = some(request.to_position).unwrap_or(u64::MAX);
    let mut left = some(request.limit).unwrap_or(u64::MAX);
    let mut position = request.from_position.max(1);
    if wanted.since_ms > 0 {
        let before = wanted.since_ms - 1;
        let earlier = node
            .blocking(move |state| state.position_at(before))
            .await?;
        position = position.max(earlier + 1);
    }
    let along = if !request.journal_of.is_empty() {
        Along::Call(request.journal_of)
    } else if !request.session_id.is_empty() {
        Along::Session(request.session_id)
    } else {
        Along::Log
    };
    let mut applied = node.group.applied_index();
    let _following = request.follow.then(|| applied.follow());
    loop {
        // What the log holds now; in a session's own log positions jump.
        let end = node.state.head().position.min(to_position);
        while position <= end && left > 0 {
            let (along, wanted) = (along.clone(), wanted.clone());
            let read = node.blocking(move |state| read(state, &along, &wanted, position));
            let found = read.await?;
            let Some(last) = found.last else { break };
            position = last + 1;
            for event in found.events {
                if left == 0 || event.position > to_position {
                    return Ok(());
                }
                left -= 1;
                if to.send(Ok(message(event))).await.is_err() {
                    return Ok(());
                }
            }
        }
        if !request.follow || left == 0 || end == to_position {
            return Ok(());
        }
        position = position.max(end + 1);
        tokio::select! {
            () = to.closed() => return Ok(()),
            changed = applied.changed() => if changed.is_err() { return Ok(()) },
        }
    }
}

fn some(number: u64) -> Option<u64> {
    (number > 0).then_some(number)
}

fn message(event: StoredEvent) -> cluster::StoredEvent {
    cluster::StoredEvent {
        position: event.position,
        event: event.bytes.into(),
        hash: event.hash.to_vec().into(),
    }
}

fn read(state: &StateStore, along: &Along, wanted: &EventFilter, from: u64) -> io::Result<Found> {
    let mut events = match along {
        Along::Log => state.events(from, READ_EVENTS, READ_BYTES),
        Along::Session(id) => state.session_events(id, from, READ_EVENTS, READ_BYTES),
        Along::Call(id) => state.call_events(id, from, READ_EVENTS, READ_BYTES),
    }?;
    let last = events.last().map(|event| event.position);
    if !filter::is_open(wanted) {
        let mut unreadable = None;
        events.retain(
            |stored| match snakepit_proto::events::decode(&stored.bytes) {
                Ok(event) => filter::passes(wanted, &event),
                Err(error) => {
                    unreadable.get_or_insert((stored.position, error));
                    false
                }
            },
        );
        if let Some((position, error)) = unreadable {
            let message = format!("event {position}: {error}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
    }
    Ok(Found { events, last })
}
