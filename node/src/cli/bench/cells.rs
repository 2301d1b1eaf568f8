//! Every operation with every number of clients.

use snakepit_client::Client as Plain;
use tokio::sync::watch::{self as signal, Receiver};

use super::super::error::CliError;
use super::super::globals::Context;
use super::super::output::note;
use super::engine::{Plan, Row, Spread, load};
use super::operation::{Client, How, RequestIds, items};
use super::workload::Workload;
use super::{Args, Op, place, table, watch};

pub(super) async fn run(context: &Context, args: &Args) -> Result<(), CliError> {
    let client = context.client()?;
    let addresses = place::addresses(&client, args.target).await?;
    let most = args.clients.iter().copied().max().unwrap_or(1) as usize;
    let sessions = args.sessions.map(|count| count as usize);
    let value_bytes = args.value_bytes as usize;
    let mut stop = stop_signal();
    let workload = Workload::create(&client, most, sessions, value_bytes).await?;
    let rows = all(args, &addresses, &workload, &client, &mut stop).await;
    if args.keep {
        note(&format!("kept the sessions named bench-{}", workload.run));
    } else {
        workload.delete(&client).await;
    }
    table::rows(context, &rows?)
}

async fn all(
    args: &Args,
    addresses: &[String],
    workload: &Workload,
    plain: &Plain,
    stop: &mut Receiver<bool>,
) -> Result<Vec<Row>, CliError> {
    let ids = RequestIds::new(&workload.run);
    let plan = Plan {
        warmup: args.warmup,
        duration: args.duration,
        timeout: plain.options().timeout,
    };
    let batch = args.batch as usize;
    prepare(args, workload, plain, batch).await?;
    let cells = args
        .op
        .iter()
        .flat_map(|op| counts(*op, args).map(move |count| (*op, count)));
    let mut rows = Vec::new();
    for (op, count) in cells {
        let count = count as usize;
        let connections = args.connections.map(|count| count as usize);
        let spread = Spread::new(addresses, count, connections).map_err(CliError::failed)?;
        let tally = if op == Op::Watch {
            watch::run(plain, &spread, workload, (count, args.rate), plan, stop).await?
        } else {
            let clients = clients(op, count, args, &spread, workload, &ids);
            load(clients, plan, stop).await
        };
        let bytes = workload.value.len();
        let row = Row::new(op.name(), count, bytes, spread.len(), tally);
        rows.push(row.with_items(items(op, batch)));
        if *stop.borrow() {
            note("stopped; this is what there is");
            break;
        }
    }
    Ok(rows)
}

/// How many clients an operation is done with, one number after the other; watchers, where it is `watch`.
fn counts(op: Op, args: &Args) -> impl Iterator<Item = u32> {
    let watchers = (op == Op::Watch).then_some(args.watchers);
    let clients = args.clients.iter().filter(move |_| op != Op::Watch);
    clients.copied().chain(watchers)
}

/// The largest number of clients or watchers.
pub(super) fn most_clients(args: &Args) -> usize {
    let all = args.op.iter().flat_map(|op| counts(*op, args));
    all.max().unwrap_or(1) as usize
}

/// Make what some operations need.
async fn prepare(
    args: &Args,
    workload: &Workload,
    plain: &Plain,
    batch: usize,
) -> Result<(), CliError> {
    if args.op.contains(&Op::BatchSet) || args.op.contains(&Op::BatchGet) {
        workload.make_batches(plain, batch).await?;
    }
    if args.op.contains(&Op::List) {
        workload.make_listed(plain).await?;
    }
    if args.op.contains(&Op::History) {
        workload.make_history(plain).await?;
    }
    Ok(())
}

fn clients(
    op: Op,
    count: usize,
    args: &Args,
    spread: &Spread,
    workload: &Workload,
    ids: &RequestIds,
) -> Vec<Client> {
    let how = How {
        tool: &args.tool,
        consistency: args.consistency.into(),
        batch: args.batch as usize,
    };
    (0..count)
        .map(|number| Client::new(op, spread.of(number), workload, number, how, ids.clone()))
        .collect()
}

/// True from the first Ctrl-C; the second ends the program.
fn stop_signal() -> Receiver<bool> {
    let (tell, told) = signal::channel(false);
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            tell.send_replace(true);
            let _ = tokio::signal::ctrl_c().await;
            std::process::exit(130);
        }
    });
    told
}
