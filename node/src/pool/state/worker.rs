//! A connected worker, and the calls that it has.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use snakepit_proto::worker as wire;

use super::super::link::Link;
use super::super::queries::ANY_TOOL;
use super::ticket::Ticket;
use super::{BATCH_BYTES_MAX, BATCH_MAX, CallKey, KEPT_BYTES_MAX, WorkerKey};

/// A call at a worker.
pub(super) struct Running {
    pub(super) ticket: Ticket,
    /// Place in the order in which the worker got its calls.
    pub(super) number: u64,
    /// How long it waited for the worker.
    pub(super) waited: Duration,
    pub(super) sent: bool,
    pub(super) quick: bool,
    /// The caller no longer waits.
    pub(super) cancelled: bool,
    /// Asked back, in case it has not begun.
    pub(super) moving: bool,
}

/// What a worker said in its hello.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct About {
    pub(in super::super) slots: usize,
    pub(in super::super) credits: usize,
    pub(in super::super) python_version: String,
    pub(in super::super) gil: bool,
    /// Who offers its tools; empty for a worker of the node's own.
    pub(in super::super) principal: String,
    /// Names of its tools.
    pub(in super::super) tools: BTreeSet<String>,
}

/// A connected worker.
pub(in super::super) struct Worker {
    pub(in super::super) key: WorkerKey,
    pub(in super::super) id: String,
    pub(in super::super) link: Arc<Link>,
    pub(in super::super) about: About,
    pub(super) running: HashMap<CallKey, Running>,
    /// Calls given to it that no message has taken along yet.
    pub(super) unsent: VecDeque<CallKey>,
    pub(super) control: VecDeque<wire::to_worker::Message>,
    pub(super) numbers: u64,
    /// Calls that are not quick.
    pub(super) slow: usize,
    /// Calls that hold it for a cancellation: it may be killed soon, so it gets no more.
    pub(super) cancelling: usize,
    pub(in super::super) draining: bool,
    /// Its stream broke, and it may come back.
    pub(in super::super) reconnecting: bool,
    /// Its place has seen too many crashes: others go first until then.
    pub(in super::super) tainted_until: Option<Instant>,
    /// Whether it was told that somebody listens to its events.
    pub(super) listened: bool,
    pub(super) stalled: bool,
    /// The last result, or the call that ended its idleness.
    pub(super) progressed: Instant,
    pub(in super::super) heard: Instant,
    pub(in super::super) calls: u64,
    pub(in super::super) rss_bytes: u64,
    /// Events that it said it has dropped, since its stream began.
    pub(in super::super) events_dropped: u64,
}

impl Worker {
    pub(super) fn new(link: Arc<Link>, id: String, about: About, now: Instant) -> Self {
        Self {
            key: link.key,
            id,
            link,
            about,
            running: HashMap::new(),
            unsent: VecDeque::new(),
            control: VecDeque::new(),
            numbers: 0,
            slow: 0,
            cancelling: 0,
            draining: false,
            reconnecting: false,
            tainted_until: None,
            listened: false,
            stalled: false,
            progressed: now,
            heard: now,
            calls: 0,
            rss_bytes: 0,
            events_dropped: 0,
        }
    }

    /// Whether it may be given calls.
    pub(super) fn open(&self) -> bool {
        !self.draining && !self.reconnecting && self.cancelling == 0
    }

    pub(in super::super) fn free(&self) -> usize {
        if self.open() {
            self.about.slots.saturating_sub(self.running.len())
        } else {
            0
        }
    }

    pub(super) fn has_room_behind(&self) -> bool {
        self.open() && self.slow == 0 && !self.stalled && self.running.len() < self.about.credits
    }

    /// Whether it has a tool, or takes every name.
    pub(super) fn knows(&self, tool: &str) -> bool {
        self.about.tools.contains(tool) || self.about.tools.contains(ANY_TOOL)
    }

    pub(in super::super) fn tainted(&self, now: Instant) -> bool {
        self.tainted_until.is_some_and(|until| now < until)
    }

    pub(in super::super) fn running(&self) -> usize {
        self.running.len()
    }

    pub(super) fn remove(&mut self, key: CallKey) -> Option<Running> {
        let running = self.running.remove(&key)?;
        self.slow -= usize::from(!running.quick);
        self.cancelling -= usize::from(running.cancelled);
        Some(running)
    }

    /// What to say to it next: control messages first, else all calls that wait for it, up to a size.
    pub(super) fn next_message(&mut self, now: Instant) -> Option<wire::to_worker::Message> {
        if let Some(control) = self.control.pop_front() {
            return Some(control);
        }
        let mut calls = Vec::with_capacity(self.unsent.len().min(BATCH_MAX));
        let mut bytes = 0;
        while let Some(&key) = self.unsent.front() {
            let Some(running) = self.running.get_mut(&key) else {
                self.unsent.pop_front();
                continue;
            };
            bytes += running.ticket.bytes;
            if !calls.is_empty() && (calls.len() == BATCH_MAX || bytes > BATCH_BYTES_MAX) {
                break;
            }
            self.unsent.pop_front();
            running.sent = true;
            let ticket = &mut running.ticket;
            let kept = ticket.bytes <= KEPT_BYTES_MAX;
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
        (!calls.is_empty()).then_some(wire::to_worker::Message::Calls(wire::Calls { calls }))
    }

    /// Ask for the calls that cannot have begun: a worker begins them in order, `slots` at once.
    pub(super) fn ask_back(&mut self) -> bool {
        if self.running.len() <= self.about.slots {
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
        for (_, key) in sent.into_iter().skip(self.about.slots) {
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
