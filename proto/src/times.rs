//! Wall-clock times on the wire.

use prost_types::Timestamp;

/// Milliseconds since 1970 as a timestamp.
pub fn timestamp(ms: u64) -> Timestamp {
    Timestamp {
        seconds: (ms / 1_000) as i64,
        nanos: (ms % 1_000) as i32 * 1_000_000,
    }
}

/// A timestamp as milliseconds since 1970; times before that are 0.
pub fn millis(timestamp: &Timestamp) -> u64 {
    let seconds = u64::try_from(timestamp.seconds).unwrap_or(0);
    seconds
        .saturating_mul(1_000)
        .saturating_add(u64::try_from(timestamp.nanos).unwrap_or(0) / 1_000_000)
}
