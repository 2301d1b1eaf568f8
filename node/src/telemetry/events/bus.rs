//! Where events go: a channel that drops the oldest ones for readers that are slow.

use std::sync::{Arc, LazyLock};
use std::time::{SystemTime, UNIX_EPOCH};

use metrics::counter;
use prost::Message as _;
use snakepit_proto::bridge::telemetry_value::Value;
use snakepit_proto::bridge::{TelemetryEvent, TelemetryValue};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender};
use tokio_util::sync::CancellationToken;

use super::{DROPPED_TOTAL, FORWARDED_TOTAL};

/// Events that may wait for one reader.
const EVENTS_MAX: usize = 1_024;
/// Size of an event of a worker; a larger one is dropped.
pub const EVENT_BYTES_MAX: usize = 16 << 10;

/// The process's events.
static BUS: LazyLock<Sender<Arc<TelemetryEvent>>> = LazyLock::new(|| Sender::new(EVENTS_MAX));

/// Cancelled when no more events are to be read.
static CLOSED: LazyLock<CancellationToken> = LazyLock::new(CancellationToken::new);

/// Reads the events of this node and those of its workers, from now on.
#[derive(Debug)]
pub struct Subscription(Receiver<Arc<TelemetryEvent>>);

impl Subscription {
    /// The next event; none once the node stops. What was dropped because this reader was slow is counted.
    pub async fn recv(&mut self) -> Option<Arc<TelemetryEvent>> {
        loop {
            let received = tokio::select! {
                biased;
                received = self.0.recv() => received,
                () = CLOSED.cancelled() => return None,
            };
            match received {
                Ok(event) => return Some(event),
                Err(RecvError::Lagged(missed)) => {
                    counter!(DROPPED_TOTAL, "reason" => "slow_reader").increment(missed);
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

/// Listen to events. They are made only while somebody does.
pub fn subscribe() -> Subscription {
    Subscription(BUS.subscribe())
}

/// End all subscriptions, once they have what was sent: the node stops.
pub fn close() {
    CLOSED.cancel();
}

/// Whether anybody listens: workers need not send events otherwise.
pub fn listened() -> bool {
    BUS.receiver_count() > 0
}

/// Show an event of a worker to whoever listens. One that is larger than [`EVENT_BYTES_MAX`] is dropped.
pub fn forward(event: TelemetryEvent) {
    if event.encoded_len() > EVENT_BYTES_MAX {
        counter!(DROPPED_TOTAL, "reason" => "too_large").increment(1);
        return;
    }
    counter!(FORWARDED_TOTAL).increment(1);
    publish(event);
}

/// Count events that a worker dropped because the node did not keep up: how many more than it told before.
pub fn dropped_by_worker(count: u64) {
    counter!(DROPPED_TOTAL, "reason" => "slow_node").increment(count);
}

pub(super) fn publish(event: TelemetryEvent) {
    // Nobody may listen any more.
    let _ = BUS.send(Arc::new(event));
}

/// An event of this node. The correlation id has a place of its own in it.
pub(super) fn event(
    name: &str,
    pool: &str,
    measurements: &[(&'static str, i64)],
    metadata: &[(&'static str, &str)],
) -> TelemetryEvent {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let mut event = TelemetryEvent {
        event_parts: name.split('.').map(str::to_owned).collect(),
        timestamp_ns: i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        ..TelemetryEvent::default()
    };
    for (key, number) in measurements {
        let value = Some(Value::IntValue(*number));
        event
            .measurements
            .insert((*key).to_owned(), TelemetryValue { value });
    }
    for (key, text) in metadata {
        if *key == "correlation_id" {
            event.correlation_id = (*text).to_owned();
        } else if !text.is_empty() {
            event.metadata.insert((*key).to_owned(), (*text).to_owned());
        }
    }
    if !pool.is_empty() {
        event.metadata.insert("pool".to_owned(), pool.to_owned());
    }
    event
}
