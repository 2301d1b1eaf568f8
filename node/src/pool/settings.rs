//! What a pool is told: one value, with defaults and one check.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::labels::{key_problem, value_problem, wanted_problem};

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
    "SNAKEPIT_WORKER_FRAMES",
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
    "SNAKEPIT_WORKER_CONCURRENCY",
    "SNAKEPIT_WORKER_INSTANCE",
    "SNAKEPIT_WORKER_RECONNECT_MS",
    INSTANCE,
];

/// Names all processes of one life of a node, whatever they do to their group or session: see `guard`.
pub(super) const INSTANCE: &str = "SNAKEPIT_INSTANCE";
/// Most labels that a pool has or wants.
pub const LABELS_MAX: usize = 64;

macro_rules! word {
    ($(#[$doc:meta])* $name:ident { $($(#[$item_doc:meta])* $item:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$item_doc])* $item),*
        }

        impl $name {
            /// The one of that name.
            pub fn named(name: &str) -> Option<Self> {
                [$(Self::$item),*].into_iter().find(|item| item.name() == name)
            }

            /// As it is written in settings.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$item => $text),*
                }
            }
        }
    };
}

word! {
    /// How a worker's slots run at once.
    Concurrency {
        /// One call at a time; more workers run more.
        #[default]
        Process = "process",
        /// A thread for each slot.
        Thread = "thread",
        /// Async tools share a loop, `slots` at once; sync ones take turns.
        Asyncio = "asyncio",
    }
}

word! {
    /// How workers' processes are started.
    Start {
        /// Forked from a process that has loaded the runtime: in a few milliseconds.
        #[default]
        Fork = "fork",
        /// Each by itself.
        Spawn = "spawn",
    }
}

word! {
    /// Which worker the calls of a session go to.
    Affinity {
        /// The same one while it is free, else another.
        #[default]
        Hint = "hint",
        /// Always the same one; calls wait for it.
        StrictQueue = "strict_queue",
        /// Always the same one; calls are refused while it is busy.
        StrictFailFast = "strict_fail_fast",
    }
}

word! {
    /// What the log keeps of calls.
    Journal {
        /// Nothing.
        Off = "off",
        /// That they ran: who, what, where, how long, how they ended; without holding up the answer.
        #[default]
        Outcome = "outcome",
        /// Arguments before they begin, results before they are answered.
        Full = "full",
    }
}

word! {
    /// How long an adapter's instance lives.
    Instance {
        /// As the adapter says.
        #[default]
        Adapter = "adapter",
        /// One for each call.
        Request = "request",
        /// One for each worker.
        Worker = "worker",
    }
}

/// A named set of alike workers. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PoolSettings {
    /// Names the pool on its node: letters, digits, `-` and `_`.
    pub name: String,
    /// What the workers serve: `pkg.mod` or `pkg.mod.Class`.
    pub adapter: String,
    /// How many workers there are on each node; the number of cores.
    pub size: usize,
    /// How many calls a worker runs at once.
    pub slots: u32,
    /// The Python to run: a path or a name to be found in `PATH`.
    pub python: String,
    /// A virtual environment, whose Python is run in place of `python`; empty: none.
    pub venv: String,
    /// Another command than `PYTHON -m snakepit.worker`, with its arguments; empty: none. It is started by
    /// itself for each worker.
    pub command: Vec<String>,
    /// Where the workers run; empty: where the node does.
    pub cwd: String,
    /// Environment of the workers, on top of the node's own without its `SNAKEPIT_*`.
    pub env: BTreeMap<String, String>,
    /// What is told of the pool.
    pub labels: BTreeMap<String, String>,
    /// Labels that a node must have for its share of the pool: a value, `*`, or `>=N`.
    pub placement: BTreeMap<String, String>,
    /// How slots run at once.
    pub concurrency: Concurrency,
    /// How long an adapter's instance lives.
    pub instance: Instance,
    /// How processes are started.
    pub start: Start,
    /// Whether the adapter is loaded before workers are forked: faster and smaller, but not for adapters that
    /// start threads when they are imported.
    pub preload: bool,
    /// Which worker a session's calls go to.
    pub affinity: Affinity,
    /// What the log keeps of calls.
    pub journal: Journal,
    /// How often an idempotent call runs again after it was lost.
    pub retries_max: u32,
    /// The pause before the first of these; it doubles with each, less a random part of a quarter.
    pub retry_backoff_ms: u64,
    /// The longest pause between them.
    pub retry_backoff_max_ms: u64,
    /// Calls of a tool that are lost or run out of time one after the other, after which the pool refuses the
    /// tool for a while; 0: never.
    pub breaker_failures: u32,
    /// How long it does so before it tries again.
    pub breaker_reset_ms: u64,
    /// Calls that it lets through to try.
    pub breaker_trials: u32,
    /// Crashes within `taint_ms` in one worker's place that taint it: it gets calls only where no other worker
    /// is there; 0: never.
    pub taint_crashes: u32,
    /// How long a place stays tainted after its last crash.
    pub taint_ms: u64,
    /// Age at which a worker is replaced, with a random tenth more; 0: never.
    pub recycle_age_ms: u64,
    /// Calls after which a worker is replaced; 0: never.
    pub recycle_calls: u64,
    /// Memory of a worker's process at which it is replaced, in bytes; 0: never.
    pub recycle_rss_bytes: u64,
    /// How long a worker whose stream broke may take to come back, while its process lives.
    pub reconnect_ms: u64,
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
            venv: String::new(),
            command: Vec::new(),
            cwd: String::new(),
            env: BTreeMap::new(),
            labels: BTreeMap::new(),
            placement: BTreeMap::new(),
            concurrency: Concurrency::default(),
            instance: Instance::default(),
            start: Start::default(),
            preload: false,
            affinity: Affinity::default(),
            journal: Journal::default(),
            retries_max: 2,
            retry_backoff_ms: 100,
            retry_backoff_max_ms: 30_000,
            breaker_failures: 5,
            breaker_reset_ms: 30_000,
            breaker_trials: 1,
            taint_crashes: 3,
            taint_ms: 60_000,
            recycle_age_ms: 0,
            recycle_calls: 0,
            recycle_rss_bytes: 0,
            reconnect_ms: 5_000,
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
        within("size", self.size as u64, 0, SIZE_MAX as u64);
        within("slots", self.slots.into(), 1, SLOTS_MAX.into());
        within("retries_max", self.retries_max.into(), 0, 100);
        within("retry_backoff_ms", self.retry_backoff_ms, 1, TIME_MS_MAX);
        within(
            "retry_backoff_max_ms",
            self.retry_backoff_max_ms,
            self.retry_backoff_ms,
            TIME_MS_MAX,
        );
        within("breaker_failures", self.breaker_failures.into(), 0, 10_000);
        within("breaker_reset_ms", self.breaker_reset_ms, 1, TIME_MS_MAX);
        within("breaker_trials", self.breaker_trials.into(), 1, 1_000);
        within("taint_crashes", self.taint_crashes.into(), 0, 1_000);
        within("taint_ms", self.taint_ms, 1, TIME_MS_MAX);
        within("recycle_age_ms", self.recycle_age_ms, 0, 365 * TIME_MS_MAX);
        within("recycle_calls", self.recycle_calls, 0, u64::MAX);
        within("recycle_rss_bytes", self.recycle_rss_bytes, 0, 1 << 50);
        within("reconnect_ms", self.reconnect_ms, 0, TIME_MS_MAX);
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
        if self.concurrency == Concurrency::Process && self.slots != 1 {
            problems.push(format!(
                "slots: {} calls cannot run at once in one process; raise size, or choose thread or asyncio for concurrency",
                self.slots
            ));
        }
        if self.command.iter().any(String::is_empty) {
            problems.push("command: one of its words is empty; leave it out".into());
        }
        if self.preload && (self.start == Start::Spawn || !self.command.is_empty()) {
            problems.push("preload: only workers that are forked share what was loaded before; choose fork for start, without a command".into());
        }
        for (field, labels) in [("labels", &self.labels), ("placement", &self.placement)] {
            if labels.len() > LABELS_MAX {
                problems.push(format!(
                    "{field}: there are {}; give {LABELS_MAX} at most",
                    labels.len()
                ));
            }
            let value_problem = if field == "labels" {
                value_problem
            } else {
                wanted_problem
            };
            for (key, value) in labels {
                if let Some((limit, hint)) = key_problem(key) {
                    problems.push(format!("{field}: {key:?} must be {limit}; {hint}"));
                }
                if let Some((limit, hint)) = value_problem(value) {
                    problems.push(format!("{field}.{key}: {value:?} must be {limit}; {hint}"));
                }
            }
        }
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

    /// The Python to run.
    pub(super) fn interpreter(&self) -> String {
        if self.venv.is_empty() {
            self.python.clone()
        } else {
            format!("{}/bin/python", self.venv.trim_end_matches('/'))
        }
    }

    /// Whether workers are forked.
    pub(super) fn forks(&self) -> bool {
        self.start == Start::Fork && self.command.is_empty()
    }

    /// Whether workers of other settings have to be replaced to have these.
    pub(super) fn needs_new_workers(&self, before: &Self) -> bool {
        // What the node alone goes by.
        let node_side = |settings: &Self| Self {
            size: 0,
            labels: BTreeMap::new(),
            placement: BTreeMap::new(),
            affinity: Affinity::default(),
            journal: Journal::default(),
            retries_max: 0,
            retry_backoff_ms: 0,
            retry_backoff_max_ms: 0,
            breaker_failures: 0,
            breaker_reset_ms: 0,
            breaker_trials: 0,
            taint_crashes: 0,
            taint_ms: 0,
            recycle_age_ms: 0,
            recycle_calls: 0,
            recycle_rss_bytes: 0,
            queue_max: 0,
            queue_timeout_ms: 0,
            call_timeout_ms: 0,
            cancel_grace_ms: 0,
            start_batch: 0,
            start_timeout_ms: 0,
            drain_timeout_ms: 0,
            backoff_min_ms: 0,
            backoff_max_ms: 0,
            heartbeat_misses_max: 0,
            ..settings.clone()
        };
        node_side(self) != node_side(before)
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
            ["name", "adapter", "slots", "backoff_max_ms", "slots", "env"]
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
