//! How long writes stand still when the leader dies.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// Time of one attempt; then the next endpoint is asked.
const ATTEMPT: Duration = Duration::from_millis(100);
/// After a refusal; then the next endpoint is asked.
const PAUSE: Duration = Duration::from_millis(5);
/// The writer works undisturbed so long before the leader is killed.
const STEADY: Duration = Duration::from_millis(700);
/// Writes that it must have done by then.
const STEADY_WRITES: u64 = 5;
/// Writes must go on by then.
const PATIENCE: Duration = Duration::from_secs(60);

/// One writer.
pub(crate) trait Write: Send + 'static {
    /// How many endpoints it knows.
    fn endpoints(&self) -> usize;
    /// Try write `number` at an endpoint. A repeated one carries the same number.
    fn attempt(
        &mut self,
        number: u64,
        endpoint: usize,
    ) -> impl Future<Output = Result<(), String>> + Send;
}

/// What was seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outage {
    /// From the kill to the first acknowledgement of an attempt that began after it.
    pub took: Duration,
    /// Attempts that failed in between.
    pub failed_attempts: u64,
}

/// Kill while one client writes. An error says why nothing was measured.
pub(crate) async fn outage<W, K>(writer: W, kill: K) -> Result<Outage, String>
where
    W: Write,
    K: Future<Output = Result<(), String>>,
{
    let killed_at = Arc::new(OnceLock::new());
    let (tell, told) = oneshot::channel();
    let task = AbortOnDrop(tokio::spawn(write(writer, Arc::clone(&killed_at), tell)));
    sleep(STEADY).await;
    let began = Instant::now();
    let _ = killed_at.set(began);
    kill.await?;
    let seen = timeout(PATIENCE, told).await;
    drop(task);
    match seen {
        Ok(Ok(seen)) if seen.writes_before >= STEADY_WRITES => Ok(Outage {
            took: seen.at.saturating_duration_since(began),
            failed_attempts: seen.failed_attempts,
        }),
        Ok(Ok(_)) => Err("too few writes were acknowledged before the kill".to_owned()),
        Ok(Err(_)) => Err("the writer ended early".to_owned()),
        Err(_) => Err(format!(
            "no write was acknowledged within {} s",
            PATIENCE.as_secs()
        )),
    }
}

struct Seen {
    at: Instant,
    writes_before: u64,
    failed_attempts: u64,
}

async fn write<W: Write>(
    mut writer: W,
    killed_at: Arc<OnceLock<Instant>>,
    tell: oneshot::Sender<Seen>,
) {
    let (mut endpoint, mut number, mut failed_attempts) = (0, 0, 0);
    loop {
        let began = Instant::now();
        let outcome = timeout(ATTEMPT, writer.attempt(number, endpoint)).await;
        let after_kill = killed_at.get().is_some_and(|killed| began >= *killed);
        match outcome {
            Ok(Ok(())) if after_kill => {
                let seen = Seen {
                    at: Instant::now(),
                    writes_before: number,
                    failed_attempts,
                };
                let _ = tell.send(seen);
                return;
            }
            Ok(Ok(())) => number += 1,
            failed => {
                failed_attempts += u64::from(killed_at.get().is_some());
                endpoint = (endpoint + 1) % writer.endpoints();
                if failed.is_ok() {
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

/// The middle one; of an even number, the lower of the two.
pub(crate) fn median<T: Copy + Ord>(of: &[T]) -> Option<T> {
    let mut sorted = of.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len().saturating_sub(1) / 2).copied()
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers after 10 ms, but for the 900 ms after it was told to be down.
    struct Fake(Arc<OnceLock<Instant>>);

    impl Write for Fake {
        fn endpoints(&self) -> usize {
            2
        }

        async fn attempt(&mut self, _: u64, endpoint: usize) -> Result<(), String> {
            let down = self
                .0
                .get()
                .is_some_and(|since| since.elapsed() < Duration::from_millis(900));
            sleep(Duration::from_millis(if down && endpoint == 0 {
                1_000
            } else {
                10
            }))
            .await;
            if down { Err("down".to_owned()) } else { Ok(()) }
        }
    }

    #[tokio::test]
    async fn the_gap_is_measured() {
        let down = Arc::new(OnceLock::new());
        let kill = {
            let down = Arc::clone(&down);
            async move { down.set(Instant::now()).map_err(|_| "twice".to_owned()) }
        };
        let seen = outage(Fake(down), kill).await.unwrap();
        assert!(seen.took >= Duration::from_millis(900), "{seen:?}");
        assert!(seen.failed_attempts >= 2);
    }

    #[test]
    fn medians() {
        assert_eq!(median(&[3, 1, 2]), Some(2));
        assert_eq!(median(&[4, 1, 2, 3]), Some(2));
        assert_eq!(median::<u8>(&[]), None);
    }
}
