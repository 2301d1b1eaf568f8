//! The calls and workers of one pool: who waits, who runs what, and who is next.
//!
//! Plain data behind the pool's lock, without IO, tasks or clocks: `now` is always given. What must happen
//! outside (answers to callers, workers to wake) is returned.
//!
//! `members`: workers come and go. `admission`: calls come in and get a worker. `answers`: what comes back.

mod admission;
mod answers;
pub(super) mod circuit;
mod members;
mod ticket;
mod worker;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use snakepit_proto::bridge::ToolSpec;

use self::circuit::Circuit;
pub(super) use self::ticket::{After, Ending, Reply, Switched, Ticket, Wanted};
pub(super) use self::worker::{About, Worker};
use super::settings::PoolSettings;

/// Names a call on this node; grows with admission.
pub(super) type CallKey = u64;
/// Names one life of a worker.
pub(super) type WorkerKey = u64;

/// A tool that usually takes less may wait at a worker, behind others like it.
const QUICK_US: f32 = 1_000.0;
/// What a tool is taken to need before it has shown otherwise.
const UNKNOWN_US: f32 = 10_000.0;
/// The weight of the newest run.
const NEWEST: f32 = 0.125;
/// A worker without a result for this long gets back what only waits at it.
pub(super) const STALL: Duration = Duration::from_millis(20);
/// The largest call that is kept after it was sent, so that it can move to another worker, in bytes. Larger
/// ones never wait at a worker.
const KEPT_BYTES_MAX: usize = 64 * 1024;
/// Calls and bytes of one message.
const BATCH_MAX: usize = 64;
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Tools whose circuit is followed: those that failed last.
const CIRCUITS_MAX: usize = 1_024;

struct Tool {
    spec: ToolSpec,
    usual_us: f32,
    idempotent: bool,
}

/// Where a call was when it was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TakenBack {
    /// It had ended: nothing to do.
    Ended,
    /// In the queue or not yet sent: it will not run.
    Unsent,
    /// At a worker, which was told.
    Running(WorkerKey),
}

/// See the module.
pub(super) struct State {
    settings: Arc<PoolSettings>,
    queue: BTreeMap<CallKey, Ticket>,
    /// Calls that wait for one worker and no other, by its id.
    bound: HashMap<String, BTreeMap<CallKey, Ticket>>,
    workers: Vec<Worker>,
    tools: HashMap<String, Tool>,
    circuits: HashMap<String, Circuit>,
    joined: bool,
    /// Some workers have other tools than others, as while their adapter changes.
    mixed: bool,
    pub(super) draining: bool,
}

impl State {
    pub(super) fn new(settings: Arc<PoolSettings>) -> Self {
        Self {
            settings,
            queue: BTreeMap::new(),
            bound: HashMap::new(),
            workers: Vec::new(),
            tools: HashMap::new(),
            circuits: HashMap::new(),
            joined: false,
            mixed: false,
            draining: false,
        }
    }

    pub(super) fn set_settings(&mut self, settings: Arc<PoolSettings>) {
        self.settings = settings;
    }

    /// Whether a call of that id waits or runs here.
    pub(super) fn has_call(&self, call_id: &str) -> bool {
        let waits = self
            .queue
            .values()
            .chain(self.bound.values().flat_map(BTreeMap::values));
        let runs = self
            .workers
            .iter()
            .flat_map(|worker| worker.running.values());
        waits
            .chain(runs.map(|running| &running.ticket))
            .any(|ticket| ticket.context.call_id == call_id)
    }

    pub(super) fn queued(&self) -> usize {
        self.queue.len() + self.bound.values().map(BTreeMap::len).sum::<usize>()
    }

    pub(super) fn running(&self) -> usize {
        self.workers.iter().map(Worker::running).sum()
    }

    pub(super) fn free(&self) -> usize {
        self.workers.iter().map(Worker::free).sum()
    }

    pub(super) fn slots(&self) -> usize {
        self.workers.iter().map(|worker| worker.about.slots).sum()
    }

    /// Whether a worker has ever joined.
    pub(super) fn started(&self) -> bool {
        self.joined
    }

    pub(super) fn offers(&self, tool: &str) -> bool {
        self.tools.contains_key(tool)
    }

    pub(super) fn specs(&self) -> impl Iterator<Item = &ToolSpec> {
        self.tools.values().map(|tool| &tool.spec)
    }

    /// Circuits that are not closed, by tool.
    pub(super) fn circuits(&self) -> impl Iterator<Item = (&String, &Circuit)> {
        self.circuits.iter().filter(|(_, circuit)| circuit.opened())
    }
}

/// A call's token: which call, and what cannot be guessed.
pub(super) fn token(key: CallKey, secret: u128) -> String {
    format!("{key:016x}{secret:032x}")
}

/// The halves of a token.
pub(super) fn split_token(token: &str) -> Option<(CallKey, u128)> {
    if token.len() != 48 || !token.is_ascii() {
        return None;
    }
    let key = u64::from_str_radix(&token[..16], 16).ok()?;
    Some((key, u128::from_str_radix(&token[16..], 16).ok()?))
}

#[cfg(test)]
mod tests;
