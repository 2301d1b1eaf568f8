//! What a pool counts. All are labelled `pool`; times are in seconds.
//!
//! | Name | Kind | |
//! |---|---|---|
//! | `snakepit_worker_ready` | gauge | workers that serve |
//! | `snakepit_worker_starts_total` | counter | processes started |
//! | `snakepit_worker_start_seconds` | histogram | from spawn to hello |
//! | `snakepit_worker_exits_total` | counter | by `reason`: crashed, start_failed, killed, silent, drained, recycled, stopped |
//! | `snakepit_worker_messages_total` | counter | on workers' streams, by `direction`: in, out |
//! | `snakepit_call_total` | counter | calls ended, by `result`: ok, raised, lost, taken_back, refused |
//! | `snakepit_call_seconds` | histogram | from admission to answer |
//! | `snakepit_call_queue_seconds` | histogram | from admission until a worker was chosen |
//! | `snakepit_call_moved_total` | counter | calls that went to another worker than first chosen |
//! | `snakepit_call_queue_timeouts_total` | counter | calls that waited too long |
//! | `snakepit_call_retried_total` | counter | lost calls that were begun again |
//! | `snakepit_worker_restarts_total` | counter | workers started in another's place |
//! | `snakepit_worker_recycled_total` | counter | workers replaced on purpose, by `reason`: age, calls, memory, settings, asked |
//! | `snakepit_worker_tainted_total` | counter | places tainted by crashes |
//! | `snakepit_circuit_switched_total` | counter | circuits of tools, by `state` that they went to: open, half_open, closed |
//! | `snakepit_call_queued` | gauge | calls that wait |
//! | `snakepit_call_running` | gauge | calls at workers |

use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use super::state::circuit::Phase;
use super::state::{After, Ending, Switched};
use crate::telemetry::events;

/// A counter that can also be read.
struct Count {
    counter: Counter,
    total: AtomicU64,
}

impl Count {
    fn of(counter: Counter) -> Self {
        Self {
            counter,
            total: AtomicU64::new(0),
        }
    }

    fn add(&self) {
        self.counter.increment(1);
        self.total.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }
}

/// What a pool has counted since the node began.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) ok: u64,
    pub(super) raised: u64,
    pub(super) lost: u64,
    pub(super) taken_back: u64,
    pub(super) refused: u64,
    pub(super) queue_timeouts: u64,
    pub(super) retried: u64,
    pub(super) restarts: u64,
}

/// Handles, made once: the recorder must be installed before a pool is.
pub(super) struct Meters {
    pool: String,
    pub(super) ready: Gauge,
    pub(super) starts: Counter,
    pub(super) start_seconds: Histogram,
    pub(super) messages_in: Counter,
    pub(super) messages_out: Counter,
    ok: Count,
    raised: Count,
    lost: Count,
    taken_back: Count,
    refused: Count,
    queue_timeouts: Count,
    retried: Count,
    restarts: Count,
    seconds: Histogram,
    queue_seconds: Histogram,
    moved: Counter,
    pub(super) queued: Gauge,
    pub(super) running: Gauge,
}

impl Meters {
    pub(super) fn new(pool: &str) -> Self {
        let pool = pool.to_owned();
        let call = |result: &'static str| counter!("snakepit_call_total", "pool" => pool.clone(), "result" => result);
        let messages = |direction: &'static str| counter!("snakepit_worker_messages_total", "pool" => pool.clone(), "direction" => direction);
        Self {
            ready: gauge!("snakepit_worker_ready", "pool" => pool.clone()),
            starts: counter!("snakepit_worker_starts_total", "pool" => pool.clone()),
            start_seconds: histogram!("snakepit_worker_start_seconds", "pool" => pool.clone()),
            messages_in: messages("in"),
            messages_out: messages("out"),
            ok: Count::of(call("ok")),
            raised: Count::of(call("raised")),
            lost: Count::of(call("lost")),
            taken_back: Count::of(call("taken_back")),
            refused: Count::of(call("refused")),
            seconds: histogram!("snakepit_call_seconds", "pool" => pool.clone()),
            queue_timeouts: Count::of(
                counter!("snakepit_call_queue_timeouts_total", "pool" => pool.clone()),
            ),
            retried: Count::of(counter!("snakepit_call_retried_total", "pool" => pool.clone())),
            restarts: Count::of(counter!("snakepit_worker_restarts_total", "pool" => pool.clone())),
            queue_seconds: histogram!("snakepit_call_queue_seconds", "pool" => pool.clone()),
            moved: counter!("snakepit_call_moved_total", "pool" => pool.clone()),
            queued: gauge!("snakepit_call_queued", "pool" => pool.clone()),
            running: gauge!("snakepit_call_running", "pool" => pool.clone()),
            pool,
        }
    }

    /// Count a worker's end.
    pub(super) fn exit(&self, reason: &'static str) {
        counter!("snakepit_worker_exits_total", "pool" => self.pool.clone(), "reason" => reason)
            .increment(1);
    }

    /// A call was refused.
    pub(super) fn refused(&self) {
        self.refused.add();
    }

    /// A call waited too long.
    pub(super) fn queue_timeout(&self) {
        self.refused.add();
        self.queue_timeouts.add();
    }

    /// A call's caller has gone, or its time is over.
    pub(super) fn taken_back(&self) {
        self.taken_back.add();
    }

    /// A lost call runs again.
    pub(super) fn retried(&self) {
        self.retried.add();
    }

    /// A worker was started in another's place.
    pub(super) fn restarted(&self) {
        self.restarts.add();
    }

    /// A worker is replaced on purpose.
    pub(super) fn recycled(&self, reason: &'static str) {
        counter!("snakepit_worker_recycled_total", "pool" => self.pool.clone(), "reason" => reason)
            .increment(1);
    }

    /// A place is tainted.
    pub(super) fn tainted(&self) {
        counter!("snakepit_worker_tainted_total", "pool" => self.pool.clone()).increment(1);
    }

    /// What was counted so far.
    pub(super) fn totals(&self) -> Totals {
        Totals {
            ok: self.ok.get(),
            raised: self.raised.get(),
            lost: self.lost.get(),
            taken_back: self.taken_back.get(),
            refused: self.refused.get(),
            queue_timeouts: self.queue_timeouts.get(),
            retried: self.retried.get(),
            restarts: self.restarts.get(),
        }
    }

    fn switched(&self, switched: &Switched) {
        let (pool, tool) = (&self.pool, &switched.tool);
        let state = switched.to.name();
        counter!("snakepit_circuit_switched_total", "pool" => pool.clone(), "state" => state)
            .increment(1);
        match switched.to {
            Phase::Open => {
                tracing::warn!(
                    pool,
                    tool,
                    "circuit open: the tool's calls fail one after the other"
                );
                events::circuit_opened(pool, switched.failures, tool);
            }
            Phase::HalfOpen => events::circuit_half_open(pool, tool),
            Phase::Closed => {
                tracing::info!(pool, tool, "circuit closed");
                events::circuit_closed(pool, tool);
            }
        }
    }

    /// Count what happened under the lock.
    pub(super) fn take(&self, after: &After) {
        for waited in &after.waited {
            self.queue_seconds.record(waited.as_secs_f64());
        }
        for (took, ending) in &after.ended {
            self.seconds.record(took.as_secs_f64());
            match ending {
                Ending::Ok => self.ok.add(),
                Ending::Raised => self.raised.add(),
                Ending::Lost => self.lost.add(),
            }
        }
        for switched in &after.switched {
            self.switched(switched);
        }
        for call in &after.dispatched {
            let (context, waited) = (&call.context, call.waited);
            let (tool, correlation) = (&context.tool, &call.correlation_id);
            if call.queued {
                events::queue_dequeued(&self.pool, waited, tool, correlation);
            }
            let (worker, id) = (&context.worker_id, &context.call_id);
            events::call_dispatched(&self.pool, waited, tool, worker, id, correlation);
        }
        if after.moved > 0 {
            self.moved.increment(after.moved);
        }
    }
}
