//! Workers come, break off, come back, drain and go; what becomes of the calls that they had.

use std::sync::Arc;
use std::time::Instant;

use snakepit_proto::bridge::ToolSpec;
use snakepit_proto::worker as wire;

use super::super::error::CallError;
use super::super::link::Link;
use super::worker::{About, Running, Worker};
use super::{After, CallKey, Ending, State, Tool, UNKNOWN_US, Wanted, WorkerKey, token};

impl State {
    /// A worker said hello.
    pub(in super::super) fn join(
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
        self.compare_tools();
        let mut after = After::default();
        self.pump(now, &mut after);
        after
    }

    /// A worker's stream broke while its process lives: it may come back, unless it has done so already. What
    /// was not sent goes to others.
    pub(in super::super) fn suspend(&mut self, link: &Arc<Link>, now: Instant) -> After {
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
    pub(in super::super) fn rejoin(
        &mut self,
        link: &Arc<Link>,
        held: &[u64],
        now: Instant,
    ) -> Option<After> {
        let mut after = After::default();
        let worker = self.worker_mut(link.key)?;
        worker.link = link.clone();
        worker.reconnecting = false;
        worker.listened = false;
        worker.events_dropped = 0;
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
    pub(in super::super) fn leave(&mut self, key: WorkerKey, drained: bool, now: Instant) -> After {
        let mut after = After::default();
        let Some(at) = self.workers.iter().position(|worker| worker.key == key) else {
            return after;
        };
        let worker = self.workers.swap_remove(at);
        self.compare_tools();
        self.forsake(&worker.id, &mut after);
        for (call, running) in worker.running {
            let not_begun = drained || !running.sent;
            self.again_or_lost(call, running, &worker.id, not_begun, now, &mut after);
        }
        self.pump(now, &mut after);
        after
    }

    fn compare_tools(&mut self) {
        self.mixed = self
            .workers
            .windows(2)
            .any(|pair| pair[0].about.tools != pair[1].about.tools);
    }

    /// Nobody waits any more for a worker that takes no more calls.
    pub(super) fn forsake(&mut self, id: &str, after: &mut After) {
        for (_, ticket) in self.bound.remove(id).into_iter().flatten() {
            let error = self.bound_worker_gone(id);
            after.answers.push((ticket.reply, Err(error)));
        }
    }

    pub(super) fn bound_worker_gone(&self, id: &str) -> CallError {
        CallError::BoundWorkerGone {
            pool: self.settings.name.clone(),
            worker_id: id.to_owned(),
        }
    }

    pub(super) fn again_or_lost(
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

    pub(in super::super) fn workers(&self) -> &[Worker] {
        &self.workers
    }

    pub(in super::super) fn worker_mut(&mut self, key: WorkerKey) -> Option<&mut Worker> {
        self.workers.iter_mut().find(|worker| worker.key == key)
    }

    /// Tell a worker to finish what it has and to take no more.
    pub(in super::super) fn drain(&mut self, key: WorkerKey, deadline_ms: u64) -> After {
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

    pub(in super::super) fn send(&mut self, key: WorkerKey, message: wire::to_worker::Message) {
        if let Some(worker) = self.worker_mut(key) {
            worker.control.push_back(message);
        }
    }

    /// What to say to a worker next: control messages first, else everything that waits for it.
    pub(in super::super) fn next_message(
        &mut self,
        key: WorkerKey,
        now: Instant,
    ) -> Option<wire::ToWorker> {
        let message = self.worker_mut(key)?.next_message(now)?;
        Some(wire::ToWorker {
            message: Some(message),
        })
    }
}
