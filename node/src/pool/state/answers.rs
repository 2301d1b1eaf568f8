//! What workers answer: results and chunks; and what is asked of workers meanwhile.

use std::sync::Arc;
use std::time::Instant;

use snakepit_proto::{bridge, worker as wire};

use super::super::call::{CallContext, CallOutcome};
use super::super::error::CallError;
use super::super::link::Link;
use super::{After, CallKey, Ending, NEWEST, Reply, STALL, State, WorkerKey};

impl State {
    /// Whether a worker still holds a call whose caller has gone.
    pub(in super::super) fn still_cancelled(&self, worker: WorkerKey, key: CallKey) -> bool {
        let found = self.workers.iter().find(|known| known.key == worker);
        found.is_some_and(|worker| worker.running.get(&key).is_some_and(|call| call.cancelled))
    }

    /// A worker's answers, in order.
    pub(in super::super) fn results(
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
            let queued_us = u64::try_from(running.waited.as_micros()).unwrap_or(u64::MAX);
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
                    queued_us,
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

    pub(super) fn learn(&mut self, tool: &str, took_us: u64) {
        if let Some(tool) = self.tools.get_mut(tool) {
            tool.usual_us += (took_us as f32 - tool.usual_us) * NEWEST;
        }
    }

    /// A chunk for its reader. False where the worker sent more than it had credits for.
    pub(in super::super) fn chunk(&mut self, key: WorkerKey, chunk: wire::Chunk) -> bool {
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
    pub(in super::super) fn grant(&mut self, key: CallKey, credits: u32) -> Option<Arc<Link>> {
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
    pub(in super::super) fn context(&self, key: CallKey, secret: u128) -> Option<CallContext> {
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
    pub(in super::super) fn unstall(&mut self, now: Instant) -> (Vec<Arc<Link>>, bool) {
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
    pub(in super::super) fn tell_listened(&mut self, listened: bool) -> Vec<Arc<Link>> {
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
    pub(in super::super) fn close(&mut self) -> After {
        self.draining = true;
        let mut after = After::default();
        let bound = std::mem::take(&mut self.bound).into_values().flatten();
        let queued = std::mem::take(&mut self.queue).into_iter();
        for (_, ticket) in queued.chain(bound) {
            after.answers.push((ticket.reply, Err(CallError::Draining)));
        }
        after
    }
}
