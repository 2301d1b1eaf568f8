//! The calls and workers of one pool: who waits, who runs what, and who is next.
//!
//! Plain data behind the pool's lock, without IO, tasks or clocks: `now` is always given. What must happen
//! outside (answers to callers, workers to wake) is returned.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use snakepit_proto::bridge::ToolSpec;
use snakepit_proto::worker as wire;
use tokio::sync::{mpsc, oneshot};

use super::call::{CallContext, CallOutcome};
use super::error::CallError;
use super::link::Link;

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
/// ones are kept only where they are idempotent, and never wait at a worker.
const KEPT_BYTES_MAX: usize = 64 * 1024;
/// Calls and bytes of one message.
const BATCH_MAX: usize = 64;
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// How often an idempotent call may lose its worker and run again.
const RETRIES_MAX: u8 = 1;

/// Who waits for a call.
pub(super) enum Reply {
    Once(oneshot::Sender<Result<CallOutcome, CallError>>),
    Stream(mpsc::Sender<Result<wire::Chunk, CallError>>),
    /// The caller has gone.
    Nobody,
}

impl Reply {
    /// Answer with an error. A stream's channel has room for it beyond its credits.
    pub(super) fn fail(self, error: CallError) {
        match self {
            Self::Once(reply) => drop(reply.send(Err(error))),
            Self::Stream(reply) => drop(reply.try_send(Err(error))),
            Self::Nobody => {}
        }
    }
}

/// An admitted call.
pub(super) struct Ticket {
    pub(super) context: CallContext,
    /// None once it was sent and was too large to keep.
    pub(super) call: Option<Box<wire::Call>>,
    pub(super) bytes: usize,
    pub(super) deadline: Instant,
    pub(super) admitted: Instant,
    pub(super) idempotent: bool,
    pub(super) retries: u8,
    /// Whether chunks went out: such a stream cannot begin again.
    pub(super) begun: bool,
    /// The unguessable half of the call's token.
    pub(super) secret: u128,
    pub(super) reply: Reply,
}

/// A call at a worker.
struct Running {
    ticket: Ticket,
    /// Place in the order in which the worker got its calls.
    number: u64,
    sent: bool,
    quick: bool,
    /// The caller no longer waits.
    cancelled: bool,
    /// Asked back, in case it has not begun.
    moving: bool,
}

/// A connected worker.
pub(super) struct Worker {
    pub(super) key: WorkerKey,
    pub(super) id: String,
    pub(super) link: std::sync::Arc<Link>,
    pub(super) slots: usize,
    credits: usize,
    running: HashMap<CallKey, Running>,
    /// Calls given to it that no message has taken along yet.
    unsent: VecDeque<CallKey>,
    control: VecDeque<wire::to_worker::Message>,
    numbers: u64,
    /// Calls that are not quick.
    slow: usize,
    /// Calls that hold it for a cancellation: it may be killed soon, so it gets no more.
    cancelling: usize,
    pub(super) draining: bool,
    stalled: bool,
    /// The last result, or the call that ended its idleness.
    progressed: Instant,
    pub(super) heard: Instant,
    pub(super) calls: u64,
}

impl Worker {
    fn open(&self) -> bool {
        !self.draining && self.cancelling == 0
    }

    fn free(&self) -> usize {
        if self.open() {
            self.slots.saturating_sub(self.running.len())
        } else {
            0
        }
    }

    fn has_room_behind(&self) -> bool {
        self.open() && self.slow == 0 && !self.stalled && self.running.len() < self.credits
    }

    pub(super) fn running(&self) -> usize {
        self.running.len()
    }
}

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

/// What the lock's holder does after it has let go.
#[derive(Default)]
pub(super) struct After {
    pub(super) answers: Vec<(Reply, Result<CallOutcome, CallError>)>,
    pub(super) wake: Vec<std::sync::Arc<Link>>,
    /// How long each call waited that has now got a worker.
    pub(super) waited: Vec<Duration>,
    /// From admission to answer, and whether it succeeded.
    pub(super) ended: Vec<(Duration, Ending)>,
    pub(super) moved: u64,
}

/// How a call ended, for the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Ok,
    Raised,
    Lost,
}

impl After {
    /// Answer the callers and wake the workers. Not under the lock.
    pub(super) fn act(self) {
        for (reply, answer) in self.answers {
            match (reply, answer) {
                (Reply::Once(reply), answer) => drop(reply.send(answer)),
                // A stream ends with its channel.
                (Reply::Stream(_), Ok(outcome)) if outcome.success => {}
                (reply @ Reply::Stream(_), Ok(outcome)) => {
                    reply.fail(CallError::ToolFailed {
                        error: outcome.error.unwrap_or_default(),
                    });
                }
                (reply, Err(error)) => reply.fail(error),
                (Reply::Nobody, Ok(_)) => {}
            }
        }
        for link in self.wake {
            link.wake();
        }
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct State {
    queue: BTreeMap<CallKey, Ticket>,
    workers: Vec<Worker>,
    tools: HashMap<String, Tool>,
    joined: bool,
    pub(super) draining: bool,
}

impl State {
    // --- workers ---

    /// A worker said hello.
    pub(super) fn join(
        &mut self,
        link: std::sync::Arc<Link>,
        id: String,
        tools: Vec<ToolSpec>,
        (slots, credits): (usize, usize),
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
        self.workers.push(Worker {
            key: link.key,
            id,
            link,
            slots,
            credits,
            running: HashMap::new(),
            unsent: VecDeque::new(),
            control: VecDeque::new(),
            numbers: 0,
            slow: 0,
            cancelling: 0,
            draining: false,
            stalled: false,
            progressed: now,
            heard: now,
            calls: 0,
        });
        let mut after = After::default();
        self.pump(now, &mut after);
        after
    }

    /// A worker is gone. Calls that never began go to others, as do idempotent ones once; the others are lost.
    /// With `drained`, it said goodbye, and nothing that it left had begun.
    pub(super) fn leave(&mut self, key: WorkerKey, drained: bool, now: Instant) -> After {
        let mut after = After::default();
        let Some(at) = self.workers.iter().position(|worker| worker.key == key) else {
            return after;
        };
        let worker = self.workers.swap_remove(at);
        for (call, running) in worker.running {
            let not_begun = drained || !running.sent;
            self.again_or_lost(call, running, &worker.id, not_begun, now, &mut after);
        }
        self.pump(now, &mut after);
        after
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
        let may_retry = ticket.idempotent && ticket.retries < RETRIES_MAX && !ticket.begun;
        let refusal = if self.draining && not_begun {
            Some(CallError::Draining)
        } else if !self.draining && (not_begun || may_retry) && ticket.call.is_some() {
            None
        } else {
            Some(CallError::WorkerDied {
                worker_id: worker_id.to_owned(),
                maybe: !not_begun,
            })
        };
        if let Some(error) = refusal {
            after
                .ended
                .push((now.saturating_duration_since(ticket.admitted), Ending::Lost));
            after.answers.push((ticket.reply, Err(error)));
            return;
        }
        ticket.retries += u8::from(!not_begun);
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
    pub(super) fn drain(&mut self, key: WorkerKey, deadline_ms: u64) {
        if let Some(worker) = self.worker_mut(key) {
            worker.draining = true;
            worker
                .control
                .push_back(wire::to_worker::Message::Drain(wire::Drain { deadline_ms }));
        }
    }

    pub(super) fn send(&mut self, key: WorkerKey, message: wire::to_worker::Message) {
        if let Some(worker) = self.worker_mut(key) {
            worker.control.push_back(message);
        }
    }

    /// What to say to a worker next: control messages first, else everything that waits for it.
    pub(super) fn next_message(&mut self, key: WorkerKey, now: Instant) -> Option<wire::ToWorker> {
        let worker = self.worker_mut(key)?;
        if let Some(control) = worker.control.pop_front() {
            return Some(wire::ToWorker {
                message: Some(control),
            });
        }
        let mut calls = Vec::with_capacity(worker.unsent.len().min(BATCH_MAX));
        let mut bytes = 0;
        while let Some(&key) = worker.unsent.front() {
            let Some(running) = worker.running.get_mut(&key) else {
                worker.unsent.pop_front();
                continue;
            };
            bytes += running.ticket.bytes;
            if !calls.is_empty() && (calls.len() == BATCH_MAX || bytes > BATCH_BYTES_MAX) {
                break;
            }
            worker.unsent.pop_front();
            running.sent = true;
            let ticket = &mut running.ticket;
            let kept = ticket.bytes <= KEPT_BYTES_MAX || ticket.idempotent;
            let call = if kept {
                ticket.call.clone()
            } else {
                ticket.call.take()
            };
            let mut call = *call.expect("an unsent call is held");
            let left = ticket.deadline.saturating_duration_since(now);
            call.deadline_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1);
            calls.push(call);
        }
        if calls.is_empty() {
            return None;
        }
        Some(wire::ToWorker {
            message: Some(wire::to_worker::Message::Calls(wire::Calls { calls })),
        })
    }

    // --- calls ---

    /// Whether the tool's author says that it may run twice.
    pub(super) fn marked_idempotent(&self, tool: &str) -> bool {
        self.tools.get(tool).is_some_and(|tool| tool.idempotent)
    }

    /// Give a call to a worker, or have it wait. Returns whether it waits; None where it may not.
    pub(super) fn admit(
        &mut self,
        key: CallKey,
        ticket: Ticket,
        queue_max: usize,
        now: Instant,
    ) -> Option<(bool, After)> {
        let mut after = After::default();
        if self.queue.is_empty()
            && let Some(at) = self.pick(&ticket)
        {
            self.give(at, key, ticket, now, &mut after);
            return Some((false, after));
        }
        if self.queue.len() >= queue_max {
            return None;
        }
        self.queue.insert(key, ticket);
        Some((true, after))
    }

    fn quick(&self, ticket: &Ticket) -> bool {
        ticket.bytes <= KEPT_BYTES_MAX
            && ticket.call.as_ref().is_some_and(|call| !call.stream)
            && self
                .tools
                .get(&ticket.context.tool)
                .is_some_and(|tool| tool.usual_us < QUICK_US)
    }

    /// The worker for a call: the one with the most free slots, else the shortest line of quick calls.
    fn pick(&self, ticket: &Ticket) -> Option<usize> {
        let free = (0..self.workers.len())
            .filter(|&at| self.workers[at].free() > 0)
            .min_by_key(|&at| self.workers[at].running.len());
        if free.is_some() || !self.quick(ticket) {
            return free;
        }
        (0..self.workers.len())
            .filter(|&at| self.workers[at].has_room_behind())
            .min_by_key(|&at| self.workers[at].running.len())
    }

    fn give(&mut self, at: usize, key: CallKey, ticket: Ticket, now: Instant, after: &mut After) {
        let quick = self.quick(&ticket);
        after
            .waited
            .push(now.saturating_duration_since(ticket.admitted));
        let worker = &mut self.workers[at];
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

    /// Hand waiting calls to whoever has room, in order.
    fn pump(&mut self, now: Instant, after: &mut After) {
        while let Some((&key, ticket)) = self.queue.first_key_value() {
            let Some(at) = self.pick(ticket) else { return };
            let ticket = self.queue.remove(&key).expect("it was first");
            self.give(at, key, ticket, now, after);
        }
    }

    /// Take a call out of the queue; None where it is not there, for a worker has it or it has ended.
    pub(super) fn unqueue(&mut self, key: CallKey) -> Option<Ticket> {
        self.queue.remove(&key)
    }

    /// The caller no longer waits. `error` goes to a stream's reader.
    pub(super) fn take_back(
        &mut self,
        key: CallKey,
        reason: &str,
        error: impl FnOnce(bool) -> CallError,
        now: Instant,
    ) -> (TakenBack, After) {
        let mut after = After::default();
        if let Some(ticket) = self.queue.remove(&key) {
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
        if !running.sent {
            let running = worker.remove(key).expect("it was found");
            worker.unsent.retain(|&unsent| unsent != key);
            after
                .answers
                .push((running.ticket.reply, Err(error(false))));
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
            let ending = if result.success {
                Ending::Ok
            } else {
                Ending::Raised
            };
            after
                .ended
                .push((now.saturating_duration_since(ticket.admitted), ending));
            let answer = if kind == "DeadlineExceeded" && now >= ticket.deadline {
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
                    worker_id,
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
    pub(super) fn grant(&mut self, key: CallKey, credits: u32) -> Option<std::sync::Arc<Link>> {
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
    pub(super) fn unstall(&mut self, now: Instant) -> (Vec<std::sync::Arc<Link>>, bool) {
        let mut wake = Vec::new();
        let mut lines = false;
        for worker in &mut self.workers {
            if worker.running.len() <= worker.slots {
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

    /// Refuse what waits, and whatever comes.
    pub(super) fn close(&mut self) -> After {
        self.draining = true;
        let mut after = After::default();
        for (_, ticket) in std::mem::take(&mut self.queue) {
            after.answers.push((ticket.reply, Err(CallError::Draining)));
        }
        after
    }

    // --- queries ---

    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn running(&self) -> usize {
        self.workers.iter().map(Worker::running).sum()
    }

    pub(super) fn free(&self) -> usize {
        self.workers.iter().map(Worker::free).sum()
    }

    pub(super) fn slots(&self) -> usize {
        self.workers.iter().map(|worker| worker.slots).sum()
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
}

impl Worker {
    fn remove(&mut self, key: CallKey) -> Option<Running> {
        let running = self.running.remove(&key)?;
        self.slow -= usize::from(!running.quick);
        self.cancelling -= usize::from(running.cancelled);
        Some(running)
    }

    /// Ask for the calls that cannot have begun: a worker begins them in order, `slots` at once.
    fn ask_back(&mut self) -> bool {
        if self.running.len() <= self.slots {
            return false;
        }
        let mut sent: Vec<_> = self
            .running
            .iter()
            .filter(|(_, running)| running.sent)
            .map(|(&key, running)| (running.number, key))
            .collect();
        sent.sort_unstable();
        let mut sequences = Vec::new();
        for (_, key) in sent.into_iter().skip(self.slots) {
            let running = self.running.get_mut(&key).expect("it was listed");
            if !running.moving && !running.cancelled && running.ticket.call.is_some() {
                running.moving = true;
                sequences.push(key);
            }
        }
        if sequences.is_empty() {
            return false;
        }
        let cancel = wire::Cancel {
            sequences,
            reason: "to run elsewhere".into(),
        };
        self.control
            .push_back(wire::to_worker::Message::Cancel(cancel));
        true
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
