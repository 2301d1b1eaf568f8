//! Calls come in, wait, get a worker, and are taken back.

use std::collections::BTreeMap;
use std::time::Instant;

use snakepit_proto::worker as wire;

use super::super::call::CallContext;
use super::super::error::CallError;
use super::circuit::Phase;
use super::ticket::{Dispatched, Switched};
use super::worker::{Running, Worker};
use super::{
    After, CIRCUITS_MAX, CallKey, KEPT_BYTES_MAX, QUICK_US, Reply, State, TakenBack, Ticket, Wanted,
};
use crate::telemetry::events;

impl State {
    /// Whether the tool's author says that it may run twice.
    pub(in super::super) fn marked_idempotent(&self, tool: &str) -> bool {
        self.tools.get(tool).is_some_and(|tool| tool.idempotent)
    }

    /// Give a call to a worker, or have it wait. Returns whether it waits.
    pub(in super::super) fn admit(
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
            _ if !self.queue.is_empty() && !self.mixed => None,
            _ => self.pick(&ticket, now),
        };
        if at.is_none() && ticket.or_back {
            return Err(CallError::NoneFree {
                pool: self.settings.name.clone(),
            });
        }
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
    pub(super) fn place_at(&self, id: &str, waits: bool) -> Result<Option<usize>, CallError> {
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

    pub(super) fn pass_circuit(
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

    pub(super) fn failed(&mut self, tool: &str, now: Instant, after: &mut After) {
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

    pub(super) fn succeeded(&mut self, tool: &str, after: &mut After) {
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

    pub(super) fn quick(&self, ticket: &Ticket) -> bool {
        ticket.bytes <= KEPT_BYTES_MAX
            && ticket.call.as_ref().is_some_and(|call| !call.stream)
            && self
                .tools
                .get(&ticket.context.tool)
                .is_some_and(|tool| tool.usual_us < QUICK_US)
    }

    /// The worker for a call: the one it wants while that is free, else the one with the most free slots, else
    /// the shortest line of quick calls. Tainted ones only where there is no other; where workers differ, those
    /// that have the tool, if any has.
    pub(super) fn pick(&self, ticket: &Ticket, now: Instant) -> Option<usize> {
        let tool = &ticket.context.tool;
        let choosy = self.mixed && self.workers.iter().any(|worker| worker.knows(tool));
        let knows = |at: usize| !choosy || self.workers[at].knows(tool);
        if let Wanted::Rather(id) = &ticket.wanted
            && let Some(at) = self
                .workers
                .iter()
                .position(|worker| worker.id == *id && worker.free() > 0)
            && !self.workers[at].tainted(now)
            && knows(at)
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
        let eligible =
            |at: &usize| knows(*at) && !(spare_tainted && self.workers[*at].tainted(now));
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

    pub(super) fn give(
        &mut self,
        at: usize,
        key: CallKey,
        ticket: Ticket,
        now: Instant,
        after: &mut After,
    ) {
        let quick = self.quick(&ticket);
        let waited = now.saturating_duration_since(ticket.admitted);
        after.waited.push(waited);
        let worker = &mut self.workers[at];
        if events::listened() {
            let metadata = ticket.call.as_ref().map(|call| &call.metadata);
            let correlation_id = metadata.and_then(|metadata| metadata.get("correlation_id"));
            after.dispatched.push(Dispatched {
                waited,
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
            waited,
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
    pub(super) fn pump(&mut self, now: Instant, after: &mut After) {
        if !self.bound.is_empty() {
            self.pump_bound(now, after);
        }
        let mut from = 0;
        while let Some((&key, ticket)) = self.queue.range(from..).next() {
            let Some(at) = self.pick(ticket, now) else {
                // Where workers differ, one behind may still find the one that it needs.
                if !self.mixed {
                    return;
                }
                from = key + 1;
                continue;
            };
            let ticket = self.queue.remove(&key).expect("it was first");
            self.give(at, key, ticket, now, after);
        }
    }

    pub(super) fn pump_bound(&mut self, now: Instant, after: &mut After) {
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

    /// Give back calls that wait for no worker of its own, those that have waited longest, so many at most.
    pub(in super::super) fn give_back(&mut self, most: usize) -> After {
        let mut after = After::default();
        let movable =
            |ticket: &Ticket| ticket.movable && !matches!(ticket.wanted, Wanted::Only(..));
        let keys = self.queue.iter().filter(|(_, ticket)| movable(ticket));
        let keys: Vec<_> = keys.map(|(key, _)| *key).take(most).collect();
        for key in keys {
            if let Some(ticket) = self.unqueue(key) {
                let error = CallError::NoneFree {
                    pool: self.settings.name.clone(),
                };
                after.answers.push((ticket.reply, Err(error)));
            }
        }
        after
    }

    /// Take a call out of the queue; None where it is not there, for a worker has it or it has ended.
    pub(in super::super) fn unqueue(&mut self, key: CallKey) -> Option<Ticket> {
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
    pub(in super::super) fn take_back(
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
}
