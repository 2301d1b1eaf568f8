//! `snakepit cluster up`: launch a cluster.

use std::fs;
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;

use super::super::arguments::duration;
use super::super::error::CliError;
use super::super::globals::Context;
use super::super::output::{Cell, note};
use super::layout::Layout;
use super::record::{self, PoolSpec, RaftSpec, Record};
use super::spawn::{self, Started};
use super::{Place, ports, python, settings, status, stop, watch as watching};

/// Nodes of a new cluster.
pub(crate) const NODES: u16 = 3;
/// Where clients of the first node of a new cluster connect.
pub(crate) const BASE_PORT: u16 = 7001;
/// Workers of each node of a new cluster.
const WORKERS: u32 = 2;
/// What they serve.
pub(crate) const ADAPTER: &str = "snakepit.demo.showcase";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    place: Place,
    /// How many nodes [default: 3]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=99), value_name = "N")]
    nodes: Option<u16>,
    /// Port for clients of the first node; peers are 100 above, HTTP 200 above [default: 7001]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=65_000), value_name = "PORT")]
    base_port: Option<u16>,
    /// Workers of each node [default: 2]
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=256), value_name = "N")]
    workers: Option<u32>,
    /// What the workers serve [default: snakepit.demo.showcase]
    #[arg(long, value_name = "PKG.MOD[.CLASS]")]
    adapter: Option<String>,
    /// The Python that runs them [default: python3]
    #[arg(long, value_name = "PROGRAM")]
    python: Option<String>,
    /// Time between the leader's heartbeats; elections begin after 4 to 8 of them [default: the node's]
    #[arg(long, value_parser = clap::value_parser!(u64).range(10..=60_000), value_name = "MS")]
    heartbeat_ms: Option<u64>,
    /// Log entries after which a node takes a snapshot [default: the node's]
    #[arg(long, value_name = "N")]
    snapshot_entries: Option<u64>,
    /// Log entries kept behind a snapshot [default: the node's]
    #[arg(long, value_name = "N")]
    log_entries_kept: Option<u64>,
    /// Leave the nodes running and return
    #[arg(long)]
    detach: bool,
    /// How long the nodes may take to be ready
    #[arg(long, default_value = "60s", value_parser = duration, value_name = "TIME")]
    wait: Duration,
}

pub(crate) async fn run(context: &Context, args: Args) -> Result<(), CliError> {
    let layout = args.place.layout()?;
    let dir = layout.dir();
    fs::create_dir_all(dir).map_err(CliError::file("make directory", dir))?;
    let record = prepare(&layout, &args).await?;
    let stop = watching::stop_signals()?;
    let mut nodes = launch(&layout, &record)?;
    let count = record.nodes.len();
    note(&format!("starting {count} nodes in {}", dir.display()));
    let ready = tokio::select! {
        ready = spawn::wait_ready(&layout, &mut nodes, args.wait) => ready,
        () = watching::asked(stop.clone(), 1) => Err(CliError::failed("stopped before it was up")),
    };
    if let Err(error) = ready {
        abandon(&layout, &mut nodes);
        return Err(error);
    }
    tell(context, &layout).await?;
    if args.detach {
        note("stop it with `snakepit cluster down`");
        return Ok(());
    }
    note("press Ctrl-C to stop it");
    let client = record.client(context)?;
    watching::until_stopped(&layout, &client, &mut nodes, stop.clone()).await?;
    down(&layout, &mut nodes, stop).await
}

/// The record of a new cluster, or of the one that is there, with what the flags change.
async fn prepare(layout: &Layout, args: &Args) -> Result<Record, CliError> {
    let _lock = record::lock(layout)?;
    let found = Record::find(layout)?;
    let record = match found.clone() {
        Some(record) => again(layout, record, args).await?,
        None => anew(args).await?,
    };
    ports::check(&record.nodes)?;
    // What people wrote into the settings files stays, unless flags change it.
    let asked = |record: &Record| (record.pool.clone(), record.raft.clone());
    let same = found
        .as_ref()
        .is_some_and(|found| asked(found) == asked(&record));
    if !same
        || record
            .nodes
            .iter()
            .any(|node| !layout.settings(node.id).exists())
    {
        settings::write(layout, &record)?;
    }
    record.save(layout)?;
    Ok(record)
}

async fn anew(args: &Args) -> Result<Record, CliError> {
    let workers = args.workers.unwrap_or(WORKERS);
    let spec = PoolSpec {
        workers,
        adapter: args.adapter.clone().unwrap_or_else(|| ADAPTER.into()),
        python: args.python.clone().unwrap_or_else(python::default),
    };
    let asked = args.workers.is_some() || args.adapter.is_some() || args.python.is_some();
    let pool = match python_for(&spec).await {
        Ok(()) if workers > 0 => Some(spec),
        Ok(()) => None,
        Err(error) if asked => return Err(error),
        Err(error) => {
            note(&format!("no workers: {}", error.message));
            None
        }
    };
    let raft = RaftSpec {
        heartbeat_interval_ms: args.heartbeat_ms,
        snapshot_entries: args.snapshot_entries,
        log_entries_kept: args.log_entries_kept,
    };
    Ok(Record::new(
        args.nodes.unwrap_or(NODES),
        args.base_port.unwrap_or(BASE_PORT),
        pool,
        raft,
    ))
}

async fn again(layout: &Layout, mut record: Record, args: &Args) -> Result<Record, CliError> {
    let dir = layout.dir().display();
    if let Some(node) = record.nodes.iter().find(|node| node.running().is_some()) {
        return Err(
            CliError::failed(format!("the cluster in {dir} is up: node {} runs", node.id))
                .hint("look with `snakepit cluster status`, stop it with `snakepit cluster down`"),
        );
    }
    let count = record.nodes.len();
    if args.nodes.is_some_and(|nodes| usize::from(nodes) != count) {
        return Err(
            CliError::failed(format!("the cluster in {dir} has {count} nodes"))
                .hint("leave out --nodes, or launch another cluster with another --dir"),
        );
    }
    if args.base_port.is_some_and(|port| port != record.base_port) {
        let port = record.base_port;
        return Err(
            CliError::failed(format!("the cluster in {dir} has base port {port}"))
                .hint("leave out --base-port, or launch another cluster with another --dir"),
        );
    }
    if args.workers.is_some() || args.adapter.is_some() || args.python.is_some() {
        let old = record.pool.take();
        let spec = PoolSpec {
            workers: args
                .workers
                .or(old.as_ref().map(|old| old.workers))
                .unwrap_or(WORKERS),
            adapter: args
                .adapter
                .clone()
                .or(old.as_ref().map(|old| old.adapter.clone()))
                .unwrap_or_else(|| ADAPTER.into()),
            python: args
                .python
                .clone()
                .or(old.map(|old| old.python))
                .unwrap_or_else(python::default),
        };
        python_for(&spec).await?;
        record.pool = (spec.workers > 0).then_some(spec);
    }
    let raft = &mut record.raft;
    raft.heartbeat_interval_ms = args.heartbeat_ms.or(raft.heartbeat_interval_ms);
    raft.snapshot_entries = args.snapshot_entries.or(raft.snapshot_entries);
    raft.log_entries_kept = args.log_entries_kept.or(raft.log_entries_kept);
    for node in &mut record.nodes {
        node.process = None;
    }
    Ok(record)
}

async fn python_for(spec: &PoolSpec) -> Result<(), CliError> {
    if spec.workers == 0 {
        Ok(())
    } else {
        python::check(&spec.python).await
    }
}

/// Start all nodes; where one cannot be started, none is left.
fn launch(layout: &Layout, record: &Record) -> Result<Vec<Started>, CliError> {
    let mut nodes = Vec::new();
    for node in &record.nodes {
        match spawn::start(layout, node) {
            Ok(started) => nodes.push(started),
            Err(error) => {
                abandon(layout, &mut nodes);
                return Err(error);
            }
        }
    }
    Ok(nodes)
}

/// Leave nothing running.
fn abandon(layout: &Layout, nodes: &mut [Started]) {
    for node in nodes {
        node.kill();
        if let Err(error) = Record::note_process(layout, node.id, None) {
            note(&error.to_string());
        }
    }
}

/// What is up, and how to use it.
async fn tell(context: &Context, layout: &Layout) -> Result<(), CliError> {
    let record = Record::load(layout)?;
    let nodes = status::gather(&record.client(context)?, &record.nodes).await;
    let rows = nodes.iter().map(|node| {
        let told = node.status.as_ref();
        vec![
            Cell::number(node.id),
            Cell::text(&node.client),
            Cell::text(format!("http://{}", node.http)),
            told.map_or_else(Cell::none, |status| status::role(&status.role)),
            told.map_or_else(Cell::none, |s| {
                Cell::text(format!("{}/{}", s.workers_ready, s.workers))
            }),
        ]
    });
    let json = json!({
        "cluster_id": record.cluster_id,
        "dir": layout.dir(),
        "endpoints": record.endpoints(),
        "nodes": nodes.iter().map(|node| json!({
            "node": node.id,
            "client": node.client,
            "http": node.http,
            "pid": node.pid,
            "role": node.status.as_ref().map(|status| status.role.clone()),
            "workers": node.status.as_ref().map(|status| status.workers),
        })).collect::<Vec<_>>(),
    });
    context.output.table(
        &["node", "client", "http", "role", "workers"],
        rows.collect(),
        &json,
    )?;
    note(&format!(
        "\npoint clients at any node: export SNAKEPIT_ENDPOINTS={}",
        record.endpoints()
    ));
    Ok(())
}

/// Stop all that run, also those that others started meanwhile; at once where asked a second time.
async fn down(
    layout: &Layout,
    nodes: &mut [Started],
    stop: watch::Receiver<u32>,
) -> Result<(), CliError> {
    note("stopping; Ctrl-C once more kills the nodes at once");
    let (hurry, hurried) = watch::channel(false);
    let second = tokio::spawn(async move {
        watching::asked(stop, 2).await;
        hurry.send_replace(true);
        // Whoever looks holds a receiver: keep the sender until it is done.
        std::future::pending::<()>().await;
    });
    let record = Record::load(layout)?;
    let fates = stop::all(layout, &record, &hurried, || {
        for node in nodes.iter_mut() {
            let _ = node.ended();
        }
    })
    .await;
    second.abort();
    for (id, fate) in fates? {
        note(&format!("node {id} {}", fate.name()));
    }
    Ok(())
}
