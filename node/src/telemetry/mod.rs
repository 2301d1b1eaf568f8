//! What the process tells about itself: records on standard error, metrics, events and spans.
//!
//! None of them ever carries secrets: record names, sizes and digests, never values, arguments, tokens or the
//! environment of a worker.

pub mod events;
mod log;
mod metrics;
mod process;
pub mod trace;

#[cfg(test)]
mod tests;

pub use self::log::{LogError, init_log};
pub use self::metrics::{HTTP_REQUESTS, Metrics, MetricsError, upkeep};
pub use self::trace::{RequestSpan, TraceError, Traces, init_traces};
