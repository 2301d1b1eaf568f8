//! The calls and workers of one pool: who waits, who runs what, and who is next.
//!
//! Plain data behind the pool's lock, without IO, tasks or clocks: `now` is always given. What must happen
//! outside (answers to callers, workers to wake) is returned.

pub(super) mod circuit;
mod ticket;
mod worker;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use snakepit_proto::bridge::{self, ToolSpec};
use snakepit_proto::worker as wire;

use self::circuit::{Circuit, Phase};
pub(super) use self::ticket::{After, Dispatched, Ending, Reply, Switched, Ticket, Wanted};
use self::worker::Running;
pub(super) use self::worker::{About, Worker};
use super::call::{CallContext, CallOutcome};
use super::error::CallError;
use super::link::Link;
use super::settings::PoolSettings;
use crate::telemetry::events;

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
            draining: false,
        }
    }

    pub(super) fn set_settings(&mut self, settings: Arc<PoolSettings>) {
        self.settings = settings;
    }

    // --- workers ---

    /// A worker said hello.
    pub(super) fn join(
        &mut self,
        link: Arc<Link>,
        id: String,
        tools: Vec<ToolSpec>,
        about: About,
        tainted_until: Option<Instant>,
        now: Instant,
    ) -> After {
        self.joined = true;
        // Workers of a pool are alike: the newest knows best what there is.
        let mut before = std::mem::take(&mut self.tools);
        for spec in tools {
            let usual_us = before
                .remove(&spec.name)
                .map_or(UNKNOWN_US, |tool| tool.usual_us);
            let idempotent = spec
                .metadata
                .get("idempotent")
                .is_some_and(|mark| mark == "true");
            self.tools.insert(
                spec.name.clone(),
                Tool {
                    spec,
                    usual_us,
                    idempotent,
                },
            );
        }
        let mut worker = Worker::new(link, id, about, now);
        worker.tainted_until = tainted_until;
        self.workers.push(worker);
        let mut after = After::default();
        self.pump(now, &mut after);
        after
    }

    /// A worker's stream broke while its process lives: it may come back, unless it has done so already. What
    /// was not sent goes to others.
    pub(super) fn suspend(&mut self, link: &Arc<Link>, now: Instant) -> After {
        let mut after = After::default();
        let Some(worker) = self
            .worker_mut(link.key)
            .filter(|worker| Arc::ptr_eq(&worker.link, link))
        else {
            return after;
        };
        worker.reconnecting = true;
        worker.control.clear();
        worker.unsent.clear();
        let id = worker.id.clone();
        let unsent: Vec<_> = worker
            .running
            .iter()
            .filter(|(_, running)| !running.sent)
            .map(|(&key, _)| key)
            .collect();
        let unsent: Vec<_> = unsent
            .into_iter()
            .filter_map(|key| Some((key, worker.remove(key)?)))
            .collect();
        for (call, running) in unsent {
            self.again_or_lost(call, running, &id, true, now, &mut after);
        }
        self.pump(now, &mut after);
        after
    }

    /// It came back, with these calls. The others are lost.
    pub(super) fn rejoin(&mut self, link: &Arc<Link>, held: &[u64], now: Instant) -> Option<After> {
        let mut after = After::default();
        let worker = self.worker_mut(link.key)?;
        worker.link = link.clone();
        worker.reconnecting = false;
        worker.listened = false;
        worker.heard = now;
        let id = worker.id.clone();
        let gone: Vec<_> = worker
            .running
            .keys()
            .filter(|key| !held.contains(key))
            .copied()
            .collect();
        let gone: Vec<_> = gone
            .into_iter()
            .filter_map(|key| Some((key, worker.remove(key)?)))
            .collect();
        for (call, running) in gone {
            self.again_or_lost(call, running, &id, false, now, &mut after);
        }
        self.pump(now, &mut after);
        Some(after)
    }

    /// A worker is gone. Calls that never began go to others; the others are lost.
    /// With `drained`, it said goodbye, and nothing that it left had begun.
    pub(super) fn leave(&mut self, key: WorkerKey, drained: bool, now: Instant) -> After {
        let mut after = After::default();
        let Some(at) = self.workers.iter().position(|worker| worker.key == key) else {
            return after;
        };
        let worker = self.workers.swap_remove(at);
        self.forsake(&worker.id, &mut after);
        for (call, running) in worker.running {
            let not_begun = drained || !running.sent;
            self.again_or_lost(call, running, &worker.id, not_begun, now, &mut after);
        }
        self.pump(now, &mut after);
        after
    }

    /// Nobody waits any more for a worker that takes no more calls.
    fn forsake(&mut self, id: &str, after: &mut After) {
        for (_, ticket) in self.bound.remove(id).into_iter().flatten() {
            let error = self.bound_worker_gone(id);
            after.answers.push((ticket.reply, Err(error)));
        }
    }

    fn bound_worker_gone(&self, id: &str) -> CallError {
        CallError::BoundWorkerGone {
            pool: self.settings.name.clone(),
            worker_id: id.to_owned(),
        }
    }

    fn again_or_lost(
        &mut self,
        key: CallKey,
        running: Running,
        worker_id: &str,
        not_begun: bool,
        now: Instant,
        after: &mut After,
    ) {
        let mut ticket = running.ticket;
        if running.cancelled {
            return;
        }
        let bound_here = matches!(&ticket.wanted, Wanted::Only(..));
        let refusal = if self.draining && not_begun {
            Some(CallError::Draining)
        } else if !not_begun || ticket.call.is_none() {
            Some(CallError::WorkerDied {
                worker_id: worker_id.to_owned(),
                maybe: !not_begun,
            })
        } else if bound_here {
            Some(self.bound_worker_gone(worker_id))
        } else {
            None
        };
        if let Some(error) = refusal {
            if !not_begun {
                self.failed(&ticket.context.tool, now, after);
            }
            after
                .ended
                .push((now.saturating_duration_since(ticket.admitted), Ending::Lost));
            after.answers.push((ticket.reply, Err(error)));
            return;
        }
        // The old worker's callbacks, if any are underway, are void from now on.
        ticket.secret = rand::random();
        if let Some(call) = &mut ticket.call {
            call.call_token = token(key, ticket.secret);
        }
        after.moved += 1;
        self.queue.insert(key, ticket);
    }

    pub(super) fn workers(&self) -> &[Worker] {
        &self.workers
    }

    pub(super) fn worker_mut(&mut self, key: WorkerKey) -> Option<&mut Worker> {
        self.workers.iter_mut().find(|worker| worker.key == key)
    }

    /// Tell a worker to finish what it has and to take no more.
    pub(super) fn drain(&mut self, key: WorkerKey, deadline_ms: u64) -> After {
        let mut after = After::default();
        if let Some(worker) = self.worker_mut(key) {
            worker.draining = true;
            worker
                .control
                .push_back(wire::to_worker::Message::Drain(wire::Drain { deadline_ms }));
            after.wake.push(worker.link.clone());
            let id = worker.id.clone();
            self.forsake(&id, &mut after);
        }
        after
    }

    pub(super) fn send(&mut self, key: WorkerKey, message: wire::to_worker::Message) {
        if let Some(worker) = self.worker_mut(key) {
            worker.control.push_back(message);
        }
    }

    /// What to say to a worker next: control messages first, else everything that waits for it.
    pub(super) fn next_message(&mut self, key: WorkerKey, now: Instant) -> Option<wire::ToWorker> {
        let message = self.worker_mut(key)?.next_message(now)?;
        Some(wire::ToWorker {
            message: Some(message),
        })
    }

    // --- calls ---

    /// Whether the tool's author says that it may run twice.
    pub(super) fn marked_idempotent(&self, tool: &str) -> bool {
        self.tools.get(tool).is_some_and(|tool| tool.idempotent)
    }

    /// Give a call to a worker, or have it wait. Returns whether it waits.
    pub(super) fn admit(
        &mut self,
        key: CallKey,
        ticket: Ticket,
        now: Instant,
    ) -> Result<(bool, After), CallError> {
        if self.draining {
            return Err(CallError::Draining);
        }
        let at = match &ticket.wanted {
            Wanted::Only(id, waits) => self.place_at(id, *waits)?,
            _ if !self.queue.is_empty() => None,
            _ => self.pick(&ticket, now),
        };
        if at.is_none() && self.queued() >= self.settings.queue_max {
            return Err(CallError::QueueFull {
                pool: self.settings.name.clone(),
                queued: self.queued(),
            });
        }
        let mut after = After::default();
        self.pass_circuit(&ticket.context.tool, now, &mut after)?;
        if let Some(at) = at {
            self.give(at, key, ticket, now, &mut after);
            return Ok((false, after));
        }
        match &ticket.wanted {
            Wanted::Only(id, _) => {
                let line = self.bound.entry(id.clone()).or_default();
                line.insert(key, ticket);
            }
            _ => {
                self.queue.insert(key, ticket);
            }
        }
        Ok((true, after))
    }

    /// The one worker that a call wants; None where it may wait for it.
    fn place_at(&self, id: &str, waits: bool) -> Result<Option<usize>, CallError> {
        let open = |worker: &&Worker| !worker.draining;
        let found = self.workers.iter().find(|worker| worker.id == id);
        let Some(worker) = found.filter(open) else {
            return Err(self.bound_worker_gone(id));
        };
        if worker.free() > 0 && !self.bound.contains_key(id) {
            return Ok(self.workers.iter().position(|worker| worker.id == id));
        }
        if waits {
            return Ok(None);
        }
        Err(CallError::BoundWorkerBusy {
            pool: self.settings.name.clone(),
            worker_id: id.to_owned(),
        })
    }

    fn pass_circuit(
        &mut self,
        tool: &str,
        now: Instant,
        after: &mut After,
    ) -> Result<(), CallError> {
        if self.circuits.is_empty() {
            return Ok(());
        }
        let Some(circuit) = self.circuits.get_mut(tool) else {
            return Ok(());
        };
        match circuit.admit(&self.settings, now) {
            Ok(()) => {
                if circuit.opened() {
                    after.switched.push(Switched {
                        tool: tool.to_owned(),
                        to: Phase::HalfOpen,
                        failures: circuit.failures,
                    });
                }
                Ok(())
            }
            Err(left) => Err(CallError::CircuitOpen {
                pool: self.settings.name.clone(),
                tool: tool.to_owned(),
                failures: circuit.failures,
                retry_after_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
            }),
        }
    }

    fn failed(&mut self, tool: &str, now: Instant, after: &mut After) {
        if self.settings.breaker_failures == 0 {
            return;
        }
        if self.circuits.len() >= CIRCUITS_MAX && !self.circuits.contains_key(tool) {
            return;
        }
        let circuit = self.circuits.entry(tool.to_owned()).or_default();
        if circuit.failed(&self.settings, now) {
            after.switched.push(Switched {
                tool: tool.to_owned(),
                to: Phase::Open,
                failures: circuit.failures,
            });
        }
    }

    fn succeeded(&mut self, tool: &str, after: &mut After) {
        if self.circuits.is_empty() {
            return;
        }
        if let Some(mut circuit) = self.circuits.remove(tool)
            && circuit.succeeded()
        {
            after.switched.push(Switched {
                tool: tool.to_owned(),
                to: Phase::Closed,
                failures: 0,
            });
        }
    }

    fn quick(&self, ticket: &Ticket) -> bool {
        ticket.bytes <= KEPT_BYTES_MAX
            && ticket.call.as_ref().is_some_and(|call| !call.stream)
            && self
                .tools
                .get(&ticket.context.tool)
                .is_some_and(|tool| tool.usual_us < QUICK_US)
    }

    /// The worker for a call: the one it wants while that is free, else the one with the most free slots, else
    /// the shortest line of quick calls. Tainted ones only where there is no other.
    fn pick(&self, ticket: &Ticket, now: Instant) -> Option<usize> {
        if let Wanted::Rather(id) = &ticket.wanted
            && let Some(at) = self
                .workers
                .iter()
                .position(|worker| worker.id == *id && worker.free() > 0)
            && !self.workers[at].tainted(now)
        {
            return Some(at);
        }
        let spare_tainted = self
            .workers
            .iter()
            .any(|worker| worker.tainted_until.is_some())
            && self
                .workers
                .iter()
                .any(|worker| worker.open() && !worker.tainted(now));
        let eligible = |at: &usize| !(spare_tainted && self.workers[*at].tainted(now));
        let free = (0..self.workers.len())
            .filter(|&at| self.workers[at].free() > 0)
            .filter(eligible)
            .min_by_key(|&at| self.workers[at].running.len());
        if free.is_some() || !self.quick(ticket) {
            return free;
        }
        (0..self.workers.len())
            .filter(|&at| self.workers[at].has_room_behind())
            .filter(eligible)
            .min_by_key(|&at| self.workers[at].running.len())
    }

    fn give(&mut self, at: usize, key: CallKey, ticket: Ticket, now: Instant, after: &mut After) {
        let quick = self.quick(&ticket);
        after
            .waited
            .push(now.saturating_duration_since(ticket.admitted));
        let worker = &mut self.workers[at];
        if events::listened() {
            let metadata = ticket.call.as_ref().map(|call| &call.metadata);
            let correlation_id = metadata.and_then(|metadata| metadata.get("correlation_id"));
            after.dispatched.push(Dispatched {
                waited: now.saturating_duration_since(ticket.admitted),
                context: CallContext {
                    worker_id: worker.id.clone(),
                    ..ticket.context.clone()
                },
                correlation_id: correlation_id.cloned().unwrap_or_default(),
                queued: now > ticket.admitted,
            });
        }
        if worker.running.is_empty() {
            worker.progressed = now;
        }
        worker.numbers += 1;
        worker.slow += usize::from(!quick);
        let number = worker.numbers;
        let running = Running {
            ticket,
            number,
            sent: false,
            quick,
            cancelled: false,
            moving: false,
        };
        worker.running.insert(key, running);
        if worker.unsent.is_empty() {
            after.wake.push(worker.link.clone());
        }
        worker.unsent.push_back(key);
    }

    /// Hand waiting calls to whoever has room, in order; those that are bound to a worker first.
    fn pump(&mut self, now: Instant, after: &mut After) {
        if !self.bound.is_empty() {
            self.pump_bound(now, after);
        }
        while let Some((&key, ticket)) = self.queue.first_key_value() {
            let Some(at) = self.pick(ticket, now) else {
                return;
            };
            let ticket = self.queue.remove(&key).expect("it was first");
            self.give(at, key, ticket, now, after);
        }
    }

    fn pump_bound(&mut self, now: Instant, after: &mut After) {
        for at in 0..self.workers.len() {
            let id = self.workers[at].id.clone();
            while self.workers[at].free() > 0
                && let Some((key, ticket)) = self.bound.get_mut(&id).and_then(BTreeMap::pop_first)
            {
                self.give(at, key, ticket, now, after);
            }
        }
        self.bound.retain(|_, line| !line.is_empty());
    }

    /// Take a call out of the queue; None where it is not there, for a worker has it or it has ended.
    pub(super) fn unqueue(&mut self, key: CallKey) -> Option<Ticket> {
        let ticket = self
            .queue
            .remove(&key)
            .or_else(|| self.bound.values_mut().find_map(|line| line.remove(&key)))?;
        self.bound.retain(|_, line| !line.is_empty());
        if let Some(circuit) = self.circuits.get_mut(&ticket.context.tool) {
            circuit.gone();
        }
        Some(ticket)
    }

    /// The caller no longer waits. `error` goes to a stream's reader; `blame` counts it against the tool.
    pub(super) fn take_back(
        &mut self,
        key: CallKey,
        reason: &str,
        blame: bool,
        error: impl FnOnce(bool) -> CallError,
        now: Instant,
    ) -> (TakenBack, After) {
        let mut after = After::default();
        if let Some(ticket) = self.unqueue(key) {
            after.answers.push((ticket.reply, Err(error(false))));
            return (TakenBack::Unsent, after);
        }
        let Some(worker) = self
            .workers
            .iter_mut()
            .find(|worker| worker.running.contains_key(&key))
        else {
            return (TakenBack::Ended, after);
        };
        let running = worker.running.get_mut(&key).expect("it was found");
        if running.cancelled {
            return (TakenBack::Ended, after);
        }
        let tool = running.ticket.context.tool.clone();
        if !running.sent {
            let running = worker.remove(key).expect("it was found");
            worker.unsent.retain(|&unsent| unsent != key);
            after
                .answers
                .push((running.ticket.reply, Err(error(false))));
            if let Some(circuit) = self.circuits.get_mut(&tool) {
                circuit.gone();
            }
            self.pump(now, &mut after);
            return (TakenBack::Unsent, after);
        }
        running.cancelled = true;
        let reply = std::mem::replace(&mut running.ticket.reply, Reply::Nobody);
        after.answers.push((reply, Err(error(true))));
        worker.cancelling += 1;
        let cancel = wire::Cancel {
            sequences: vec![key],
            reason: reason.to_owned(),
        };
        worker
            .control
            .push_back(wire::to_worker::Message::Cancel(cancel));
        after.wake.push(worker.link.clone());
        let taken = TakenBack::Running(worker.key);
        // It may have to be killed: nothing else should go with it.
        worker.ask_back();
        if blame {
            self.failed(&tool, now, &mut after);
        } else if let Some(circuit) = self.circuits.get_mut(&tool) {
            circuit.gone();
        }
        (taken, after)
    }

    /// Whether a worker still holds a call whose caller has gone.
    pub(super) fn still_cancelled(&self, worker: WorkerKey, key: CallKey) -> bool {
        let found = self.workers.iter().find(|known| known.key == worker);
        found.is_some_and(|worker| worker.running.get(&key).is_some_and(|call| call.cancelled))
    }

    /// A worker's answers, in order.
    pub(super) fn results(
        &mut self,
        key: WorkerKey,
        results: Vec<wire::Result>,
        now: Instant,
    ) -> After {
        let mut after = After::default();
        for result in results {
            let Some(worker) = self.workers.iter_mut().find(|worker| worker.key == key) else {
                break;
            };
            worker.heard = now;
            worker.progressed = now;
            worker.stalled = false;
            let sequence = result.sequence;
            let Some(running) = worker.remove(sequence) else {
                continue;
            };
            worker.calls += 1;
            let recycle = self.settings.recycle_calls;
            if recycle > 0 && worker.calls >= recycle {
                worker.link.retire("calls");
            }
            let worker_id = worker.id.clone();
            if running.cancelled {
                continue;
            }
            let kind = result
                .error
                .as_ref()
                .map_or("", |error| error.r#type.as_str());
            if running.moving && kind == "Cancelled" {
                // A call that had not begun has no time of execution.
                let not_begun = result.execution_time_us == 0;
                self.again_or_lost(sequence, running, &worker_id, not_begun, now, &mut after);
                continue;
            }
            self.learn(&running.ticket.context.tool, result.execution_time_us);
            let ticket = running.ticket;
            let late = kind == "DeadlineExceeded" && now >= ticket.deadline;
            if late {
                self.failed(&ticket.context.tool, now, &mut after);
            } else {
                self.succeeded(&ticket.context.tool, &mut after);
            }
            let ending = if result.success {
                Ending::Ok
            } else {
                Ending::Raised
            };
            after
                .ended
                .push((now.saturating_duration_since(ticket.admitted), ending));
            let answer = if late {
                Err(CallError::DeadlineExceeded {
                    maybe: result.execution_time_us > 0,
                })
            } else {
                Ok(CallOutcome {
                    success: result.success,
                    value: result.value,
                    binary_value: result.binary_value,
                    error: result.error,
                    execution_time_us: result.execution_time_us,
                    metadata: result.metadata,
                    stdout: result.stdout,
                    stderr: result.stderr,
                    worker_id,
                    pool: self.settings.name.clone(),
                })
            };
            after.answers.push((ticket.reply, answer));
        }
        self.pump(now, &mut after);
        after
    }

    fn learn(&mut self, tool: &str, took_us: u64) {
        if let Some(tool) = self.tools.get_mut(tool) {
            tool.usual_us += (took_us as f32 - tool.usual_us) * NEWEST;
        }
    }

    /// A chunk for its reader. False where the worker sent more than it had credits for.
    pub(super) fn chunk(&mut self, key: WorkerKey, chunk: wire::Chunk) -> bool {
        let Some(worker) = self.worker_mut(key) else {
            return true;
        };
        let Some(running) = worker.running.get_mut(&chunk.sequence) else {
            return true;
        };
        running.ticket.begun = true;
        match &running.ticket.reply {
            // The channel holds all credits and one error.
            Reply::Stream(reply) if reply.capacity() > 1 => {
                drop(reply.try_send(Ok(chunk)));
                true
            }
            Reply::Stream(reply) => reply.is_closed(),
            Reply::Once(_) | Reply::Nobody => true,
        }
    }

    /// A reader has taken chunks: the worker may send more.
    pub(super) fn grant(&mut self, key: CallKey, credits: u32) -> Option<Arc<Link>> {
        let worker = self
            .workers
            .iter_mut()
            .find(|worker| worker.running.contains_key(&key))?;
        let grant = wire::ChunkCredits {
            sequence: key,
            credits,
        };
        worker
            .control
            .push_back(wire::to_worker::Message::ChunkCredits(grant));
        Some(worker.link.clone())
    }

    /// The running call of a token.
    pub(super) fn context(&self, key: CallKey, secret: u128) -> Option<CallContext> {
        let (worker, running) = self
            .workers
            .iter()
            .find_map(|worker| Some((worker, worker.running.get(&key)?)))?;
        // The difference as a whole, so that no prefix is told from another.
        if running.ticket.secret ^ secret != 0 || running.cancelled {
            return None;
        }
        Some(CallContext {
            worker_id: worker.id.clone(),
            ..running.ticket.context.clone()
        })
    }

    /// Ask stalled workers for what only waits there. Returns whom to wake, and whether any has such calls.
    pub(super) fn unstall(&mut self, now: Instant) -> (Vec<Arc<Link>>, bool) {
        let mut wake = Vec::new();
        let mut lines = false;
        for worker in &mut self.workers {
            if worker.running.len() <= worker.about.slots {
                continue;
            }
            lines = true;
            if !worker.stalled && now.saturating_duration_since(worker.progressed) >= STALL {
                worker.stalled = true;
                if worker.ask_back() {
                    wake.push(worker.link.clone());
                }
            }
        }
        (wake, lines)
    }

    /// Tell workers whether somebody listens to their events; returns those to wake.
    pub(super) fn tell_listened(&mut self, listened: bool) -> Vec<Arc<Link>> {
        let mut wake = Vec::new();
        for worker in &mut self.workers {
            if worker.listened != listened && !worker.reconnecting {
                worker.listened = listened;
                let toggle = bridge::TelemetryToggle { enabled: listened };
                let control = bridge::TelemetryControl {
                    control: Some(bridge::telemetry_control::Control::Toggle(toggle)),
                };
                worker
                    .control
                    .push_back(wire::to_worker::Message::Telemetry(control));
                wake.push(worker.link.clone());
            }
        }
        wake
    }

    /// Refuse what waits, and whatever comes.
    pub(super) fn close(&mut self) -> After {
        self.draining = true;
        let mut after = After::default();
        let bound = std::mem::take(&mut self.bound).into_values().flatten();
        let queued = std::mem::take(&mut self.queue).into_iter();
        for (_, ticket) in queued.chain(bound) {
            after.answers.push((ticket.reply, Err(CallError::Draining)));
        }
        after
    }

    // --- queries ---

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
