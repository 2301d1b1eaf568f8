//! Each event is counted and shown; the documentation lists them all.

use std::time::Duration;

use snakepit_proto::bridge::telemetry_value::Value;
use snakepit_proto::bridge::{TelemetryEvent, TelemetryValue};

use super::*;
use crate::telemetry::Metrics;

const DOC: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/telemetry.md"));
const METRICS_DOC: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md"));

fn int(number: i64) -> TelemetryValue {
    TelemetryValue {
        value: Some(Value::IntValue(number)),
    }
}

/// The next event that a pool of this name has part in; other tests share the bus.
async fn next_of(subscription: &mut Subscription, pool: &str) -> TelemetryEvent {
    loop {
        let event = subscription.recv().await.unwrap();
        if event
            .metadata
            .get("pool")
            .is_some_and(|found| found == pool)
        {
            return (*event).clone();
        }
    }
}

#[tokio::test]
async fn an_event_is_counted_and_shown() {
    let mut listener = subscribe();
    assert!(listened());
    let (recorder, handle) = Metrics::build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        let waited = Duration::from_micros(1_500);
        call_dispatched("counted", waited, "square", "w-1", "call-1", "c-1");
    });
    let event = next_of(&mut listener, "counted").await;
    assert_eq!(event.event_parts, ["pool", "call", "dispatched"]);
    assert_eq!(event.measurements["waited_us"], int(1_500));
    assert_eq!(event.metadata["tool"], "square");
    assert_eq!(event.metadata["worker_id"], "w-1");
    assert_eq!(event.correlation_id, "c-1");
    assert!(!event.metadata.contains_key("correlation_id"));
    assert!(event.timestamp_ns > 1_600_000_000_000_000_000);
    let line = format!("{EVENTS_TOTAL}{{event=\"pool.call.dispatched\",pool=\"counted\"}} 1");
    assert!(handle.render().contains(&line));
}

#[tokio::test]
async fn workers_events_are_shown_unless_they_are_too_large() {
    let mut listener = subscribe();
    let (recorder, handle) = Metrics::build().unwrap();
    let mut event = TelemetryEvent {
        event_parts: vec!["tool".into(), "mine".into()],
        ..TelemetryEvent::default()
    };
    event.metadata.insert("pool".into(), "forwarded".into());
    let mut large = event.clone();
    large
        .metadata
        .insert("text".into(), "x".repeat(EVENT_BYTES_MAX));
    metrics::with_local_recorder(&recorder, || {
        forward(large);
        forward(event.clone());
        dropped_by_worker(3);
    });
    assert_eq!(next_of(&mut listener, "forwarded").await, event);
    let page = handle.render();
    for line in [
        format!("{FORWARDED_TOTAL} 1"),
        format!("{DROPPED_TOTAL}{{reason=\"too_large\"}} 1"),
        format!("{DROPPED_TOTAL}{{reason=\"slow_node\"}} 3"),
    ] {
        assert!(page.contains(&line), "{line} in\n{page}");
    }
}

#[tokio::test]
async fn a_slow_reader_misses_the_oldest_events() {
    let mut listener = subscribe();
    for _ in 0..2_000 {
        circuit_closed("slow", "square");
    }
    let mut seen = 0;
    circuit_opened("slow", 9, "square");
    while next_of(&mut listener, "slow").await.event_parts[1] != "opened" {
        seen += 1;
    }
    assert!(seen < 1_024, "{seen}");
}

#[test]
fn the_documentation_lists_these_events() {
    let list = |names: &[&str]| {
        let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
        quoted.join(", ")
    };
    let rows: Vec<_> = KINDS
        .iter()
        .map(|kind| {
            format!(
                "| `{}` | {} | {} |",
                kind.name,
                list(kind.measurements),
                list(kind.metadata)
            )
            .replace("|  |", "| |")
        })
        .collect();
    for row in &rows {
        assert!(DOC.contains(row), "docs/telemetry.md lacks {row}");
    }
    // Of the tables in the section, the one of events has names with dots.
    let section = DOC.split("## Events").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let listed = section
        .lines()
        .filter(|line| line.starts_with("| `") && line.matches('|').count() == 5)
        .count();
    assert_eq!(listed, rows.len());
    for name in [EVENTS_TOTAL, FORWARDED_TOTAL, DROPPED_TOTAL] {
        assert!(METRICS_DOC.contains(&format!("| `{name}` |")), "{name}");
    }
}
