//! Waiting for what must come. Deadlines are generous: they tell a hang from a slow machine, nothing more.

use std::time::{Duration, Instant};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// What a healthy cluster on a busy machine never needs.
pub const PATIENCE: Duration = Duration::from_secs(25);

/// Look until there is something, or panic with what was seen last.
pub async fn eventually<T, E, F>(what: &str, look: impl FnMut() -> F) -> T
where
    E: std::fmt::Debug,
    F: Future<Output = Result<T, E>>,
{
    within(PATIENCE, what, look).await
}

/// As [`eventually`], with a deadline that is part of what is promised.
pub async fn within<T, E, F>(deadline: Duration, what: &str, mut look: impl FnMut() -> F) -> T
where
    E: std::fmt::Debug,
    F: Future<Output = Result<T, E>>,
{
    let began = Instant::now();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) => assert!(
                began.elapsed() < deadline,
                "{what}: not within {deadline:?}; last seen: {seen:?}"
            ),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
