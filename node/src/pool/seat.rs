//! Keeps a worker in a place: starts one, serves with it, replaces it, for as long as the place is wanted.
//!
//! ```text
//! starting ─ hello ─> ready <─> busy ─ retire: a successor starts, then ─> draining ─> stopped
//!    │ fails             │  └ stream breaks ─> reconnecting ─ dials again ─> ready
//!    └─> backing off <───┴ dies; too often: tainted
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use super::endpoint::{Expected, Registry};
use super::link::Link;
use super::place::{Place, Seat};
use super::pool::Pool;
use super::process::Process;
use super::spawn::{Spawner, WorkerEnvironment};
use super::zygote::Zygote;
use crate::telemetry::events;

/// How long the reader may take to see the end of a dead worker's stream.
const READER_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a worker may take to end after the drain's deadline, at which it ends itself.
const DRAIN_MARGIN: Duration = Duration::from_millis(250);
/// How much of the pause before a restart is random.
const JITTER: f64 = 0.25;
/// A first crash after so long costs no pause.
const SOUND: Duration = Duration::from_secs(1);

/// What all places of a pool share.
pub(super) struct Supervisor {
    pub(super) pool: Arc<Pool>,
    pub(super) registry: Arc<Registry>,
    pub(super) spawner: Arc<Spawner>,
    pub(super) zygote: Zygote,
    pub(super) node_id: u64,
}

/// A worker that said hello. Dropping it kills the process and all that belongs to it.
struct Life {
    worker_id: String,
    process: Process,
    link: Arc<Link>,
    /// Further connections of the same worker.
    links: mpsc::Receiver<Arc<Link>>,
    ready_at: Instant,
    generation: u64,
    registry: Arc<Registry>,
}

impl Drop for Life {
    fn drop(&mut self) {
        self.registry.forget(&self.worker_id);
    }
}

/// Why there is no worker.
enum Failed {
    Stopped,
    Crashed,
}

/// What became of a place's worker.
enum Turn {
    Stopped,
    /// Another is ready; the old one drains.
    Replaced(Box<Life>),
    /// On purpose: the next one starts at once.
    Ended,
    /// By itself; with how long it had served.
    Crashed(Duration),
}

impl Supervisor {
    /// Keep a worker in a place until that is told to stop. Then no process of this place lives.
    pub(super) async fn keep(self: Arc<Self>, place: Arc<Place>) {
        let mut crashes = 0u32;
        let mut next: Option<Box<Life>> = None;
        while !place.stop.asked() {
            let life = match next.take() {
                Some(life) => Ok(life),
                None => self.start(&place).await,
            };
            let turn = match life {
                Ok(life) => self.serve(&place, life).await,
                Err(Failed::Stopped) => Turn::Stopped,
                Err(Failed::Crashed) => Turn::Crashed(Duration::ZERO),
            };
            let pause = match turn {
                Turn::Stopped => break,
                Turn::Replaced(life) => {
                    next = Some(life);
                    self.restarted(&place, Duration::ZERO);
                    continue;
                }
                Turn::Ended => {
                    crashes = 0;
                    Duration::ZERO
                }
                Turn::Crashed(served) => {
                    let sound = Duration::from_millis(self.pool.settings().backoff_max_ms);
                    crashes = if served >= sound.min(SOUND) {
                        0
                    } else {
                        crashes.saturating_add(1)
                    };
                    self.pause(crashes)
                }
            };
            self.restarted(&place, pause);
            tokio::select! {
                () = place.stop.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        let mut seat = place.seat();
        (seat.pid, seat.link, seat.stopped) = (0, None, true);
    }

    fn restarted(&self, place: &Place, pause: Duration) {
        self.pool.meters.restarted();
        let backing_off = !pause.is_zero();
        let mut seat = place.seat();
        seat.restarts = seat.restarts.saturating_add(1);
        let reason = seat.problem.as_deref().unwrap_or("replaced");
        events::worker_restarted(
            self.pool.name(),
            seat.restarts,
            pause,
            &seat.worker_id,
            reason,
        );
        seat.backing_off = backing_off;
        if backing_off
            || seat
                .link
                .as_ref()
                .is_some_and(|link| link.closed.is_cancelled())
        {
            (seat.pid, seat.link, seat.started) = (0, None, None);
        }
    }

    /// The pause after so many crashes in a row.
    fn pause(&self, crashes: u32) -> Duration {
        if crashes == 0 {
            return Duration::ZERO;
        }
        let settings = self.pool.settings();
        let doubled = settings
            .backoff_min_ms
            .saturating_mul(1 << (crashes - 1).min(30));
        let pause_ms = doubled.min(settings.backoff_max_ms) as f64;
        Duration::from_secs_f64(pause_ms * (1.0 - JITTER * rand::random::<f64>()) / 1000.0)
    }

    /// From nothing to hello.
    async fn start(&self, place: &Place) -> Result<Box<Life>, Failed> {
        let pool = &self.pool;
        let starting = pool.starting();
        {
            let mut seat = place.seat();
            (seat.waits, seat.backing_off) = (true, false);
        }
        let permit = tokio::select! {
            () = place.stop.cancelled() => return Err(Failed::Stopped),
            permit = starting.acquire() => permit.expect("the semaphore is never closed"),
        };
        place.seat().waits = false;
        let (settings, generation) = (pool.settings(), *pool.generation.borrow());
        let suffix: u32 = rand::random();
        let (name, index) = (pool.name(), place.index);
        let worker_id = format!("{name}-{}.{index}-{suffix:08x}", self.node_id);
        let tainted_until = place.seat().tainted_until(Instant::now());
        let (expected, token, mut links) = Expected::new(pool.clone(), tainted_until);
        self.registry.expect(&worker_id, expected);
        let environment = WorkerEnvironment {
            worker_id: &worker_id,
            token: &token,
            node_id: self.node_id,
            socket: self.registry.socket(),
        };
        let began = Instant::now();
        let spawned = if settings.forks() {
            self.zygote.fork(&settings, &environment).await
        } else {
            self.spawner.spawn(&settings, &environment).await
        };
        let process = match spawned {
            Ok(process) => process,
            Err(error) => {
                self.registry.forget(&worker_id);
                let python = settings.interpreter();
                let remedy = "is the Python of this pool installed, with the package snakepit?";
                let problem = format!("{python}: {error}; hint: {remedy}");
                self.crashed(place, &worker_id, "start_failed", problem);
                return Err(Failed::Crashed);
            }
        };
        pool.meters.starts.increment(1);
        tracing::debug!(
            worker = worker_id,
            pool = name,
            pid = process.pid(),
            "worker starting"
        );
        events::worker_spawned(name, &worker_id);
        {
            let mut seat = place.seat();
            if seat.link.is_none() {
                seat.worker_id.clone_from(&worker_id);
                (seat.pid, seat.started) = (process.pid(), Some(began));
            }
        }
        let start_timeout = Duration::from_millis(settings.start_timeout_ms);
        // Forgotten again with its life, whether it has said hello or not.
        let mut life = Box::new(Life {
            worker_id,
            process,
            link: Arc::new(Link::new(0)),
            links: mpsc::channel(1).1,
            ready_at: began,
            generation,
            registry: self.registry.clone(),
        });
        let link = tokio::select! {
            link = links.recv() => link,
            () = life.process.exited() => None,
            () = tokio::time::sleep(start_timeout) => {
                life.process.end().await;
                let problem = format!(
                    "it said no hello within {} ms; hint: raise start_timeout_ms, or see its log: {}",
                    settings.start_timeout_ms, life.process.last_words()
                );
                self.crashed(place, &life.worker_id, "start_failed", problem);
                return Err(Failed::Crashed);
            }
            () = place.stop.cancelled() => {
                life.process.ask_to_end();
                self.wait_for_end(place, &mut life.process).await;
                pool.meters.exit("stopped");
                return Err(Failed::Stopped);
            }
        };
        drop(permit);
        let Some(link) = link else {
            let status = life.process.end().await;
            let problem = format!(
                "it ended before its hello, {status}; its log: {}",
                life.process.last_words()
            );
            self.crashed(place, &life.worker_id, "start_failed", problem);
            return Err(Failed::Crashed);
        };
        pool.meters
            .start_seconds
            .record(began.elapsed().as_secs_f64());
        (life.link, life.links, life.ready_at) = (link, links, Instant::now());
        tracing::info!(
            worker = life.worker_id,
            pool = name,
            pid = life.process.pid(),
            tainted = tainted_until.is_some(),
            "worker ready"
        );
        events::worker_ready(name, began.elapsed(), &life.worker_id);
        Ok(life)
    }

    /// From hello to end, or until another is ready in its place.
    async fn serve(self: &Arc<Self>, place: &Arc<Place>, mut life: Box<Life>) -> Turn {
        self.seated(place, &life);
        let mut generation = self.pool.generation.subscribe();
        let old_age = self.old_age(&life);
        let mut successor = None;
        let mut wanted = false;
        loop {
            if wanted && successor.is_none() {
                let (me, place) = (self.clone(), place.clone());
                successor = Some(Box::pin(async move { me.start(&place).await }));
            }
            let link = life.link.clone();
            tokio::select! {
                () = life.process.exited() => return self.ended(place, life, None).await,
                () = link.closed.cancelled() => {
                    if link.drained() || !self.reconnected(place, &mut life).await {
                        return self.ended(place, life, None).await;
                    }
                }
                Some(link) = life.links.recv() => {
                    // It has dialled again before its old stream was seen to break.
                    life.link = link;
                    place.seat().link = Some(life.link.clone());
                }
                reason = link.killed() => return self.ended(place, life, Some(reason)).await,
                () = place.stop.cancelled() => {
                    self.finish(place, life, "stopped").await;
                    return Turn::Stopped;
                }
                () = link.asked_to_drain() => {
                    self.finish(place, life, "drained").await;
                    return Turn::Ended;
                }
                reason = link.retired(), if !wanted => {
                    self.retiring(&life, reason);
                    wanted = true;
                }
                () = tokio::time::sleep_until(old_age.unwrap_or(life.ready_at).into()), if !wanted && old_age.is_some() => {
                    life.link.retire("age");
                }
                () = changed(&mut generation, life.generation), if !wanted => {
                    life.link.retire("settings");
                }
                started = async { successor.as_mut().expect("it is there").await }, if successor.is_some() => {
                    successor = None;
                    match started {
                        Ok(next) => {
                            let (me, place) = (self.clone(), place.clone());
                            self.pool.keep(async move { me.finish(&place, life, "recycled").await });
                            return Turn::Replaced(next);
                        }
                        Err(Failed::Stopped) => {}
                        // The old one goes on meanwhile.
                        Err(Failed::Crashed) => tokio::time::sleep(self.pause(1)).await,
                    }
                }
            }
        }
    }

    fn seated(&self, place: &Place, life: &Life) {
        let mut seat = place.seat();
        seat.worker_id.clone_from(&life.worker_id);
        seat.pid = life.process.pid();
        seat.generation = life.generation;
        seat.started = Some(life.ready_at);
        seat.link = Some(life.link.clone());
        (seat.backing_off, seat.problem) = (false, None);
    }

    fn old_age(&self, life: &Life) -> Option<Instant> {
        let age_ms = self.pool.settings().recycle_age_ms;
        // Not all at once, where all were started at once.
        let later = age_ms as f64 * 0.1 * rand::random::<f64>();
        (age_ms > 0).then(|| life.ready_at + Duration::from_millis(age_ms + later as u64))
    }

    fn retiring(&self, life: &Life, reason: &'static str) {
        let (worker, pool) = (&life.worker_id, self.pool.name());
        tracing::info!(worker, pool, reason, "worker to be replaced");
        self.pool.meters.recycled(reason);
        events::worker_recycled(pool, self.pool.calls_of(life.link.key), worker, reason);
    }

    /// Wait for a worker whose stream broke to dial again. False where it did not.
    async fn reconnected(&self, place: &Place, life: &mut Life) -> bool {
        let patience = Duration::from_millis(self.pool.settings().reconnect_ms);
        let (worker, pool) = (&life.worker_id, self.pool.name());
        tracing::warn!(worker, pool, "worker reconnecting");
        tokio::select! {
            link = life.links.recv() => match link {
                Some(link) => {
                    tracing::info!(worker, pool, "worker reconnected");
                    life.link = link;
                    place.seat().link = Some(life.link.clone());
                    true
                }
                None => false,
            },
            () = life.process.exited() => false,
            () = place.stop.cancelled() => false,
            () = tokio::time::sleep(patience) => false,
        }
    }

    /// A worker has ended, or shall at once.
    async fn ended(
        &self,
        place: &Place,
        mut life: Box<Life>,
        killed: Option<&'static str>,
    ) -> Turn {
        let served = life.ready_at.elapsed();
        let lost = self.pool.running_at(life.link.key);
        if killed.is_none() && life.link.drained() {
            // After its goodbye the adapter cleans up.
            let _ = tokio::time::timeout(self.drain_time(place), life.process.exited()).await;
        }
        let status = life.process.end().await;
        let turn = if place.stop.asked() {
            self.pool.meters.exit("stopped");
            Turn::Stopped
        } else if let Some(reason) = killed {
            self.pool.meters.exit(reason);
            Turn::Ended
        } else if status.clean() {
            self.pool.meters.exit("drained");
            Turn::Ended
        } else {
            let problem = format!(
                "it ended by itself, {status}; its log: {}",
                life.process.last_words()
            );
            events::worker_crash(self.pool.name(), lost, &life.worker_id, &problem);
            self.crashed(place, &life.worker_id, "crashed", problem);
            Turn::Crashed(served)
        };
        let reason = killed.unwrap_or(if status.clean() { "drained" } else { "crashed" });
        events::worker_terminated(self.pool.name(), served, &life.worker_id, reason);
        self.leave(&life).await;
        turn
    }

    /// Let a worker finish what it has, then end it.
    async fn finish(&self, place: &Place, mut life: Box<Life>, reason: &'static str) {
        let deadline_ms = self.drain_time(place).as_millis() as u64;
        tracing::info!(
            worker = life.worker_id,
            pool = self.pool.name(),
            reason,
            "worker draining"
        );
        self.pool.drain_worker(&life.link, deadline_ms.max(1));
        self.wait_for_end(place, &mut life.process).await;
        self.pool.meters.exit(reason);
        let served = life.ready_at.elapsed();
        events::worker_terminated(self.pool.name(), served, &life.worker_id, reason);
        self.leave(&life).await;
        tracing::debug!(
            worker = life.worker_id,
            pool = self.pool.name(),
            "worker stopped"
        );
    }

    async fn leave(&self, life: &Life) {
        // Not before the reader has taken the last results, or has had its chance.
        let _ = tokio::time::timeout(READER_TIMEOUT, life.link.closed.cancelled()).await;
        self.pool.leave(life.link.key, false);
        life.link.closed.cancel();
        life.link.wake();
    }

    fn drain_time(&self, place: &Place) -> Duration {
        let own = Duration::from_millis(self.pool.settings().drain_timeout_ms);
        match place.stop.deadline() {
            Some(deadline) => own.min(deadline.saturating_duration_since(Instant::now())),
            None => own,
        }
    }

    async fn wait_for_end(&self, place: &Place, process: &mut Process) {
        let patience = self.drain_time(place) + DRAIN_MARGIN;
        tokio::select! {
            _ = tokio::time::timeout(patience, process.exited()) => {}
            // The stop's deadline may be earlier than the one that a drain began with.
            () = async {
                place.stop.cancelled().await;
                tokio::time::sleep(self.drain_time(place) + DRAIN_MARGIN).await;
            } => {}
        }
        process.end().await;
    }

    fn crashed(&self, place: &Place, worker: &str, reason: &'static str, problem: String) {
        self.pool.meters.exit(reason);
        let (settings, pool) = (self.pool.settings(), self.pool.name());
        tracing::warn!(worker, pool, "{problem}");
        let tainted = {
            let mut seat = place.seat();
            seat.problem = Some(problem);
            let window = Duration::from_millis(settings.taint_ms);
            seat.crashed(settings.taint_crashes, window, Instant::now())
        };
        if tainted {
            let period = Duration::from_millis(settings.taint_ms);
            events::worker_tainted(pool, period, worker, reason);
            let place = place.index;
            tracing::warn!(
                pool,
                place,
                "place tainted: its workers crash one after the other"
            );
            self.pool.meters.tainted();
        }
        self.pool.changed.send_modify(|count| *count += 1);
    }
}

/// Wait for another generation than this one.
async fn changed(generation: &mut watch::Receiver<u64>, from: u64) {
    if generation.wait_for(|now| *now != from).await.is_err() {
        // The pool is gone, and with it what would change.
        std::future::pending::<()>().await;
    }
}

impl Seat {
    /// Why there is no worker that serves, where that is known.
    pub(super) fn trouble(&self) -> Option<String> {
        self.problem.clone()
    }
}
