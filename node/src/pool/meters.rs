//! What a pool counts. All are labelled `pool`; times are in seconds.
//!
//! | Name | Kind | |
//! |---|---|---|
//! | `snakepit_worker_ready` | gauge | workers that serve |
//! | `snakepit_worker_starts_total` | counter | processes started |
//! | `snakepit_worker_start_seconds` | histogram | from spawn to hello |
//! | `snakepit_worker_exits_total` | counter | by `reason`: crashed, start_failed, killed, silent, drained, stopped |
//! | `snakepit_worker_messages_total` | counter | on workers' streams, by `direction`: in, out |
//! | `snakepit_call_total` | counter | calls ended, by `result`: ok, raised, lost, taken_back, refused |
//! | `snakepit_call_seconds` | histogram | from admission to answer |
//! | `snakepit_call_queue_seconds` | histogram | from admission until a worker was chosen |
//! | `snakepit_call_moved_total` | counter | calls that went to another worker than first chosen |
//! | `snakepit_call_queued` | gauge | calls that wait |
//! | `snakepit_call_running` | gauge | calls at workers |

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use super::state::{After, Ending};

/// Handles, made once: the recorder must be installed before a pool is.
pub(super) struct Meters {
    pool: String,
    pub(super) ready: Gauge,
    pub(super) starts: Counter,
    pub(super) start_seconds: Histogram,
    pub(super) messages_in: Counter,
    pub(super) messages_out: Counter,
    ok: Counter,
    raised: Counter,
    lost: Counter,
    pub(super) taken_back: Counter,
    pub(super) refused: Counter,
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
            ok: call("ok"),
            raised: call("raised"),
            lost: call("lost"),
            taken_back: call("taken_back"),
            refused: call("refused"),
            seconds: histogram!("snakepit_call_seconds", "pool" => pool.clone()),
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

    /// Count what happened under the lock.
    pub(super) fn take(&self, after: &After) {
        for waited in &after.waited {
            self.queue_seconds.record(waited.as_secs_f64());
        }
        for (took, ending) in &after.ended {
            self.seconds.record(took.as_secs_f64());
            match ending {
                Ending::Ok => self.ok.increment(1),
                Ending::Raised => self.raised.increment(1),
                Ending::Lost => self.lost.increment(1),
            }
        }
        if after.moved > 0 {
            self.moved.increment(after.moved);
        }
    }
}
