//! `snakepit pool stats`: what became of calls, since each node began.

use serde_json::{Value as Json, json};
use snakepit_client::{Circuit, Pool};

use super::super::arguments::human_ms;
use super::super::error::CliError;
use super::super::globals::Context;
use super::super::output::{Cell, Tone};
use super::gather::{all, one, share_json};
use super::list::ready;

const HEADERS: [&str; 17] = [
    "pool",
    "node",
    "ready",
    "starting",
    "waiting",
    "running",
    "queued",
    "ok",
    "raised",
    "lost",
    "refused",
    "taken back",
    "queue timeouts",
    "retried",
    "restarts",
    "tainted",
    "open circuits",
];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Of one pool only
    name: Option<String>,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<(), CliError> {
    let client = context.client()?;
    let pools = match &args.name {
        Some(name) => vec![one(&client, name).await?],
        None => all(&client).await?,
    };
    // Nodes on which a pool does not run have nothing to tell of it.
    let shares: Vec<_> = pools
        .iter()
        .flat_map(|pool| &pool.nodes)
        .filter(|share| share.placed)
        .collect();
    let json: Vec<_> = shares.iter().map(|share| as_json(share)).collect();
    let rows = shares.iter().map(|share| row(share));
    context.output.table(&HEADERS, rows.collect(), &json)
}

fn as_json(share: &Pool) -> Json {
    let mut json = share_json(share);
    json["pool"] = json!(share.name);
    json
}

fn row(share: &Pool) -> Vec<Cell> {
    let bad_unless_zero = |count: u64| match count {
        0 => Cell::number(0),
        count => Cell::toned(count.to_string(), Tone::Bad),
    };
    vec![
        Cell::text(&share.name),
        Cell::number(share.node_id),
        ready(share.ready.into(), share.desired.into()),
        Cell::number(share.starting),
        Cell::number(share.waiting),
        Cell::number(format!("{}/{}", share.running, share.slots)),
        Cell::number(share.queued),
        Cell::number(share.calls_ok),
        Cell::number(share.calls_raised),
        bad_unless_zero(share.calls_lost),
        Cell::number(share.calls_refused),
        Cell::number(share.calls_taken_back),
        Cell::number(share.queue_timeouts),
        Cell::number(share.calls_retried),
        Cell::number(share.restarts),
        Cell::number(share.tainted),
        circuits(&share.circuits),
    ]
}

fn circuits(open: &[Circuit]) -> Cell {
    if open.is_empty() {
        return Cell::none();
    }
    let each = open.iter().map(|circuit| {
        let wait = match circuit.retry_after_ms {
            0 => String::new(),
            ms => format!(" for {}", human_ms(ms)),
        };
        format!("{} {}{wait}", circuit.tool, circuit.state)
    });
    Cell::toned(each.collect::<Vec<_>>().join(", "), Tone::Bad)
}
