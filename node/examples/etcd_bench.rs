//! The benchmark of `snakepit bench` against etcd: the same loop, connections and counting, another API.
//!
//! `etcd_bench load --endpoints A,B,C [--op set,get] [--clients 1,64,256] [--value-bytes 256] [--duration 10]
//! [--warmup 2] [--connections N] [--target any|leader|followers]`
//!
//! `etcd_bench failover --dir DIR --endpoints A,B,C [--rounds 7]`: member i of the endpoints is started by
//! `DIR/node-<i>/start`, which leaves its process's number in `DIR/node-<i>/pid`.
//!
//! Prints JSON. Times are seconds. `scripts/bench` runs it.

#[allow(dead_code, unused_imports, unreachable_pub)]
#[path = "../src/cli/bench/engine/mod.rs"]
mod engine;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use engine::{Caller, Operation, Plan, Row, Spread, Write, kind, load, median, outage};
use prost::Message;
use rand::Rng as _;
use rand::distr::Alphanumeric;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::{Value as Json, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;

/// As in the program.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const PUT: &str = "/etcdserverpb.KV/Put";
const RANGE: &str = "/etcdserverpb.KV/Range";
const STATUS: &str = "/etcdserverpb.Maintenance/Status";
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
const OPERATION_TIMEOUT: Duration = Duration::from_secs(30);

/// What is used of etcd's public API, with its field numbers.
#[derive(Clone, PartialEq, Message)]
struct PutRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct RangeRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bool, tag = "7")]
    serializable: bool,
}

#[derive(Clone, PartialEq, Message)]
struct Header {
    #[prost(uint64, tag = "2")]
    member_id: u64,
}

#[derive(Clone, PartialEq, Message)]
struct PutResponse {
    #[prost(message, optional, tag = "1")]
    header: Option<Header>,
}

#[derive(Clone, PartialEq, Message)]
struct RangeResponse {
    #[prost(message, optional, tag = "1")]
    header: Option<Header>,
    #[prost(message, repeated, tag = "2")]
    kvs: Vec<KeyValue>,
    #[prost(int64, tag = "4")]
    count: i64,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(int64, tag = "2")]
    create_revision: i64,
    #[prost(int64, tag = "3")]
    mod_revision: i64,
    #[prost(int64, tag = "4")]
    version: i64,
    #[prost(bytes = "vec", tag = "5")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct StatusRequest {}

#[derive(Clone, PartialEq, Message)]
struct StatusResponse {
    #[prost(message, optional, tag = "1")]
    header: Option<Header>,
    #[prost(uint64, tag = "4")]
    leader: u64,
    #[prost(uint64, tag = "5")]
    raft_index: u64,
    #[prost(uint64, tag = "7")]
    raft_applied_index: u64,
}

fn main() -> Result<(), Failure> {
    let mut words = std::env::args().skip(1);
    let verb = words.next().unwrap_or_default();
    let mut flags = BTreeMap::new();
    while let Some(name) = words.next() {
        let value = words.next().ok_or(format!("{name} has no value"))?;
        flags.insert(name, value);
    }
    let flags = Flags(flags);
    let most = flags.clients()?.into_iter().max().unwrap_or(1);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(engine::threads(most))
        .enable_all()
        .build()?;
    let printed = match verb.as_str() {
        "load" => runtime.block_on(cells(&flags))?,
        "failover" => runtime.block_on(failover(&flags))?,
        _ => return Err("say load or failover".into()),
    };
    writeln!(std::io::stdout(), "{printed:#}")?;
    Ok(())
}

struct Flags(BTreeMap<String, String>);

impl Flags {
    fn text<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        self.0.get(name).map_or(default, String::as_str)
    }

    fn list<T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>>(
        &self,
        name: &str,
        default: &str,
    ) -> Result<Vec<T>, Failure> {
        let items = self.text(name, default).split(',').map(str::parse);
        Ok(items.collect::<Result<_, _>>()?)
    }

    fn clients(&self) -> Result<Vec<usize>, Failure> {
        self.list("--clients", "1,64,256")
    }

    fn seconds(&self, name: &str, default: &str) -> Result<Duration, Failure> {
        Ok(Duration::try_from_secs_f64(
            self.text(name, default).parse()?,
        )?)
    }
}

/// One client of the closed loop, with a key of its own.
struct Client {
    get: bool,
    caller: Caller,
}

impl Client {
    fn new(get: bool, channel: Channel, number: usize, value: &[u8]) -> Self {
        let key = format!("bench-v{number}").into_bytes();
        let metadata = MetadataMap::new();
        let caller = if get {
            let message = RangeRequest {
                key,
                serializable: false,
            };
            Caller::new(channel, RANGE, &message, metadata)
        } else {
            let message = PutRequest {
                key,
                value: value.to_vec(),
            };
            Caller::new(channel, PUT, &message, metadata)
        };
        Self { get, caller }
    }
}

impl Operation for Client {
    async fn once(&mut self) -> Result<(), String> {
        if !self.get {
            let put = self.caller.call::<PutResponse>(|_| ()).await;
            return put.map(drop).map_err(|status| kind(&status));
        }
        let found: RangeResponse = self
            .caller
            .call(|_| ())
            .await
            .map_err(|status| kind(&status))?;
        if found.kvs.len() == 1 {
            Ok(())
        } else {
            Err("not_found".to_owned())
        }
    }
}

async fn cells(flags: &Flags) -> Result<Json, Failure> {
    let addresses = asked(flags).await?;
    let counts = flags.clients()?;
    let value_bytes: usize = flags.text("--value-bytes", "256").parse()?;
    let connections = flags
        .0
        .get("--connections")
        .map(|text| text.parse())
        .transpose()?;
    let plan = Plan {
        warmup: flags.seconds("--warmup", "2")?,
        duration: flags.seconds("--duration", "10")?,
        timeout: OPERATION_TIMEOUT,
    };
    let value: Vec<u8> = rand::rng()
        .sample_iter(Alphanumeric)
        .take(value_bytes)
        .collect();
    let most = counts.iter().copied().max().unwrap_or(1);
    let spread = Spread::new(&addresses, most, None)?;
    for number in 0..most {
        Client::new(false, spread.of(number), number, &value)
            .once()
            .await?;
    }
    let (_keep, mut stop) = watch::channel(false);
    let mut rows = Vec::new();
    for op in flags.text("--op", "set,get").split(',') {
        for count in &counts {
            let spread = Spread::new(&addresses, *count, connections)?;
            let clients = (0..*count)
                .map(|number| Client::new(op == "get", spread.of(number), number, &value))
                .collect();
            let tally = load(clients, plan, &mut stop).await;
            rows.push(Row::new(op, *count, value_bytes, spread.len(), tally));
        }
    }
    Ok(serde_json::to_value(rows)?)
}

/// The members that are asked, as by `snakepit bench --target`.
async fn asked(flags: &Flags) -> Result<Vec<String>, Failure> {
    let mut addresses: Vec<String> = flags.list("--endpoints", "127.0.0.1:2379")?;
    match flags.text("--target", "any") {
        "any" => {}
        "leader" => addresses = vec![addresses.swap_remove(leader(&addresses).await?)],
        "followers" => drop(addresses.remove(leader(&addresses).await?)),
        other => return Err(format!("{other} is no target; say any, leader or followers").into()),
    }
    Ok(addresses)
}

/// One client at all surviving members.
struct Writer(Vec<Client>);

impl Write for Writer {
    fn endpoints(&self) -> usize {
        self.0.len()
    }

    async fn attempt(&mut self, _: u64, endpoint: usize) -> Result<(), String> {
        self.0[endpoint].once().await
    }
}

async fn failover(flags: &Flags) -> Result<Json, Failure> {
    let addresses: Vec<String> = flags.list("--endpoints", "127.0.0.1:2379")?;
    let dir = PathBuf::from(flags.text("--dir", "."));
    let rounds: u32 = flags.text("--rounds", "7").parse()?;
    let mut done = Vec::new();
    let mut outages = Vec::new();
    for _ in 0..rounds {
        let leader = leader(&addresses).await?;
        let member = dir.join(format!("node-{}", leader + 1));
        let survivors: Vec<String> = (0..addresses.len())
            .filter(|number| *number != leader)
            .map(|number| addresses[number].clone())
            .collect();
        let spread = Spread::new(&survivors, survivors.len(), None)?;
        let at = 0..survivors.len();
        let writer = Writer(
            at.map(|n| Client::new(false, spread.of(n), 0, &[b'x'; 256]))
                .collect(),
        );
        let killing = async { kill(&member).await.map_err(|error| error.to_string()) };
        let seen = outage(writer, killing).await?;
        let began = Instant::now();
        start(&member)?;
        catch_up(&addresses, leader).await?;
        outages.push(seen.took);
        done.push(json!({
            "killed": leader + 1,
            "outage_ms": seen.took.as_millis(),
            "failed_attempts": seen.failed_attempts,
            "caught_up_ms": began.elapsed().as_millis(),
        }));
    }
    let median = median(&outages).map_or(0, |took| took.as_millis());
    Ok(json!({ "op": "failover", "median_ms": median, "rounds": done }))
}

async fn status(address: &str) -> Option<StatusResponse> {
    let channel = Spread::new(&[address.to_owned()], 1, None).ok()?.of(0);
    let mut caller = Caller::new(channel, STATUS, &StatusRequest {}, MetadataMap::new());
    let asked = tokio::time::timeout(Duration::from_secs(1), caller.call(|_| ())).await;
    asked.ok()?.ok()
}

/// Number of the endpoint that leads, once all agree.
async fn leader(addresses: &[String]) -> Result<usize, Failure> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let told = futures_util::future::join_all(addresses.iter().map(|to| status(to))).await;
        let named =
            |status: &Option<StatusResponse>| status.as_ref().map_or(0, |status| status.leader);
        let first = named(&told[0]);
        let own = |status: &Option<StatusResponse>| {
            status
                .as_ref()
                .and_then(|status| status.header.as_ref())
                .map(|header| header.member_id)
        };
        let agreed = first != 0 && told.iter().all(|status| named(status) == first);
        if agreed && let Some(number) = told.iter().position(|status| own(status) == Some(first)) {
            return Ok(number);
        }
        sleep(LOOK_INTERVAL).await;
    }
    Err("the members do not agree on a leader".into())
}

async fn catch_up(addresses: &[String], member: usize) -> Result<(), Failure> {
    let told = futures_util::future::join_all(addresses.iter().map(|to| status(to))).await;
    let goal = told
        .iter()
        .flatten()
        .map(|status| status.raft_index)
        .max()
        .unwrap_or(0);
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if status(&addresses[member])
            .await
            .is_some_and(|told| told.raft_applied_index >= goal)
        {
            return Ok(());
        }
        sleep(LOOK_INTERVAL).await;
    }
    Err("the member does not catch up".into())
}

async fn kill(member: &Path) -> Result<(), Failure> {
    let pid: i32 = fs::read_to_string(member.join("pid"))?.trim().parse()?;
    let pid = Pid::from_raw(pid).ok_or("no process")?;
    kill_process(pid, Signal::KILL)?;
    while test_kill_process(pid).is_ok() && !is_zombie(pid) {
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

fn is_zombie(pid: Pid) -> bool {
    let stat =
        fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    let Some((_, fields)) = stat.rsplit_once(") ") else {
        return true;
    };
    // Its first thread may have ended before others, which hold its ports.
    let threads = fields.split_ascii_whitespace().nth(17);
    fields.starts_with('Z') && threads.is_none_or(|count| matches!(count, "0" | "1"))
}

fn start(member: &Path) -> Result<(), Failure> {
    Command::new(member.join("start"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok(())
}
