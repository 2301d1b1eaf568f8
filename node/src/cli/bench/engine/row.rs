//! One cell of a benchmark, for people and programs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::tally::Tally;

/// What was done and how it went.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub op: String,
    pub clients: usize,
    pub value_bytes: usize,
    pub connections: usize,
    pub elapsed_s: f64,
    pub operations: u64,
    pub operations_per_s: f64,
    /// What one operation touches.
    pub items: usize,
    pub items_per_s: f64,
    pub errors: BTreeMap<String, u64>,
    pub latency_us: Latency,
}

/// In microseconds, from the beginning of an operation to its answer.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Latency {
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p99_9: f64,
    pub max: f64,
}

impl Row {
    /// Of a tally.
    pub fn new(
        op: &str,
        clients: usize,
        value_bytes: usize,
        connections: usize,
        tally: Tally,
    ) -> Self {
        let elapsed_s = tally.elapsed.as_secs_f64();
        let latency = &tally.latency_ns;
        let operations_per_s = if elapsed_s > 0.0 {
            tally.operations as f64 / elapsed_s
        } else {
            0.0
        };
        let at = |quantile: f64| latency.value_at_quantile(quantile) as f64 / 1_000.0;
        Self {
            op: op.to_owned(),
            clients,
            value_bytes,
            connections,
            elapsed_s,
            operations: tally.operations,
            operations_per_s,
            items: 1,
            items_per_s: operations_per_s,
            latency_us: Latency {
                mean: latency.mean() / 1_000.0,
                p50: at(0.5),
                p90: at(0.9),
                p99: at(0.99),
                p99_9: at(0.999),
                max: latency.max() as f64 / 1_000.0,
            },
            errors: tally.errors,
        }
    }
    /// The same, where one operation touches so many things.
    pub fn with_items(mut self, items: usize) -> Self {
        self.items = items;
        self.items_per_s = self.operations_per_s * items as f64;
        self
    }
}
