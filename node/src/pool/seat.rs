//! A place for a worker: starts one, waits for its end, and starts the next, for as long as the node runs.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::endpoint::{Expected, Registry};
use super::link::Link;
use super::pool::Pool;
use super::process::Process;
use super::spawn::{Spawner, WorkerEnvironment};
use super::stop::Stop;

/// How long the reader may take to see the end of a dead worker's stream.
const READER_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a process may outlive its stream, to write its last words.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How long a worker may take to end after the drain's deadline, at which it ends itself.
const DRAIN_MARGIN: Duration = Duration::from_millis(250);
/// How much of the pause before a restart is random.
const JITTER: f64 = 0.25;

/// What a place is up to; for the supervisor to write and for queries to read.
#[derive(Clone, Default)]
pub(super) struct Seat {
    pub(super) worker_id: String,
    /// The process, 0 where there is none.
    pub(super) pid: u32,
    pub(super) started: Option<Instant>,
    pub(super) link: Option<Arc<Link>>,
    pub(super) backing_off: bool,
    pub(super) restarts: u32,
    /// Why the last worker here ended, unless it was asked to.
    pub(super) problem: Option<String>,
}

/// What all places share.
pub(super) struct Supervisor {
    pub(super) pool: Arc<Pool>,
    pub(super) registry: Arc<Registry>,
    pub(super) spawner: Arc<Spawner>,
    pub(super) node_id: u64,
    pub(super) stop: Arc<Stop>,
}

/// How a worker's life ended.
enum Ended {
    /// The node stops.
    Stopped,
    /// On purpose: the next one starts at once.
    Killed,
    /// It drained without being asked by the node.
    Drained,
    /// By itself; with how long it had served.
    Crashed(Duration),
}

impl Supervisor {
    /// Keep a worker in place `index` until the node stops. Then no process of this place lives.
    pub(super) async fn keep(self: Arc<Self>, index: usize) {
        let settings = &self.pool.settings;
        let sound = Duration::from_millis(settings.backoff_max_ms);
        let mut crashes = 0u32;
        while !self.stop.asked() {
            let ended = self.live(index).await;
            let pause = match ended {
                Ended::Stopped => return,
                Ended::Killed | Ended::Drained => {
                    crashes = 0;
                    Duration::ZERO
                }
                Ended::Crashed(served) => {
                    crashes = if served >= sound {
                        1
                    } else {
                        crashes.saturating_add(1)
                    };
                    self.pause(crashes)
                }
            };
            self.note(index, |seat| {
                seat.restarts = seat.restarts.saturating_add(1);
                (seat.pid, seat.link, seat.started) = (0, None, None);
                seat.backing_off = !pause.is_zero();
            });
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// The pause after so many crashes in a row.
    fn pause(&self, crashes: u32) -> Duration {
        let settings = &self.pool.settings;
        let doubled = settings
            .backoff_min_ms
            .saturating_mul(1 << crashes.saturating_sub(1).min(30));
        let pause_ms = doubled.min(settings.backoff_max_ms) as f64;
        Duration::from_secs_f64(pause_ms * (1.0 - JITTER * rand::random::<f64>()) / 1000.0)
    }

    fn note(&self, index: usize, change: impl FnOnce(&mut Seat)) {
        change(
            &mut self.pool.seats[index]
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
    }

    async fn live(&self, index: usize) -> Ended {
        let (pool, settings) = (&self.pool, &self.pool.settings);
        let permit = tokio::select! {
            () = self.stop.cancelled() => return Ended::Stopped,
            permit = pool.starting.acquire() => permit.expect("the semaphore is never closed"),
        };
        let suffix: u32 = rand::random();
        let worker_id = format!("{}-{}.{index}-{suffix:08x}", settings.name, self.node_id);
        let (expected, token, mut hello) = Expected::new(pool.clone());
        // Forgotten again when this life ends, whether it has said hello or not.
        let _expected = self.registry.expect(&worker_id, expected);
        let environment = WorkerEnvironment {
            worker_id: &worker_id,
            token: &token,
            node_id: self.node_id,
            socket: self.registry.socket(),
        };
        let began = Instant::now();
        let mut process = match self.spawner.spawn(settings, &environment).await {
            Ok(process) => process,
            Err(error) => {
                let remedy = "is `python` of this pool installed and executable?";
                let problem = format!("{}: {error}; hint: {remedy}", settings.python);
                return self.crashed(index, &worker_id, "start_failed", problem, Duration::ZERO);
            }
        };
        pool.meters.starts.increment(1);
        self.note(index, |seat| {
            seat.worker_id = worker_id.clone();
            seat.pid = process.pid();
            seat.started = Some(began);
            seat.backing_off = false;
        });
        tracing::debug!(
            worker = worker_id,
            pool = settings.name,
            pid = process.pid(),
            "started"
        );

        let start_timeout = Duration::from_millis(settings.start_timeout_ms);
        let link = tokio::select! {
            link = &mut hello => link.ok(),
            () = process.exited() => None,
            () = tokio::time::sleep(start_timeout) => {
                process.end().await;
                let problem = format!(
                    "it said no hello within {} ms; hint: raise start_timeout_ms, or see its log: {}",
                    settings.start_timeout_ms, process.last_words()
                );
                return self.crashed(index, &worker_id, "start_failed", problem, Duration::ZERO);
            }
            () = self.stop.cancelled() => {
                process.ask_to_end();
                self.wait_for_end(&mut process).await;
                pool.meters.exit("stopped");
                return Ended::Stopped;
            }
        };
        drop(permit);
        let Some(link) = link else {
            let status = process.end().await;
            let problem = format!(
                "it ended before its hello, {status}; its log: {}",
                process.last_words()
            );
            return self.crashed(index, &worker_id, "start_failed", problem, Duration::ZERO);
        };
        pool.meters
            .start_seconds
            .record(began.elapsed().as_secs_f64());
        self.note(index, |seat| {
            seat.link = Some(link.clone());
            seat.problem = None;
        });
        tracing::info!(
            worker = worker_id,
            pool = settings.name,
            pid = process.pid(),
            "ready"
        );
        let ended = self.serve(index, &worker_id, &mut process, &link).await;
        // Not before the reader has taken the last results, or has had its chance.
        let _ = tokio::time::timeout(READER_TIMEOUT, link.closed.cancelled()).await;
        pool.leave(link.key, false);
        link.closed.cancel();
        link.wake();
        ended
    }

    /// From hello to end; the process and its group are gone when this returns.
    async fn serve(
        &self,
        index: usize,
        worker_id: &str,
        process: &mut Process,
        link: &Link,
    ) -> Ended {
        let meters = &self.pool.meters;
        let ready_at = Instant::now();
        tokio::select! {
            () = process.exited() => {}
            () = link.closed.cancelled() => {
                // After a goodbye its adapter cleans up.
                let patience = if link.drained() { self.drain_time() } else { LAST_WORDS };
                let _ = tokio::time::timeout(patience, process.exited()).await;
            }
            reason = link.killed() => {
                process.end().await;
                meters.exit(reason);
                return Ended::Killed;
            }
            () = self.stop.cancelled() => {
                let deadline_ms = self.drain_time().as_millis() as u64;
                self.pool.drain_worker(link, deadline_ms.max(1));
                self.wait_for_end(process).await;
                meters.exit("stopped");
                return Ended::Stopped;
            }
        }
        let status = process.end().await;
        if self.stop.asked() {
            meters.exit("stopped");
            return Ended::Stopped;
        }
        if status.clean() {
            meters.exit("drained");
            return Ended::Drained;
        }
        let problem = format!(
            "it ended by itself, {status}; its log: {}",
            process.last_words()
        );
        self.crashed(index, worker_id, "crashed", problem, ready_at.elapsed())
    }

    fn drain_time(&self) -> Duration {
        let own = Duration::from_millis(self.pool.settings.drain_timeout_ms);
        match self.stop.deadline() {
            Some(deadline) => own.min(deadline.saturating_duration_since(Instant::now())),
            None => own,
        }
    }

    async fn wait_for_end(&self, process: &mut Process) {
        let _ = tokio::time::timeout(self.drain_time() + DRAIN_MARGIN, process.exited()).await;
        process.end().await;
    }

    fn crashed(
        &self,
        index: usize,
        worker_id: &str,
        reason: &'static str,
        problem: String,
        served: Duration,
    ) -> Ended {
        self.pool.meters.exit(reason);
        tracing::warn!(
            worker = worker_id,
            pool = self.pool.settings.name,
            "{problem}"
        );
        self.note(index, |seat| seat.problem = Some(problem));
        self.pool.changed.send_modify(|count| *count += 1);
        Ended::Crashed(served)
    }
}
