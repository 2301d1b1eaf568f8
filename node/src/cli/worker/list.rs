//! `snakepit worker ls`.

use serde_json::json;
use snakepit_client::Worker;

use super::super::arguments::human_ms;
use super::super::error::CliError;
use super::super::globals::Context;
use super::super::output::{Cell, Tone, cut, text_or_none};
use super::gather::all;

const HEADERS: [&str; 10] = [
    "node", "worker", "pool", "state", "running", "calls", "memory", "up", "restarts", "pid",
];
const WIDE_HEADERS: [&str; 7] = [
    "place",
    "generation",
    "python",
    "runs calls as",
    "tainted for",
    "offered by",
    "problem",
];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Of one pool only
    #[arg(long, value_name = "POOL")]
    pool: Option<String>,
    /// Show also place, generation, Python, concurrency, taint, who offers it, and problem
    #[arg(short, long)]
    wide: bool,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<(), CliError> {
    let found = all(&context.client()?).await?;
    let pool = args.pool.as_deref();
    let workers: Vec<_> = found
        .workers
        .values()
        .filter(|worker| pool.is_none_or(|pool| worker.pool == pool))
        .collect();
    let mut headers = HEADERS.to_vec();
    if args.wide {
        headers.extend(WIDE_HEADERS);
    }
    let rows = workers.iter().map(|worker| {
        let mut cells = row(worker);
        if args.wide {
            cells.extend(wide(worker));
        }
        cells
    });
    let json: Vec<_> = workers.iter().map(|worker| as_json(worker)).collect();
    context.output.table(&headers, rows.collect(), &json)
}

fn row(worker: &Worker) -> Vec<Cell> {
    vec![
        Cell::number(worker.node_id),
        Cell::text(&worker.id),
        Cell::text(&worker.pool),
        Cell::toned(&worker.state, tone(&worker.state)),
        Cell::number(worker.running),
        Cell::number(worker.calls),
        Cell::number(format!("{} MiB", worker.rss_bytes >> 20)),
        Cell::text(human_ms(worker.uptime_ms)),
        Cell::number(worker.restarts),
        Cell::number(worker.pid),
    ]
}

fn wide(worker: &Worker) -> [Cell; 7] {
    let tainted = match worker.tainted_ms {
        0 => Cell::none(),
        ms => Cell::toned(human_ms(ms), Tone::Bad),
    };
    let problem = match worker.problem.as_str() {
        "" => Cell::none(),
        text => Cell::toned(cut(text, 80), Tone::Bad),
    };
    [
        Cell::number(worker.place),
        Cell::number(worker.generation),
        text_or_none(&worker.python_version),
        text_or_none(&concurrency(worker)),
        tainted,
        text_or_none(&worker.principal),
        problem,
    ]
}

/// `thread, GIL`; empty for a worker that has not said yet.
fn concurrency(worker: &Worker) -> String {
    match (worker.concurrency.as_str(), worker.gil) {
        ("", _) => String::new(),
        (how, true) => format!("{how}, GIL"),
        (how, false) => format!("{how}, no GIL"),
    }
}

fn tone(state: &str) -> Tone {
    match state {
        "ready" | "busy" => Tone::Good,
        "backing_off" | "tainted" => Tone::Bad,
        _ => Tone::Plain,
    }
}

fn as_json(worker: &Worker) -> serde_json::Value {
    json!({
        "id": worker.id,
        "node": worker.node_id,
        "pid": worker.pid,
        "pool": worker.pool,
        "state": worker.state,
        "running": worker.running,
        "calls": worker.calls,
        "rss_bytes": worker.rss_bytes,
        "uptime_ms": worker.uptime_ms,
        "restarts": worker.restarts,
        "place": worker.place,
        "generation": worker.generation,
        "python": worker.python_version,
        "concurrency": worker.concurrency,
        "gil": worker.gil,
        "tainted_ms": worker.tainted_ms,
        "principal": worker.principal,
        "problem": worker.problem,
    })
}
