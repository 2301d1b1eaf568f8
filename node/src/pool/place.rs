//! A place for a worker: what it is up to, for its supervisor to write and for queries to read.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::link::Link;
use super::stop::Stop;

/// See the module.
pub(super) struct Place {
    pub(super) index: usize,
    /// The order to end it, and with it its worker.
    pub(super) stop: Stop,
    seat: Mutex<Seat>,
}

/// What a place is up to.
#[derive(Clone, Default)]
pub(super) struct Seat {
    pub(super) worker_id: String,
    /// The process, 0 where there is none.
    pub(super) pid: u32,
    pub(super) generation: u64,
    pub(super) started: Option<Instant>,
    pub(super) link: Option<Arc<Link>>,
    /// Whether it waits for its turn to start a worker.
    pub(super) waits: bool,
    pub(super) backing_off: bool,
    pub(super) stopped: bool,
    pub(super) restarts: u32,
    /// Why the last worker here ended, unless it was asked to.
    pub(super) problem: Option<String>,
    /// When its workers crashed lately.
    crashes: VecDeque<Instant>,
    tainted_until: Option<Instant>,
}

impl Place {
    pub(super) fn new(index: usize) -> Self {
        Self {
            index,
            stop: Stop::default(),
            seat: Mutex::new(Seat {
                waits: true,
                ..Seat::default()
            }),
        }
    }

    pub(super) fn seat(&self) -> MutexGuard<'_, Seat> {
        self.seat.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Why no worker serves here, in one word; None where one does, or did until a moment ago.
    pub(super) fn idle(&self) -> Option<&'static str> {
        if self.stopped {
            return Some("stopped");
        }
        if self.link.is_some() {
            return None;
        }
        Some(if self.backing_off {
            "backing_off"
        } else if self.waits {
            "waiting"
        } else {
            "starting"
        })
    }

    /// A worker crashed here; true where that taints the place: `limit` crashes within `window`.
    pub(super) fn crashed(&mut self, limit: u32, window: Duration, now: Instant) -> bool {
        if limit == 0 {
            return false;
        }
        self.crashes.push_back(now);
        while self.crashes.len() > limit as usize
            || self
                .crashes
                .front()
                .is_some_and(|at| now.saturating_duration_since(*at) > window)
        {
            self.crashes.pop_front();
        }
        let tainted = self.crashes.len() >= limit as usize;
        if tainted {
            self.tainted_until = Some(now + window);
        }
        tainted
    }

    /// Until when others go before its worker; None where they do not.
    pub(super) fn tainted_until(&self, now: Instant) -> Option<Instant> {
        self.tainted_until.filter(|until| now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_without_a_worker_says_why() {
        let place = Place::new(0);
        assert_eq!(
            place.seat().idle(),
            Some("waiting"),
            "its turn has not come"
        );
        place.seat().waits = false;
        assert_eq!(place.seat().idle(), Some("starting"));
        place.seat().backing_off = true;
        assert_eq!(place.seat().idle(), Some("backing_off"));
        place.seat().link = Some(Arc::new(Link::new(1)));
        assert_eq!(place.seat().idle(), None);
        place.seat().stopped = true;
        assert_eq!(place.seat().idle(), Some("stopped"));
    }

    #[test]
    fn crashes_close_together_taint_for_a_while() {
        let (mut seat, window) = (Seat::default(), Duration::from_secs(60));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(!seat.crashed(3, window, at(0)));
        assert!(!seat.crashed(3, window, at(50)));
        assert!(
            !seat.crashed(3, window, at(70)),
            "the first is too long ago"
        );
        assert!(seat.crashed(3, window, at(100)));
        assert!(seat.tainted_until(at(159)).is_some());
        assert!(seat.tainted_until(at(160)).is_none());
        assert!(!seat.crashed(0, window, at(101)), "0 never taints");
    }
}
