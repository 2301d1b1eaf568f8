//! What a measurement counts.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

/// Latencies are told apart from here, in nanoseconds.
const LATENCY_MIN_NS: u64 = 1_000;
/// Longer ones count as this, in nanoseconds.
const LATENCY_MAX_NS: u64 = 120_000_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;
/// Kinds of errors that are told apart.
const KINDS_MAX: usize = 32;

/// Operations, errors and latencies.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    /// Time in which operations were counted.
    pub elapsed: Duration,
    /// Operations that ended well within it.
    pub operations: u64,
    /// Those that did not, by kind.
    pub errors: BTreeMap<String, u64>,
    /// Of the operations that began within it and ended well, in nanoseconds.
    pub latency_ns: Histogram<u64>,
}

impl Tally {
    fn new() -> Self {
        let latency_ns =
            Histogram::new_with_bounds(LATENCY_MIN_NS, LATENCY_MAX_NS, SIGNIFICANT_DIGITS)
                .expect("the bounds are sound");
        Self {
            elapsed: Duration::ZERO,
            operations: 0,
            errors: BTreeMap::new(),
            latency_ns,
        }
    }

    fn add(&mut self, other: &Self) {
        self.operations += other.operations;
        for (kind, count) in &other.errors {
            *self.errors.entry(kind.clone()).or_default() += count;
        }
        self.latency_ns
            .add(&other.latency_ns)
            .expect("the bounds are the same");
    }
}

/// Tallies that clients write into without waiting for each other.
#[derive(Debug)]
pub(crate) struct Shards(Vec<Mutex<Tally>>);

impl Shards {
    /// About one for each core.
    pub fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self((0..cores * 4).map(|_| Mutex::new(Tally::new())).collect())
    }

    /// An operation that ended well; `counts` where it ended within the time that is measured.
    pub fn done(&self, client: usize, took: Duration, counts: bool) {
        let mut tally = self.shard(client);
        tally.operations += u64::from(counts);
        let took_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        tally.latency_ns.saturating_record(took_ns);
    }

    /// One that did not.
    pub fn failed(&self, client: usize, kind: String) {
        let errors = &mut self.shard(client).errors;
        let kind = if errors.len() < KINDS_MAX {
            kind
        } else {
            "other".to_owned()
        };
        *errors.entry(kind).or_default() += 1;
    }

    /// All of them together.
    pub fn sum(&self, elapsed: Duration) -> Tally {
        let mut sum = Tally {
            elapsed,
            ..Tally::new()
        };
        for number in 0..self.0.len() {
            sum.add(&self.shard(number));
        }
        sum
    }

    fn shard(&self, client: usize) -> MutexGuard<'_, Tally> {
        let shard = &self.0[client % self.0.len()];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_add_up() {
        let shards = Shards::new();
        for client in 0..100 {
            shards.done(client, Duration::from_micros(500), client != 7);
        }
        shards.failed(3, "unavailable".into());
        shards.failed(4, "unavailable".into());
        let sum = shards.sum(Duration::from_secs(2));
        assert_eq!((sum.operations, sum.latency_ns.len()), (99, 100));
        assert_eq!(sum.errors, BTreeMap::from([("unavailable".to_owned(), 2)]));
        assert!((499_000..=501_000).contains(&sum.latency_ns.value_at_quantile(0.5)));
    }
}
