//! What happens to pools, workers and calls, as events under Snakepit's names: a function for each, which
//! counts it, records it at `debug`, and shows it to whoever listens ([`subscribe`]). Where nobody listens an
//! event costs a counter.
//!
//! `docs/telemetry.md` lists them; a test compares the two.

mod bus;
mod filter;

#[cfg(test)]
mod tests;

use std::time::Duration;

use metrics::{counter, describe_counter};

pub use self::bus::{
    EVENT_BYTES_MAX, Subscription, close, dropped_by_worker, forward, listened, subscribe,
};
pub use self::filter::Filter;

/// Events of this node, by `event` and `pool`.
pub const EVENTS_TOTAL: &str = "snakepit_telemetry_events_total";
/// Events that workers sent.
pub const FORWARDED_TOTAL: &str = "snakepit_telemetry_forwarded_total";
/// Events that were dropped, by `reason`.
pub const DROPPED_TOTAL: &str = "snakepit_telemetry_dropped_total";

/// Says what the metrics of this module are.
pub(super) fn describe() {
    describe_counter!(EVENTS_TOTAL, "Events of pools, workers and calls");
    describe_counter!(FORWARDED_TOTAL, "Events that workers sent");
    describe_counter!(DROPPED_TOTAL, "Events that were dropped");
}

/// A kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventKind {
    /// Its name: parts with dots between.
    pub name: &'static str,
    /// Names of its measurements.
    pub measurements: &'static [&'static str],
    /// Names of its metadata beside `pool`.
    pub metadata: &'static [&'static str],
}

/// A measurement, as the whole number that is sent.
trait Measure {
    fn number(self) -> i64;
}

impl Measure for u32 {
    fn number(self) -> i64 {
        self.into()
    }
}

impl Measure for u64 {
    fn number(self) -> i64 {
        i64::try_from(self).unwrap_or(i64::MAX)
    }
}

impl Measure for usize {
    fn number(self) -> i64 {
        i64::try_from(self).unwrap_or(i64::MAX)
    }
}

/// In microseconds.
impl Measure for Duration {
    fn number(self) -> i64 {
        i64::try_from(self.as_micros()).unwrap_or(i64::MAX)
    }
}

/// Declares the events: `function "name" { argument: type => "measurement" } [ metadata ]`.
macro_rules! events {
    ($(
        $(#[$doc:meta])*
        $function:ident $name:literal
            { $( $measure:ident: $type:ty => $measurement:literal ),* }
            [ $( $said:ident ),* ];
    )*) => {
        /// All kinds of events of a node, in the order of the documentation.
        pub const KINDS: &[EventKind] = &[ $(
            EventKind {
                name: $name,
                measurements: &[ $( $measurement ),* ],
                metadata: &[ $( stringify!($said) ),* ],
            },
        )* ];

        $(
            $(#[$doc])*
            pub fn $function(pool: &str $(, $measure: $type)* $(, $said: &str)*) {
                fire(
                    $name,
                    pool,
                    &[ $( ($measurement, Measure::number($measure)) ),* ],
                    &[ $( (stringify!($said), $said) ),* ],
                );
            }
        )*
    };
}

events! {
    /// All workers of a pool serve for the first time.
    pool_initialized "pool.initialized" { workers: usize => "workers", took: Duration => "duration_us" } [];
    /// A call is refused because the pool's queue is full.
    pool_saturated "pool.saturated" { queued: usize => "queued" } [tool, correlation_id];
    /// A call begins to wait for a worker.
    queue_enqueued "pool.queue.enqueued" { queued: usize => "queued" } [tool, correlation_id];
    /// A call that waited has a worker.
    queue_dequeued "pool.queue.dequeued" { waited: Duration => "waited_us" } [tool, correlation_id];
    /// A call waited too long.
    queue_timeout "pool.queue.timeout" { waited: Duration => "waited_us" } [tool, correlation_id];
    /// A call goes to a worker.
    call_dispatched "pool.call.dispatched" { waited: Duration => "waited_us" } [tool, worker_id, call_id, correlation_id];
    /// A call has ended: `result` is ok, raised, lost, taken_back or refused.
    request_executed "request.executed" { took: Duration => "duration_us" } [tool, worker_id, call_id, result, correlation_id];
    /// The process of a worker is started.
    worker_spawned "pool.worker.spawned" {} [worker_id];
    /// A worker has said hello and serves.
    worker_ready "pool.worker.ready" { took: Duration => "duration_us" } [worker_id];
    /// The process of a worker has ended, as it should or not.
    worker_terminated "pool.worker.terminated" { lived: Duration => "duration_us" } [worker_id, reason];
    /// A worker has died by itself.
    worker_crash "worker.crash" { calls_lost: usize => "calls_lost" } [worker_id, reason];
    /// A worker gets no calls for a while.
    worker_tainted "worker.tainted" { period: Duration => "duration_us" } [worker_id, reason];
    /// A worker is started again after its end.
    worker_restarted "worker.restarted" { restarts: u32 => "restarts", pause: Duration => "pause_us" } [worker_id, reason];
    /// A worker is replaced on purpose: `reason` is age, calls, memory, settings or asked.
    worker_recycled "worker.recycled" { calls: u64 => "calls" } [worker_id, reason];
    /// A worker was silent for too long.
    heartbeat_timeout "heartbeat.heartbeat_timeout" { missed: u32 => "missed" } [worker_id];
    /// A tool fails again and again, and gets no calls for a while.
    circuit_opened "circuit_breaker.opened" { failures: u32 => "failures" } [tool];
    /// A tool gets a call on trial.
    circuit_half_open "circuit_breaker.half_open" {} [tool];
    /// A tool works again.
    circuit_closed "circuit_breaker.closed" {} [tool];
    /// A call is tried again.
    retry_attempt "retry.attempt" { attempt: u32 => "attempt", pause: Duration => "pause_us" } [tool, call_id, reason, correlation_id];
    /// A call that was tried again has succeeded.
    retry_success "retry.success" { attempts: u32 => "attempts" } [tool, call_id, correlation_id];
    /// A call has failed as often as it may be tried.
    retry_exhausted "retry.exhausted" { attempts: u32 => "attempts" } [tool, call_id, reason, correlation_id];
    /// Calls of a session go to one worker from now on.
    affinity_assigned "session.affinity.assigned" {} [session_id, worker_id];
    /// They no longer do.
    affinity_broken "session.affinity.broken" {} [session_id, worker_id, reason];
    /// Processes of an earlier run, or of a pool that ends, are cleared away.
    cleanup_start "cleanup.start" { processes: usize => "processes" } [];
    /// All of them are gone.
    cleanup_success "cleanup.success" { processes: usize => "processes", took: Duration => "duration_us" } [];
    /// Some had to be killed.
    cleanup_timeout "cleanup.timeout" { processes: usize => "processes", took: Duration => "duration_us" } [];
}

fn fire(
    name: &'static str,
    pool: &str,
    measurements: &[(&'static str, i64)],
    metadata: &[(&'static str, &str)],
) {
    counter!(EVENTS_TOTAL, "event" => name, "pool" => pool.to_owned()).increment(1);
    tracing::debug!(target: "snakepit::events", pool, ?measurements, ?metadata, "{name}");
    if listened() {
        bus::publish(bus::event(name, pool, measurements, metadata));
    }
}
