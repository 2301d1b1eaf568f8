//! A closed loop: each client begins an operation when its last one has ended.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::tally::{Shards, Tally};

/// A client whose operation failed waits so long: what is broken is not asked in a tight loop.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(10);
/// Time that running operations have after a Ctrl-C.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// What one client does again and again.
pub(crate) trait Operation: Send + 'static {
    /// Do it once; one word for what went wrong.
    fn once(&mut self) -> impl Future<Output = Result<(), String>> + Send;
}

/// How long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Not measured.
    pub warmup: Duration,
    /// Measured.
    pub duration: Duration,
    /// Of one operation.
    pub timeout: Duration,
}

struct Window {
    begin: Instant,
    over: AtomicBool,
    shards: Shards,
}

/// Let all clients work until the time is over, or until `stop` says so.
pub(crate) async fn load<O: Operation>(
    clients: Vec<O>,
    plan: Plan,
    stop: &mut watch::Receiver<bool>,
) -> Tally {
    let begin = Instant::now() + plan.warmup;
    let window = Arc::new(Window {
        begin,
        over: AtomicBool::new(false),
        shards: Shards::new(),
    });
    let mut running = JoinSet::new();
    for (number, client) in clients.into_iter().enumerate() {
        running.spawn(work(number, client, plan.timeout, Arc::clone(&window)));
    }
    let stopped = tokio::select! {
        () = sleep_until(begin + plan.duration) => false,
        _ = stop.wait_for(|stop| *stop) => true,
    };
    window.over.store(true, Ordering::Relaxed);
    let elapsed = Instant::now().saturating_duration_since(begin);
    let ended = async { while running.join_next().await.is_some() {} };
    // Operations that run now are waited for: leaving them out would hide the slowest.
    let grace = if stopped {
        STOP_GRACE
    } else {
        plan.timeout + STOP_GRACE
    };
    let _ = timeout(grace, ended).await;
    window.shards.sum(elapsed)
}

async fn work<O: Operation>(number: usize, mut client: O, limit: Duration, window: Arc<Window>) {
    while !window.over.load(Ordering::Relaxed) {
        let began = Instant::now();
        let outcome = timeout(limit, client.once()).await;
        let measured = began >= window.begin;
        match outcome {
            Ok(Ok(())) if measured => {
                let counts = !window.over.load(Ordering::Relaxed);
                window.shards.done(number, began.elapsed(), counts);
            }
            Ok(Ok(())) => {}
            failed => {
                if measured {
                    let kind = failed.map_or_else(
                        |_| "timeout".to_owned(),
                        |kind| kind.err().unwrap_or_default(),
                    );
                    window.shards.failed(number, kind);
                }
                sleep(PAUSE_AFTER_FAILURE).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nap(Duration, u32);

    impl Operation for Nap {
        async fn once(&mut self) -> Result<(), String> {
            sleep(self.0).await;
            self.1 += 1;
            if self.1.is_multiple_of(5) {
                Err("fifth".to_owned())
            } else {
                Ok(())
            }
        }
    }

    #[tokio::test]
    async fn only_the_window_is_measured() {
        let plan = Plan {
            warmup: Duration::from_millis(200),
            duration: Duration::from_millis(800),
            timeout: Duration::from_secs(10),
        };
        let (_keep, mut stop) = watch::channel(false);
        let nap = Duration::from_millis(20);
        let clients = (0..4).map(|_| Nap(nap, 0)).collect();
        let tally = load(clients, plan, &mut stop).await;
        assert!(tally.elapsed >= plan.duration);
        // Without the warm-up, no more than four clients can do in the time; a slow machine does fewer.
        let most = 4 * (tally.elapsed.as_millis() / nap.as_millis() + 1);
        assert!((1..=most).contains(&u128::from(tally.operations)));
        assert!(tally.errors["fifth"] > 0);
        assert!(tally.latency_ns.min() > 19_000_000);
    }

    #[tokio::test]
    async fn a_stop_ends_it() {
        let hour = Duration::from_secs(3_600);
        let plan = Plan {
            warmup: Duration::ZERO,
            duration: hour,
            timeout: hour,
        };
        let (stopping, mut stop) = watch::channel(false);
        let ask = async {
            sleep(Duration::from_millis(300)).await;
            stopping.send_replace(true);
        };
        let clients = vec![Nap(Duration::from_millis(20), 0), Nap(hour, 0)];
        let (tally, ()) = tokio::join!(load(clients, plan, &mut stop), ask);
        assert!(tally.elapsed < hour && tally.operations > 0);
    }
}
