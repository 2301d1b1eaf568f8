//! How results look.

use super::super::error::CliError;
use super::super::globals::Context;
use super::super::output::{Cell, Tone};
use super::engine::Row;

/// A line for each cell.
pub(super) fn rows(context: &Context, rows: &[Row]) -> Result<(), CliError> {
    let headers = [
        "op", "clients", "bytes", "ops/s", "items/s", "errors", "mean", "p50", "p90", "p99",
        "p99.9", "max",
    ];
    let cells = rows.iter().map(|row| {
        let latency = &row.latency_us;
        let [mean, p50, p90, p99, p99_9, max] = [
            latency.mean,
            latency.p50,
            latency.p90,
            latency.p99,
            latency.p99_9,
            latency.max,
        ]
        .map(|us| Cell::number(millis(us)));
        vec![
            Cell::text(&row.op),
            Cell::number(row.clients),
            Cell::number(row.value_bytes),
            Cell::number(rate(row.operations_per_s)),
            Cell::number(rate(row.items_per_s)),
            errors(row),
            mean,
            p50,
            p90,
            p99,
            p99_9,
            max,
        ]
    });
    context.output.table(&headers, cells.collect(), &rows)
}

fn errors(row: &Row) -> Cell {
    if row.errors.is_empty() {
        return Cell::none();
    }
    let kinds = row
        .errors
        .iter()
        .map(|(kind, count)| format!("{kind} {count}"));
    Cell::toned(kinds.collect::<Vec<_>>().join(", "), Tone::Bad)
}

/// Those of slow operations with a digit behind the point.
fn rate(per_s: f64) -> String {
    if per_s < 100.0 {
        format!("{per_s:.1}")
    } else {
        format!("{per_s:.0}")
    }
}

/// Microseconds as `1.23ms`.
fn millis(us: f64) -> String {
    let ms = us / 1_000.0;
    match ms {
        _ if ms < 10.0 => format!("{ms:.2}ms"),
        _ if ms < 100.0 => format!("{ms:.1}ms"),
        _ => format!("{ms:.0}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits() {
        let told: Vec<_> = [90.0, 1_234.0, 45_678.0, 2_345_678.0].map(millis).into();
        assert_eq!(told, ["0.09ms", "1.23ms", "45.7ms", "2346ms"]);
    }
}
