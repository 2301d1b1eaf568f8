//! Calls a second through a node's pool, without the rest of the node:
//!
//! `cargo run --release -p snakepit-node --example pool_bench -- [--worker fake|python] [--workers 2]
//! [--slots 1] [--callers 128] [--seconds 3] [--tool echo] [--credits 32]`
//!
//! A fake worker is this program again: it dials the node and answers at once. With `python`, the interpreter
//! is that of `SNAKEPIT_PYTHON`.

#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use snakepit_node::pool;
use snakepit_proto::bridge::ToolSpec;
use snakepit_proto::worker as wire;
use snakepit_proto::worker::from_worker::Message as From;
use snakepit_proto::worker::to_worker::Message as To;
use snakepit_proto::worker::worker_service_client::WorkerServiceClient;
use tokio_stream::wrappers::ReceiverStream;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    if let Ok(socket) = std::env::var("SNAKEPIT_WORKER_SOCKET") {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        return runtime.block_on(fake_worker(&socket));
    }
    let mut flags = Flags::default();
    let mut arguments = std::env::args().skip(1);
    while let (Some(name), Some(value)) = (arguments.next(), arguments.next()) {
        match name.as_str() {
            "--worker" => flags.python = value == "python",
            "--workers" => flags.workers = value.parse()?,
            "--slots" => flags.slots = value.parse()?,
            "--callers" => flags.callers = value.parse()?,
            "--seconds" => flags.seconds = value.parse()?,
            "--credits" => flags.credits = value.parse()?,
            "--tool" => flags.tool = value,
            other => return Err(format!("no flag is named {other}").into()),
        }
    }
    tokio::runtime::Runtime::new()?.block_on(bench(flags))
}

struct Flags {
    python: bool,
    workers: usize,
    slots: u32,
    callers: usize,
    seconds: f64,
    credits: u32,
    tool: String,
}

impl Default for Flags {
    fn default() -> Self {
        Self {
            python: false,
            workers: 2,
            slots: 1,
            callers: 128,
            seconds: 3.0,
            credits: 32,
            tool: "echo".into(),
        }
    }
}

async fn bench(flags: Flags) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let socket = pool::socket_path(folder.path())?;
    let defaults = pool::PoolSettings::default();
    let own = std::env::current_exe()?.to_string_lossy().into_owned();
    let settings = pool::PoolSettings {
        start: if flags.python {
            pool::Start::Fork
        } else {
            pool::Start::Spawn
        },
        concurrency: if flags.slots > 1 {
            pool::Concurrency::Thread
        } else {
            pool::Concurrency::Process
        },
        adapter: "snakepit.demo.showcase".into(),
        python: if flags.python {
            defaults.python.clone()
        } else {
            own
        },
        size: flags.workers,
        slots: flags.slots,
        credits_per_slot: flags.credits,
        ..defaults
    };
    let incoming = pool::listen_unix(&socket)?;
    let pools = pool::Pools::start(vec![settings], 1, socket)?;
    let server = pool::server()
        .add_service(pools.service())
        .serve_with_incoming(incoming);
    let server = tokio::spawn(server);
    let all_ready = async {
        while pools.readiness()[0].ready < flags.workers {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(30), all_ready)
        .await
        .is_err()
    {
        return Err(format!("the workers do not start: {:?}", pools.readiness()).into());
    }
    for part in ["warm-up", "measured"] {
        let seconds = if part == "warm-up" {
            1.0
        } else {
            flags.seconds
        };
        let until = Instant::now() + Duration::from_secs_f64(seconds);
        let began = Instant::now();
        let callers: Vec<_> = (0..flags.callers)
            .map(|_| tokio::spawn(caller(pools.clone(), flags.tool.clone(), until)))
            .collect();
        let mut times = hdrhistogram::Histogram::<u64>::new(3)?;
        for caller in callers {
            for took in caller.await?? {
                times.record(took)?;
            }
        }
        let rate = times.len() as f64 / began.elapsed().as_secs_f64();
        let (middle, high) = (times.value_at_quantile(0.5), times.value_at_quantile(0.99));
        println!("{part}: {rate:.0} calls/s; {middle} µs in the middle, {high} µs at 99 %");
    }
    pools
        .drain_and_stop(Instant::now() + Duration::from_secs(5))
        .await;
    server.abort();
    Ok(())
}

async fn caller(pools: pool::Pools, tool: String, until: Instant) -> Result<Vec<u64>, Failure> {
    let mut times = Vec::new();
    let text = prost_types::Any {
        type_url: "type.googleapis.com/snakepit.string".into(),
        value: b"\"x\"".to_vec(),
    };
    while Instant::now() < until {
        let name = if tool == "echo" { "value" } else { "ms" };
        let call = pool::ToolCall {
            call_id: "0198c0de-0000-7000-8000-000000000000".into(),
            session_id: "session".into(),
            tool: tool.clone(),
            parameters: BTreeMap::from([(name.to_owned(), text.clone())]),
            principal: "bench".into(),
            ..Default::default()
        };
        let began = Instant::now();
        let outcome = pools.call(call).await?;
        times.push(began.elapsed().as_micros() as u64);
        if !outcome.success {
            return Err(format!("{:?}", outcome.error).into());
        }
    }
    Ok(times)
}

/// Answers each call at once.
async fn fake_worker(socket: &str) -> Result<(), Failure> {
    let channel = tonic::transport::Endpoint::from_shared(format!("unix://{socket}"))?
        .connect()
        .await?;
    let (outgoing, messages) = tokio::sync::mpsc::channel(64);
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let hello = wire::Hello {
        protocol: pool::PROTOCOL,
        worker_id: variable("SNAKEPIT_WORKER_ID"),
        token: variable("SNAKEPIT_WORKER_TOKEN"),
        pid: std::process::id(),
        tools: vec![ToolSpec {
            name: "echo".into(),
            ..Default::default()
        }],
        slots: variable("SNAKEPIT_WORKER_SLOTS").parse()?,
        credits: variable("SNAKEPIT_WORKER_CREDITS").parse()?,
        ..Default::default()
    };
    let say = |message| wire::FromWorker {
        message: Some(message),
    };
    outgoing.send(say(From::Hello(hello))).await?;
    let mut client = WorkerServiceClient::new(channel);
    let mut incoming = client
        .connect(ReceiverStream::new(messages))
        .await?
        .into_inner();
    while let Some(message) = incoming.message().await? {
        match message.message {
            Some(To::Calls(calls)) => {
                let answer = |mut call: wire::Call| wire::Result {
                    sequence: call.sequence,
                    success: true,
                    value: call.parameters.remove("value"),
                    execution_time_us: 1,
                    ..Default::default()
                };
                let results = calls.calls.into_iter().map(answer).collect();
                let results = wire::Results {
                    results,
                    chunks: Vec::new(),
                };
                outgoing.send(say(From::Results(results))).await?;
            }
            Some(To::Drain(_)) => {
                outgoing.send(say(From::Goodbye(wire::Goodbye {}))).await?;
                return Ok(());
            }
            _ => {}
        }
    }
    Ok(())
}
