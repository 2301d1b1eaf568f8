//! `snakepit bench --op failover`: from the death of the leader to the next acknowledged write.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use snakepit_client::{Client as Plain, Consistency};
use tokio::time::{Instant, sleep};

use super::super::cluster::kill::kill;
use super::super::cluster::layout::Layout;
use super::super::cluster::record::Record;
use super::super::cluster::{ports, spawn};
use super::super::error::CliError;
use super::super::globals::Context;
use super::super::output::{Cell, note};
use super::Op;
use super::engine::{Outage, Spread, Write, median, outage};
use super::operation::{Client, How, RequestIds};
use super::workload::Workload;

/// Time for the restarted node to catch up, and for a leader to be known.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
const VALUE_BYTES: usize = 256;

/// One kill.
struct Round {
    node: u64,
    outage: Outage,
    caught_up: Duration,
}

pub(super) async fn run(
    context: &Context,
    dir: Option<&Path>,
    rounds: u32,
) -> Result<(), CliError> {
    let layout = Layout::new(dir)?;
    let plain = Record::load(&layout)?.client(context)?;
    let workload = Workload::create(&plain, 1, None, VALUE_BYTES).await?;
    let ids = RequestIds::new(&workload.run);
    let mut done = Vec::new();
    let mut failed = None;
    for number in 1..=rounds {
        match round(&layout, &plain, &workload, &ids).await {
            Ok(round) => {
                note(&format!(
                    "round {number}: node {} killed, {} ms",
                    round.node,
                    ms(round.outage.took)
                ));
                done.push(round);
            }
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    workload.delete(&plain).await;
    if !done.is_empty() {
        print(context, &done)?;
    }
    failed.map_or(Ok(()), Err)
}

async fn round(
    layout: &Layout,
    plain: &Plain,
    workload: &Workload,
    ids: &RequestIds,
) -> Result<Round, CliError> {
    let record = Record::load(layout)?;
    let leader = leader(plain).await?;
    let node = record.node(leader)?;
    let survivors: Vec<_> = record
        .nodes
        .iter()
        .filter(|node| node.id != leader)
        .map(|node| node.client.clone())
        .collect();
    if survivors.is_empty() {
        return Err(CliError::failed(
            "the cluster has one node, nobody could take over",
        ));
    }
    let writer = Writer::new(&survivors, workload, ids)?;
    let killing = async {
        kill(layout, leader)
            .await
            .map(drop)
            .map_err(|error| error.to_string())
    };
    let outcome = outage(writer, killing).await;
    ports::check([node])?;
    let began = Instant::now();
    let mut started = [spawn::start(layout, node)?];
    spawn::wait_ready(layout, &mut started, PATIENCE).await?;
    catch_up(plain, &node.client).await?;
    let outage = outcome.map_err(CliError::failed)?;
    Ok(Round {
        node: leader,
        outage,
        caught_up: began.elapsed(),
    })
}

/// Who leads, once the nodes agree.
async fn leader(plain: &Plain) -> Result<u64, CliError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let told = plain.status_all().await;
        let mut named = told
            .iter()
            .map(|(_, status)| status.as_ref().map_or(0, |status| status.leader_id));
        let first = named.next().unwrap_or(0);
        if first != 0 && named.all(|other| other == first) {
            return Ok(first);
        }
        if Instant::now() >= deadline {
            return Err(CliError::unavailable("the nodes do not agree on a leader")
                .hint("all nodes must run: look with `snakepit cluster status`"));
        }
        sleep(LOOK_INTERVAL).await;
    }
}

/// Wait until a node has applied what was committed when it was asked first.
async fn catch_up(plain: &Plain, address: &str) -> Result<(), CliError> {
    let node = plain.at(&address.parse()?)?;
    let told = plain.status_all().await.into_iter();
    let goal = told
        .filter_map(|(_, status)| status.ok())
        .map(|status| status.committed_index)
        .max();
    let deadline = Instant::now() + PATIENCE;
    while node.status().await?.applied_index < goal.unwrap_or(0) {
        if Instant::now() >= deadline {
            return Err(CliError::failed(format!(
                "the node at {address} does not catch up"
            )));
        }
        sleep(LOOK_INTERVAL).await;
    }
    Ok(())
}

/// One client at all surviving nodes.
struct Writer {
    at: Vec<Client>,
    ids: RequestIds,
    first: u64,
}

impl Writer {
    fn new(addresses: &[String], workload: &Workload, ids: &RequestIds) -> Result<Self, CliError> {
        let spread = Spread::new(addresses, addresses.len(), None).map_err(CliError::failed)?;
        let how = How {
            tool: "",
            consistency: Consistency::Linearizable,
            batch: 1,
        };
        let at = (0..addresses.len())
            .map(|number| Client::new(Op::Set, spread.of(number), workload, 0, how, ids.clone()))
            .collect();
        // No round repeats the ids of another.
        let first = u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap_or(0);
        Ok(Self {
            at,
            ids: ids.clone(),
            first,
        })
    }
}

impl Write for Writer {
    fn endpoints(&self) -> usize {
        self.at.len()
    }

    async fn attempt(&mut self, number: u64, endpoint: usize) -> Result<(), String> {
        let id = self.ids.of(self.first + number);
        self.at[endpoint].set(id).await
    }
}

fn print(context: &Context, rounds: &[Round]) -> Result<(), CliError> {
    let took: Vec<_> = rounds.iter().map(|round| round.outage.took).collect();
    let median = median(&took).map_or(0, ms);
    let rows = rounds.iter().enumerate().map(|(number, round)| {
        vec![
            Cell::number(number + 1),
            Cell::number(round.node),
            Cell::number(format!("{}ms", ms(round.outage.took))),
            Cell::number(round.outage.failed_attempts),
            Cell::number(format!("{}ms", ms(round.caught_up))),
        ]
    });
    let json = json!({
        "op": "failover",
        "median_ms": median,
        "rounds": rounds.iter().map(|round| json!({
            "killed": round.node,
            "outage_ms": ms(round.outage.took),
            "failed_attempts": round.outage.failed_attempts,
            "caught_up_ms": ms(round.caught_up),
        })).collect::<Vec<_>>(),
    });
    let headers = [
        "round",
        "killed",
        "no writes for",
        "failed attempts",
        "back after",
    ];
    context.output.table(&headers, rows.collect(), &json)?;
    note(&format!("median: {median} ms without writes"));
    Ok(())
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
