//! What a pool is told: one value, with defaults and one check.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Most workers of one pool.
pub const SIZE_MAX: usize = 1024;
/// Most calls that one worker runs at once.
pub const SLOTS_MAX: u32 = 1024;
/// Most calls that one worker may have outstanding.
pub const CREDITS_MAX: u32 = 65_536;
/// Most calls that wait in one pool.
pub const QUEUE_MAX: usize = 1_000_000;
/// The longest any of the times may be: a day.
pub const TIME_MS_MAX: u64 = 86_400_000;
/// Bounds of the largest message between node and worker, in bytes.
pub const MESSAGE_BYTES_MIN: usize = 64 * 1024;
/// See [`MESSAGE_BYTES_MIN`].
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// The unanswered heartbeats that a busy worker is allowed, as a multiple of an idle one's: a tool may hold
/// the interpreter's lock inside foreign code for long, and its deadline bounds that already.
pub const BUSY_HEARTBEAT_FACTOR: u32 = 12;

/// Environment variables that the node sets itself.
const RESERVED: &[&str] = &[
    "SNAKEPIT_WORKER_SOCKET",
    "SNAKEPIT_WORKER_TOKEN",
    "SNAKEPIT_WORKER_ID",
    "SNAKEPIT_WORKER_ADAPTER",
    "SNAKEPIT_WORKER_SLOTS",
    "SNAKEPIT_WORKER_CREDITS",
    "SNAKEPIT_NODE_PID",
    "SNAKEPIT_NODE_ID",
    "SNAKEPIT_POOL",
    "SNAKEPIT_PROCESS",
    "SNAKEPIT_MESSAGE_BYTES_MAX",
];

/// A named set of alike workers. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PoolSettings {
    /// Names the pool on its node: letters, digits, `-` and `_`.
    pub name: String,
    /// What the workers serve: `pkg.mod` or `pkg.mod.Class`.
    pub adapter: String,
    /// How many workers there are; the number of cores.
    pub size: usize,
    /// How many calls a worker runs at once.
    pub slots: u32,
    /// The Python to run: a path or a name to be found in `PATH`.
    pub python: String,
    /// Environment of the workers, on top of the node's own without its `SNAKEPIT_*`.
    pub env: BTreeMap<String, String>,
    /// How many calls may wait for a worker.
    pub queue_max: usize,
    /// How long a call may wait for a worker.
    pub queue_timeout_ms: u64,
    /// The time of a call whose caller names none, waiting included.
    pub call_timeout_ms: u64,
    /// How long a sync tool may go on after its cancellation before its process is killed.
    pub cancel_grace_ms: u64,
    /// How many workers may be starting at once.
    pub start_batch: usize,
    /// How long a worker may take from its start to its hello.
    pub start_timeout_ms: u64,
    /// How long a worker may take to finish its calls when it is asked to end.
    pub drain_timeout_ms: u64,
    /// The pause before the first restart after a crash; it doubles with every further one.
    pub backoff_min_ms: u64,
    /// The longest pause before a restart; a worker that served this long counts as sound again.
    pub backoff_max_ms: u64,
    /// How often a worker tells that it is alive.
    pub heartbeat_interval_ms: u64,
    /// How many heartbeats an idle worker may miss before it is replaced; a busy one
    /// [`BUSY_HEARTBEAT_FACTOR`] times as many.
    pub heartbeat_misses_max: u32,
    /// How many calls a worker may have for each slot, running ones included. Only calls of tools that are
    /// known to be quick wait at a worker; others wait at the node, for whichever worker is free first.
    pub credits_per_slot: u32,
    /// How many chunks of a stream may be underway to a slow reader.
    pub chunk_credits: u32,
    /// The largest message between node and worker, in bytes.
    pub message_bytes_max: usize,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            name: "default".into(),
            adapter: String::new(),
            size: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            slots: 1,
            python: std::env::var("SNAKEPIT_PYTHON")
                .ok()
                .filter(|path| !path.is_empty())
                .unwrap_or_else(|| "python3".into()),
            env: BTreeMap::new(),
            queue_max: 1_000,
            queue_timeout_ms: 10_000,
            call_timeout_ms: 300_000,
            cancel_grace_ms: 500,
            start_batch: 4,
            start_timeout_ms: 30_000,
            drain_timeout_ms: 6_000,
            backoff_min_ms: 200,
            backoff_max_ms: 10_000,
            heartbeat_interval_ms: 2_000,
            heartbeat_misses_max: 5,
            credits_per_slot: 32,
            chunk_credits: 64,
            message_bytes_max: 64 * 1024 * 1024,
        }
    }
}

impl PoolSettings {
    /// What is wrong with them: each problem names the field, its limits and the remedy. Empty where nothing is.
    pub fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let name_fits = (1..=64).contains(&self.name.len())
            && self
                .name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if !name_fits {
            problems.push(format!(
                "name: {:?} is no pool name; use 1 to 64 letters, digits, `-` and `_`",
                self.name
            ));
        }
        if self.adapter.is_empty() || self.adapter.split('.').any(str::is_empty) {
            problems.push(format!(
                "adapter: {:?} is no dotted path; give `pkg.mod` or `pkg.mod.Class`",
                self.adapter
            ));
        }
        if self.python.is_empty() {
            problems.push(
                "python: is empty; give the path of an interpreter, or set SNAKEPIT_PYTHON".into(),
            );
        }
        let mut within = |field: &str, value: u64, low: u64, high: u64| {
            if !(low..=high).contains(&value) {
                problems.push(format!(
                    "{field}: {value} is out of bounds; give {low} to {high}"
                ));
            }
        };
        within("size", self.size as u64, 1, SIZE_MAX as u64);
        within("slots", self.slots.into(), 1, SLOTS_MAX.into());
        within("queue_max", self.queue_max as u64, 0, QUEUE_MAX as u64);
        within("queue_timeout_ms", self.queue_timeout_ms, 1, TIME_MS_MAX);
        within("call_timeout_ms", self.call_timeout_ms, 1, TIME_MS_MAX);
        within("cancel_grace_ms", self.cancel_grace_ms, 0, TIME_MS_MAX);
        within("start_batch", self.start_batch as u64, 1, SIZE_MAX as u64);
        within("start_timeout_ms", self.start_timeout_ms, 1, TIME_MS_MAX);
        within("drain_timeout_ms", self.drain_timeout_ms, 0, TIME_MS_MAX);
        within("backoff_min_ms", self.backoff_min_ms, 1, TIME_MS_MAX);
        within(
            "backoff_max_ms",
            self.backoff_max_ms,
            self.backoff_min_ms,
            TIME_MS_MAX,
        );
        within(
            "heartbeat_interval_ms",
            self.heartbeat_interval_ms,
            10,
            TIME_MS_MAX,
        );
        within(
            "heartbeat_misses_max",
            self.heartbeat_misses_max.into(),
            1,
            1_000,
        );
        let credits = u64::from(CREDITS_MAX / self.slots.max(1));
        within(
            "credits_per_slot",
            self.credits_per_slot.into(),
            1,
            credits.max(1),
        );
        within(
            "chunk_credits",
            self.chunk_credits.into(),
            1,
            CREDITS_MAX.into(),
        );
        let bytes = (MESSAGE_BYTES_MIN as u64, MESSAGE_BYTES_MAX as u64);
        within(
            "message_bytes_max",
            self.message_bytes_max as u64,
            bytes.0,
            bytes.1,
        );
        for name in self.env.keys() {
            if RESERVED.contains(&name.as_str()) {
                problems.push(format!(
                    "env: {name} is set by the node itself; leave it out"
                ));
            } else if name.is_empty() || name.contains(['=', '\0']) {
                problems.push(format!(
                    "env: {name:?} is no variable's name; mend or leave it out"
                ));
            }
        }
        for (name, value) in &self.env {
            if value.contains('\0') {
                problems.push(format!(
                    "env: the value of {name} holds a zero byte; leave it out"
                ));
            }
        }
        problems
    }

    /// How many calls a worker may have outstanding.
    pub(super) fn credits(&self) -> u32 {
        self.slots
            .saturating_mul(self.credits_per_slot)
            .min(CREDITS_MAX)
    }

    /// How long a worker may say nothing before it is replaced.
    pub(super) fn silence_max(&self, busy: bool) -> Duration {
        let misses = if busy {
            self.heartbeat_misses_max * BUSY_HEARTBEAT_FACTOR
        } else {
            self.heartbeat_misses_max
        };
        Duration::from_millis(self.heartbeat_interval_ms) * misses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_lack_only_an_adapter() {
        let problems = PoolSettings::default().validate();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("adapter:"));
    }

    #[test]
    fn each_problem_names_its_field() {
        let settings = PoolSettings {
            name: "a b".into(),
            adapter: "x..y".into(),
            size: 0,
            slots: 0,
            backoff_min_ms: 10,
            backoff_max_ms: 5,
            env: BTreeMap::from([("SNAKEPIT_NODE_PID".into(), "1".into())]),
            ..Default::default()
        };
        let fields: Vec<_> = settings
            .validate()
            .iter()
            .map(|text| text.split(':').next().unwrap().to_owned())
            .collect();
        assert_eq!(
            fields,
            ["name", "adapter", "size", "slots", "backoff_max_ms", "env"]
        );
    }

    #[test]
    fn unknown_fields_are_refused() {
        let text = "adapter = \"a.b\"\nsizes = 3";
        assert!(
            toml::from_str::<PoolSettings>(text)
                .unwrap_err()
                .to_string()
                .contains("sizes")
        );
    }
}
