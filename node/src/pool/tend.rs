//! What is done about a pool's workers from time to time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::pool::Pool;
use super::state::STALL;
use crate::telemetry::events;

impl Pool {
    /// Look after the workers until told to stop: replace the silent, and take calls back from stalled ones.
    pub(super) async fn tend(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let beat = Duration::from_millis(self.settings().heartbeat_interval_ms);
            // What waits at a process that the node did not start is its own: it may take a cancel for its
            // callers' wish.
            let lines = !self.offer && self.unstall();
            let looked = self.lines.notified();
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(if lines { STALL / 2 } else { beat }) => {}
                () = looked, if !lines => tokio::time::sleep(STALL / 2).await,
            }
            self.tell_listened();
            if !self.offer {
                // Others' processes are theirs to look after; a dead connection ends by its own keep-alive.
                self.replace_silent();
            }
        }
    }

    /// Have workers send events while somebody listens, and no longer.
    fn tell_listened(&self) {
        let listened = events::listened();
        let links = self.state().tell_listened(listened);
        for link in links {
            link.wake();
        }
    }

    fn unstall(&self) -> bool {
        let (wake, lines) = self.state().unstall(Instant::now());
        for link in wake {
            link.wake();
        }
        lines
    }

    fn replace_silent(&self) {
        let (now, settings) = (Instant::now(), self.settings());
        let mut silent = Vec::new();
        for worker in self.state().workers() {
            let silence = now.saturating_duration_since(worker.heard);
            if !worker.reconnecting && silence > settings.silence_max(worker.running() > 0) {
                silent.push((worker.id.clone(), worker.link.clone(), silence));
            }
        }
        for (worker, link, silence) in silent {
            if link.kill("silent") {
                let silent_ms = silence.as_millis() as u64;
                tracing::error!(%worker, pool = self.name, silent_ms, "killed: no heartbeat");
                let missed = silent_ms / settings.heartbeat_interval_ms.max(1);
                let missed = u32::try_from(missed).unwrap_or(u32::MAX);
                events::heartbeat_timeout(&self.name, missed, &worker);
            }
        }
    }
}
