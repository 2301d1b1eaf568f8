//! `snakepit pool ls`.

use super::super::error::CliError;
use super::super::globals::Context;
use super::super::output::{Cell, Tone, cut, text_or_none};
use super::gather::{Gathered, all};

pub(super) async fn run(context: &Context) -> Result<(), CliError> {
    let pools = all(&context.client()?).await?;
    let headers = [
        "pool", "origin", "version", "nodes", "ready", "starting", "waiting", "running", "queued",
        "adapter", "problem",
    ];
    let json: Vec<_> = pools.iter().map(Gathered::as_json).collect();
    context
        .output
        .table(&headers, pools.iter().map(row).collect(), &json)
}

fn row(pool: &Gathered) -> Vec<Cell> {
    let placed = pool.nodes.iter().filter(|share| share.placed);
    let nodes: Vec<_> = placed.map(|share| share.node_id.to_string()).collect();
    let version = match pool.version {
        0 => Cell::none(),
        version => Cell::number(version),
    };
    let problem = match pool.problem() {
        Some(problem) => Cell::toned(cut(&problem, 70), Tone::Bad),
        None => Cell::none(),
    };
    vec![
        Cell::text(&pool.name),
        text_or_none(&pool.origin),
        version,
        text_or_none(&nodes.join(",")),
        ready(pool.sum(|pool| pool.ready), pool.sum(|pool| pool.desired)),
        Cell::number(pool.sum(|pool| pool.starting)),
        Cell::number(pool.sum(|pool| pool.waiting)),
        Cell::number(pool.sum(|pool| pool.running)),
        Cell::number(pool.sum(|pool| pool.queued)),
        text_or_none(&pool.setting("adapter")),
        problem,
    ]
}

/// `3/4`, in colour.
pub(super) fn ready(ready: u64, desired: u64) -> Cell {
    let tone = if ready >= desired {
        Tone::Good
    } else {
        Tone::Bad
    };
    Cell::toned(format!("{ready}/{desired}"), tone)
}
