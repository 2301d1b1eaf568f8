//! Every operation with every number of clients.

use snakepit_client::Client as Plain;
use tokio::sync::watch;

use super::super::error::CliError;
use super::super::globals::Context;
use super::super::output::note;
use super::engine::{Plan, Row, Spread, load};
use super::operation::{Client, RequestIds};
use super::workload::Workload;
use super::{Args, Op, place, table};

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
    stop: &mut watch::Receiver<bool>,
) -> Result<Vec<Row>, CliError> {
    let ids = RequestIds::new(&workload.run);
    let plan = Plan {
        warmup: args.warmup,
        duration: args.duration,
        timeout: plain.options().timeout,
    };
    let cells = args
        .op
        .iter()
        .flat_map(|op| args.clients.iter().map(move |count| (*op, *count)));
    let mut rows = Vec::new();
    for (op, count) in cells {
        let count = count as usize;
        let connections = args.connections.map(|count| count as usize);
        let spread = Spread::new(addresses, count, connections).map_err(CliError::failed)?;
        let clients = clients(op, count, args, &spread, workload, &ids);
        let tally = load(clients, plan, stop).await;
        rows.push(Row::new(
            op.name(),
            count,
            workload.value.len(),
            spread.len(),
            tally,
        ));
        if *stop.borrow() {
            note("stopped; this is what there is");
            break;
        }
    }
    Ok(rows)
}

fn clients(
    op: Op,
    count: usize,
    args: &Args,
    spread: &Spread,
    workload: &Workload,
    ids: &RequestIds,
) -> Vec<Client> {
    let how = (args.tool.as_str(), args.consistency.into());
    (0..count)
        .map(|number| Client::new(op, spread.of(number), workload, number, how, ids.clone()))
        .collect()
}

/// True from the first Ctrl-C; the second ends the program.
fn stop_signal() -> watch::Receiver<bool> {
    let (tell, told) = watch::channel(false);
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            tell.send_replace(true);
            let _ = tokio::signal::ctrl_c().await;
            std::process::exit(130);
        }
    });
    told
}
