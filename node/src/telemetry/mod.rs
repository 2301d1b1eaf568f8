//! What the process tells about itself: records on standard error, and metrics.
//!
//! Neither ever carries secrets: record names, sizes and digests, never values, arguments, tokens or the
//! environment of a worker.

mod log;
mod metrics;
mod process;

#[cfg(test)]
mod tests;

pub use self::log::{LogError, init_log};
pub use self::metrics::{HTTP_REQUESTS, Metrics, MetricsError, upkeep};
