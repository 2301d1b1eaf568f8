//! `snakepit bench --op watch`: from just before a value is set until each watcher has it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::Value as Json;
use snakepit_client::Client as Plain;
use snakepit_proto::bridge::{
    VariableUpdate, WatchVariablesRequest, bridge_service_client::BridgeServiceClient,
};
use tokio::sync::mpsc;
use tokio::sync::watch::Receiver;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tonic::Streaming;
use tonic::transport::Channel;

use super::super::error::CliError;
use super::engine::{Plan, Shards, Spread, Tally, kind};
use super::workload::Workload;

/// What writer and watchers share.
struct Board {
    /// When each value was sent, from version 2.
    sent: Vec<OnceLock<Instant>>,
    /// The last version; 0 while the writer works.
    last: AtomicU64,
    /// Measured from here.
    begin: OnceLock<Instant>,
    shards: Shards,
}

/// Watch and write until the time is over. Operations are updates that reached a watcher.
pub(super) async fn run(
    plain: &Plain,
    spread: &Spread,
    workload: &Workload,
    (watchers, rate): (usize, u32),
    plan: Plan,
    stop: &mut Receiver<bool>,
) -> Result<Tally, CliError> {
    let (session, name) = workload.make_watched(plain).await?;
    let seconds = (plan.warmup + plan.duration).as_secs() + 2;
    let values = usize::try_from(seconds).unwrap_or(0) * rate as usize;
    let board = Arc::new(Board {
        sent: (0..values).map(|_| OnceLock::new()).collect(),
        last: AtomicU64::new(0),
        begin: OnceLock::new(),
        shards: Shards::new(),
    });
    let mut running = JoinSet::new();
    let (ready, mut told) = mpsc::channel(watchers);
    for number in 0..watchers {
        let request = WatchVariablesRequest {
            session_id: session.clone(),
            variable_identifiers: vec![name.clone()],
            include_initial_values: true,
            ..Default::default()
        };
        let (channel, board, ready) = (spread.of(number), Arc::clone(&board), ready.clone());
        running.spawn(watch(number, channel, request, board, ready));
    }
    drop(ready);
    // Those that cannot begin say so in the errors.
    let all = async { while told.recv().await.is_some() {} };
    timeout(plan.timeout, all)
        .await
        .map_err(|_| CliError::failed("the watches did not begin in time"))?;
    let begin = Instant::now() + plan.warmup;
    let _ = board.begin.set(begin);
    write(plain, (&session, &name), workload, rate, plan, &board, stop).await?;
    let elapsed = Instant::now().saturating_duration_since(begin);
    let ended = async { while running.join_next().await.is_some() {} };
    let late = timeout(plan.timeout, ended).await.is_err();
    if late {
        board.shards.failed(0, "late".to_owned());
    }
    Ok(board.shards.sum(elapsed))
}

/// Set the values, the next one when the last one is acknowledged.
async fn write(
    plain: &Plain,
    (session, name): (&str, &str),
    workload: &Workload,
    rate: u32,
    plan: Plan,
    board: &Board,
    stop: &Receiver<bool>,
) -> Result<(), CliError> {
    let value = Json::String(workload.value.clone());
    let end = Instant::now() + plan.warmup + plan.duration;
    let mut ticks = interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut version = 1;
    for sent in &board.sent {
        ticks.tick().await;
        if Instant::now() >= end || *stop.borrow() {
            break;
        }
        let _ = sent.set(Instant::now());
        // Repeated with its request id where it must be: versions are without a gap.
        version = plain.set_variable(session, name, &value, None).await?.value;
    }
    board.last.store(version, Ordering::Release);
    // One more for watchers that have seen all: it tells them that the writer has ended.
    plain.set_variable(session, name, &value, None).await?;
    Ok(())
}

async fn watch(
    number: usize,
    channel: Channel,
    request: WatchVariablesRequest,
    board: Arc<Board>,
    ready: mpsc::Sender<()>,
) {
    let mut client = BridgeServiceClient::new(channel);
    let failed = |kind: String| board.shards.failed(number, kind);
    let mut updates = match client.watch_variables(request).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => return failed(kind(&status)),
    };
    let mut seen = match version(&mut updates).await {
        Ok(first) => first,
        Err(kind) => return failed(kind),
    };
    drop(ready);
    loop {
        let version = match version(&mut updates).await {
            Ok(version) => version,
            Err(kind) => return failed(kind),
        };
        let now = Instant::now();
        if version != seen + 1 {
            failed(if version > seen { "missed" } else { "repeated" }.to_owned());
        }
        seen = version;
        let last = board.last.load(Ordering::Acquire);
        if last > 0 && version > last {
            return;
        }
        let place = usize::try_from(version).unwrap_or(0).checked_sub(2);
        let sent = place.and_then(|place| board.sent.get(place)?.get());
        let begin = board.begin.get();
        if let (Some(sent), Some(begin)) = (sent, begin)
            && sent >= begin
        {
            board.shards.done(number, now.duration_since(*sent), true);
        }
    }
}

/// Version of the next update; one word for what went wrong.
async fn version(updates: &mut Streaming<VariableUpdate>) -> Result<u64, String> {
    match updates.message().await {
        Ok(Some(update)) => {
            let version = update.variable.map_or(0, |variable| variable.version);
            Ok(u64::try_from(version).unwrap_or(0))
        }
        Ok(None) => Err("ended".to_owned()),
        Err(status) => Err(kind(&status)),
    }
}
