//! What others ask the pools.

use std::sync::Arc;
use std::time::Instant;

use snakepit_proto::bridge::ToolSpec;
use snakepit_proto::{cluster, peer};

use super::call::PoolReadiness;
use super::dispatch::{Kept, Pools, offered_as};
use super::place::Seat;
use super::pool::{self, Pool};
use super::settings::{Affinity, PoolSettings};
use super::state::circuit::Phase;

/// The tool of an adapter that takes calls of any name: Snakepit's adapters dispatch themselves.
pub const ANY_TOOL: &str = "execute_tool";

impl Pools {
    /// The tools of pools that serve now, by name.
    pub fn tools(&self) -> Vec<ToolSpec> {
        let kept = self.kept();
        let serving = kept
            .iter()
            .map(|kept| &kept.pool)
            .filter(|pool| pool.ready() > 0);
        pool::tools(serving).into_values().collect()
    }

    /// Whether a tool's author says that it may run twice.
    pub fn marked_idempotent(&self, tool: &str) -> bool {
        self.kept()
            .iter()
            .any(|kept| kept.pool.marked_idempotent(tool))
    }

    /// The version that a tool's author gave it, in its metadata: in the pool that is named, else in any.
    pub fn tool_version(&self, tool: &str, named: &str) -> Option<String> {
        let kept = self.kept();
        let fits = |kept: &&Kept| named.is_empty() || kept.pool.name() == named;
        kept.iter().filter(fits).find_map(|kept| {
            let state = kept.pool.state();
            let spec = state.specs().find(|spec| spec.name == tool)?;
            spec.metadata.get("version").cloned()
        })
    }

    /// The settings of the pool that would run a tool here: the one that is named, else the first that offers it.
    pub fn settings_for(&self, tool: &str, named: &str) -> Option<Arc<PoolSettings>> {
        let kept = self.kept();
        let fits = |kept: &&Kept| named.is_empty() || kept.pool.name() == named;
        let kept: Vec<_> = kept.iter().filter(fits).cloned().collect();
        let tool = offered_as(&kept, tool);
        kept.iter()
            .map(|kept| &kept.pool)
            .find(|pool| pool.offers(tool))
            .map(|pool| pool.settings())
    }

    /// Which worker a session's calls go to in a pool.
    pub fn affinity(&self, pool: &str) -> Option<Affinity> {
        let kept = self.kept();
        let kept = kept.iter().find(|kept| kept.pool.name() == pool)?;
        Some(kept.pool.settings().affinity)
    }

    /// Workers of a pool that take calls, by id, and whether each is free.
    pub fn serving_workers(&self, pool: &str) -> Vec<(String, bool)> {
        let kept = self.kept();
        let Some(kept) = kept.iter().find(|kept| kept.pool.name() == pool) else {
            return Vec::new();
        };
        let state = kept.pool.state();
        let serving = state
            .workers()
            .iter()
            .filter(|worker| !worker.draining && !worker.reconnecting);
        serving
            .map(|worker| (worker.id.clone(), worker.free() > 0))
            .collect()
    }

    /// Whether a worker of that id takes calls here.
    pub fn has_worker(&self, pool: &str, id: &str) -> bool {
        self.kept()
            .iter()
            .any(|kept| kept.pool.name() == pool && kept.pool.has_worker(id))
    }

    /// Whether a call of that id waits or runs here.
    pub fn has_call(&self, call_id: &str) -> bool {
        self.kept().iter().any(|kept| kept.pool.has_call(call_id))
    }

    /// Count that a lost call runs again.
    pub fn count_retry(&self, pool: &str) {
        if let Some(kept) = self.kept().iter().find(|kept| kept.pool.name() == pool) {
            kept.pool.meters.retried();
        }
    }

    /// All workers, those that start or wait to be started included. Reads `/proc`.
    pub fn workers(&self) -> Vec<cluster::Worker> {
        let mut workers = Vec::new();
        for kept in self.kept().iter() {
            let pool = &kept.pool;
            let places = pool.places().clone();
            for place in &places {
                let seat = place.seat().clone();
                workers.push(worker(self.inner.node_id, pool, place.index, &seat));
            }
            if pool.offer {
                workers.extend(outside(self.inner.node_id, pool));
            }
        }
        workers
    }

    /// Restart (`restart`), drain or kill workers: one by its id, those of a pool, or all. Returns whom it told.
    pub fn control(&self, action: Control, worker_id: &str, pool: &str) -> Vec<String> {
        let mut told = Vec::new();
        for kept in self.kept().iter() {
            if !pool.is_empty() && kept.pool.name() != pool {
                continue;
            }
            let state = kept.pool.state();
            for worker in state.workers() {
                if !worker_id.is_empty() && worker.id != worker_id {
                    continue;
                }
                let first = match action {
                    Control::Restart => worker.link.retire("asked"),
                    Control::Drain => worker.link.drain(),
                    Control::Kill => worker.link.kill("killed"),
                };
                if first {
                    told.push(worker.id.clone());
                }
            }
        }
        told
    }

    /// How busy each pool here is that offers a tool.
    pub fn loads(&self, tool: &str) -> Vec<Load> {
        let now = Instant::now();
        let kept = self.kept();
        let loads = kept.iter().filter_map(|kept| {
            let settings = kept.pool.settings();
            let state = kept.pool.state();
            let exact = state.offers(tool);
            if !exact && !state.offers(ANY_TOOL) {
                return None;
            }
            Some(Load {
                node: self.inner.node_id,
                pool: kept.pool.name().to_owned(),
                exact,
                slots: count(state.slots()),
                free: count(state.free()),
                waiting: count(state.queued()),
                circuit_open: state.circuits().any(|(open, circuit)| {
                    open == tool && circuit.phase_at(&settings, now) == Phase::Open
                }),
            })
        });
        loads.collect()
    }

    /// Pools in which calls wait, and how many.
    pub fn waiting(&self) -> Vec<(String, usize)> {
        let kept = self.kept();
        let waiting = kept.iter().filter_map(|kept| {
            let queued = kept.pool.state().queued();
            (queued > 0).then(|| (kept.pool.name().to_owned(), queued))
        });
        waiting.collect()
    }

    /// Give back so many calls at most that wait in a pool, to whoever sent them here.
    pub fn give_back(&self, pool: &str, most: usize) {
        if let Some(kept) = self.kept().iter().find(|kept| kept.pool.name() == pool) {
            kept.pool.give_back(most);
        }
    }

    /// What each pool can take now, as other nodes are told.
    pub fn capacities(&self) -> Vec<peer::PoolCapacity> {
        let now = Instant::now();
        let of = |pool: &Arc<Pool>| {
            let settings = pool.settings();
            let state = pool.state();
            peer::PoolCapacity {
                name: pool.name().to_owned(),
                tools: if state.workers().is_empty() {
                    Vec::new()
                } else {
                    state.specs().cloned().collect()
                },
                slots: count(state.slots()),
                free: count(state.free()),
                queued: count(state.queued()),
                running: count(state.running()),
                affinity: settings.affinity.name().to_owned(),
                workers: state
                    .workers()
                    .iter()
                    .filter(|worker| !worker.draining && !worker.reconnecting)
                    .map(|worker| peer::WorkerCapacity {
                        id: worker.id.clone(),
                        free: count(worker.free()),
                        tainted: worker.tainted(now),
                        slots: count(worker.about.slots),
                    })
                    .collect(),
                circuits_open: state
                    .circuits()
                    .filter(|(_, circuit)| circuit.phase_at(&settings, now) == Phase::Open)
                    .map(|(tool, _)| tool.clone())
                    .collect(),
                offer: pool.offer,
                journal: settings.journal.name().to_owned(),
            }
        };
        self.kept().iter().map(|kept| of(&kept.pool)).collect()
    }

    /// How each pool does here.
    pub fn stats(&self) -> Vec<cluster::Pool> {
        let kept = self.kept();
        kept.iter()
            .map(|kept| stats(self.inner.node_id, &kept.pool))
            .collect()
    }

    /// Wait until each pool has a worker that serves. Never returns where an adapter does not load: give it
    /// a timeout, and ask [`Pools::readiness`] for the reason.
    pub async fn ready(&self) {
        let mut changes = self.inner.changed.subscribe();
        while !self
            .kept()
            .iter()
            .all(|kept| kept.pool.ready() > 0 || kept.pool.settings().size == 0)
        {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Each pool's part in the node's readiness.
    pub fn readiness(&self) -> Vec<PoolReadiness> {
        let one = |pool: &Arc<Pool>| PoolReadiness {
            pool: pool.name().to_owned(),
            size: pool.settings().size,
            ready: pool.ready(),
            problem: problem(pool),
        };
        let kept = self.kept();
        let own = kept
            .iter()
            .map(|kept| &kept.pool)
            .filter(|pool| !pool.offer);
        own.map(one).collect()
    }
}

/// What workers can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Another is started first, then the worker drains.
    Restart,
    /// The worker drains, and is replaced then.
    Drain,
    /// The worker's process is killed, and replaced.
    Kill,
}

/// How busy a pool of a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// The node.
    pub node: u64,
    /// The pool's name.
    pub pool: String,
    /// Whether it offers the tool by its own name, not through an adapter that takes any.
    pub exact: bool,
    /// Calls that it can run at once.
    pub slots: u32,
    /// Those that are free.
    pub free: u32,
    /// Calls that wait there.
    pub waiting: u32,
    /// Whether it refuses the tool for now.
    pub circuit_open: bool,
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn ms(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn problem(pool: &Pool) -> Option<String> {
    pool.places()
        .iter()
        .find_map(|place| place.seat().trouble())
}

fn stats(node_id: u64, pool: &Pool) -> cluster::Pool {
    let (settings, totals, now) = (pool.settings(), pool.meters.totals(), Instant::now());
    let (problem, places) = (problem(pool), pool.places().clone());
    let idle: Vec<_> = places
        .iter()
        .filter_map(|place| place.seat().idle())
        .collect();
    let places_that = |state: &str| count(idle.iter().filter(|idle| **idle == state).count());
    let state = pool.state();
    let workers = |fits: &dyn Fn(&super::state::Worker) -> bool| {
        count(state.workers().iter().filter(|worker| fits(worker)).count())
    };
    let mut tools: Vec<_> = state.specs().map(|spec| spec.name.clone()).collect();
    tools.sort_unstable();
    cluster::Pool {
        name: pool.name().to_owned(),
        definition_json: serde_json::to_string(&*settings).unwrap_or_default(),
        origin: if pool.offer { "offer" } else { "file" }.to_owned(),
        node_id,
        placed: true,
        desired: if pool.offer { 0 } else { count(settings.size) },
        ready: workers(&|worker| !worker.draining && !worker.reconnecting),
        starting: places_that("starting"),
        waiting: places_that("waiting"),
        backing_off: places_that("backing_off"),
        draining: workers(&|worker| worker.draining),
        tainted: workers(&|worker| worker.tainted(now)),
        reconnecting: workers(&|worker| worker.reconnecting),
        slots: count(state.slots()),
        running: count(state.running()),
        queued: count(state.queued()),
        calls_ok: totals.ok,
        calls_raised: totals.raised,
        calls_lost: totals.lost,
        calls_taken_back: totals.taken_back,
        calls_refused: totals.refused,
        queue_timeouts: totals.queue_timeouts,
        calls_retried: totals.retried,
        restarts: totals.restarts,
        circuits: state
            .circuits()
            .map(|(tool, circuit)| cluster::Circuit {
                tool: tool.clone(),
                state: circuit.phase_at(&settings, now).name().to_owned(),
                failures: circuit.failures,
                retry_after_ms: ms(circuit.retry_after(&settings, now)),
            })
            .collect(),
        problem: problem.unwrap_or_default(),
        tools,
        ..cluster::Pool::default()
    }
}

fn worker(node_id: u64, pool: &Pool, place: usize, seat: &Seat) -> cluster::Worker {
    let now = Instant::now();
    let mut worker = cluster::Worker {
        id: seat.worker_id.clone(),
        node_id,
        pid: seat.pid,
        pool: pool.name().to_owned(),
        state: seat.idle().unwrap_or("starting").to_owned(),
        rss_bytes: rss_bytes(seat.pid),
        uptime_ms: seat.started.map_or(0, |at| ms(now - at)),
        restarts: seat.restarts,
        generation: seat.generation,
        tainted_ms: seat.tainted_until(now).map_or(0, |until| ms(until - now)),
        concurrency: pool.settings().concurrency.name().to_owned(),
        problem: seat.trouble().unwrap_or_default(),
        place: count(place),
        ..Default::default()
    };
    let mut state = pool.state();
    if let Some(known) = seat
        .link
        .as_ref()
        .and_then(|link| state.worker_mut(link.key))
    {
        tell(&mut worker, known, now);
    }
    worker
}

/// What a connected worker is up to.
fn tell(worker: &mut cluster::Worker, known: &super::state::Worker, now: Instant) {
    worker.running = count(known.running());
    worker.calls = known.calls;
    worker
        .python_version
        .clone_from(&known.about.python_version);
    worker.gil = known.about.gil;
    worker.state = if known.draining {
        "draining"
    } else if known.reconnecting {
        "reconnecting"
    } else if known.tainted(now) {
        "tainted"
    } else if known.running() > 0 {
        "busy"
    } else {
        "ready"
    }
    .to_owned();
}

/// The workers of a pool that other processes offer.
fn outside(node_id: u64, pool: &Pool) -> Vec<cluster::Worker> {
    let now = Instant::now();
    let state = pool.state();
    let told = state.workers().iter().map(|known| {
        let mut worker = cluster::Worker {
            id: known.id.clone(),
            node_id,
            pool: pool.name().to_owned(),
            rss_bytes: known.rss_bytes,
            principal: known.about.principal.clone(),
            concurrency: pool.settings().concurrency.name().to_owned(),
            ..Default::default()
        };
        tell(&mut worker, known, now);
        worker
    });
    told.collect()
}

/// The memory of a process, 0 where there is none.
fn rss_bytes(pid: u32) -> u64 {
    if pid == 0 {
        return 0;
    }
    let kib = std::fs::read_to_string(format!("/proc/{pid}/status"))
        .ok()
        .and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
            line.trim().trim_end_matches(" kB").parse::<u64>().ok()
        });
    kib.unwrap_or(0) * 1024
}
