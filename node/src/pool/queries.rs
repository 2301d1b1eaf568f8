//! What others ask the pools.

use std::sync::PoisonError;
use std::time::Instant;

use snakepit_proto::bridge::ToolSpec;
use snakepit_proto::{cluster, peer};

use super::call::{Capacity, PoolReadiness};
use super::dispatch::Pools;
use super::pool::{self, Pool};
use super::seat::Seat;

/// The tool of an adapter that takes calls of any name: Snakepit's adapters dispatch themselves.
pub const ANY_TOOL: &str = "execute_tool";

impl Pools {
    /// The tools of pools that serve now, by name.
    pub fn tools(&self) -> Vec<ToolSpec> {
        let serving = self.inner.pools.iter().filter(|pool| pool.ready() > 0);
        pool::tools(serving).into_values().collect()
    }

    /// The name under which a tool is offered here: its own, else that of adapters which take any name.
    pub(super) fn offered_as<'a>(&self, tool: &'a str) -> &'a str {
        let own = self.inner.pools.iter().any(|pool| pool.offers(tool));
        if own { tool } else { ANY_TOOL }
    }

    /// Whether a pool offers the tool, also while its workers restart.
    pub fn has_tool(&self, tool: &str) -> bool {
        let tool = self.offered_as(tool);
        self.inner.pools.iter().any(|pool| pool.offers(tool))
    }

    /// All workers, those that start or wait to be started included. Reads `/proc`.
    pub fn workers(&self) -> Vec<cluster::Worker> {
        let mut workers = Vec::new();
        for pool in &self.inner.pools {
            for seat in &pool.seats {
                let seat = seat.lock().unwrap_or_else(PoisonError::into_inner).clone();
                workers.push(worker(self.inner.node_id, pool, &seat));
            }
        }
        workers
    }

    /// What the node can take now.
    pub fn capacity(&self) -> Capacity {
        let mut capacity = Capacity::default();
        for pool in &self.inner.pools {
            let state = pool.state();
            capacity.slots += state.slots();
            capacity.free += state.free();
            capacity.queued += state.queued();
        }
        capacity
    }

    /// What each pool can take now, as other nodes are told.
    pub fn capacities(&self) -> Vec<peer::PoolCapacity> {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let of = |pool: &std::sync::Arc<Pool>| {
            let state = pool.state();
            peer::PoolCapacity {
                name: pool.settings.name.clone(),
                tools: state.specs().cloned().collect(),
                slots: count(state.slots()),
                free: count(state.free()),
                queued: count(state.queued()),
                running: count(state.running()),
                ..peer::PoolCapacity::default()
            }
        };
        self.inner.pools.iter().map(of).collect()
    }

    /// What the node can take now of one tool; None where no pool offers it.
    pub fn capacity_for(&self, tool: &str) -> Option<Capacity> {
        let tool = self.offered_as(tool);
        let mut found = None;
        for pool in self.inner.pools.iter().filter(|pool| pool.offers(tool)) {
            let state = pool.state();
            let capacity: &mut Capacity = found.get_or_insert_default();
            capacity.slots += state.slots();
            capacity.free += state.free();
            capacity.queued += state.queued();
        }
        found
    }

    /// Wait until each pool has a worker that serves. Never returns where an adapter does not load: give it
    /// a timeout, and ask [`Pools::readiness`] for the reason.
    pub async fn ready(&self) {
        let mut changes = self.inner.changed.subscribe();
        while !self.inner.pools.iter().all(|pool| pool.ready() > 0) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Each pool's part in the node's readiness.
    pub fn readiness(&self) -> Vec<PoolReadiness> {
        let one = |pool: &std::sync::Arc<Pool>| PoolReadiness {
            pool: pool.settings.name.clone(),
            size: pool.settings.size,
            ready: pool.ready(),
            problem: pool.seats.iter().find_map(|seat| {
                seat.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .problem
                    .clone()
            }),
        };
        self.inner.pools.iter().map(one).collect()
    }
}

fn worker(node_id: u64, pool: &Pool, seat: &Seat) -> cluster::Worker {
    let mut worker = cluster::Worker {
        id: seat.worker_id.clone(),
        node_id,
        pid: seat.pid,
        pool: pool.settings.name.clone(),
        state: if seat.backing_off {
            "backing_off"
        } else {
            "starting"
        }
        .to_owned(),
        rss_bytes: rss_bytes(seat.pid),
        uptime_ms: seat
            .started
            .map_or(0, |at| (Instant::now() - at).as_millis() as u64),
        restarts: seat.restarts,
        ..Default::default()
    };
    let mut state = pool.state();
    if let Some(known) = seat
        .link
        .as_ref()
        .and_then(|link| state.worker_mut(link.key))
    {
        worker.running = u32::try_from(known.running()).unwrap_or(u32::MAX);
        worker.calls = known.calls;
        let busy = if known.running() > 0 { "busy" } else { "ready" };
        worker.state = if known.draining { "draining" } else { busy }.to_owned();
    }
    worker
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
