//! Workers that die by the dozen, and calls that wait in vain.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rustix::process::Signal;
use serde_json::json;
use snakepit_client::{CallAnswer, CallRequest, Client, ClientError, ClientOptions, Pool};
use snakepit_cluster_tests::deadline::PATIENCE;
use snakepit_cluster_tests::tools::{Lines, call, done, not_done, on_the_wire};
use snakepit_cluster_tests::{Cluster, Spec, eventually, processes, raw, seed};
use snakepit_proto::bridge::ExecuteToolResponse;
use snakepit_proto::headers;
use tokio::task::{JoinHandle, JoinSet};
use tonic::{Code, Status};

/// Workers of a node in the storms.
const WORKERS: usize = 4;
/// Calls that lose their worker in each storm.
const LOST: u64 = 200;
/// Workers that are killed at the same time, of all nodes.
const KILLED_AT_ONCE: usize = 6;
/// A storm that does not come to its end by then is a defect.
const STORM: Duration = Duration::from_secs(150);

/// Places are given up neither for crashes nor for long, and nothing is refused because of them.
fn stormy(spec: Spec) -> Spec {
    spec.workers(WORKERS)
        .adapter("busy")
        .pool("breaker_failures", 0)
        .pool("taint_crashes", 0)
        .pool("backoff_min_ms", 5)
        .pool("backoff_max_ms", 20)
        .pool("retries_max", 100)
        .pool("retry_backoff_ms", 5)
        .pool("retry_backoff_max_ms", 50)
        .pool("queue_timeout_ms", 60_000)
}

fn append(tool: &str, lines: &Path, line: &str, ms: u64) -> CallRequest {
    call(tool, json!({"path": lines, "line": line, "ms": ms}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_outlives_a_tool_that_kills_its_workers() {
    // With so many crashes in so few places, one of them has three.
    let spec = Spec::nodes(1)
        .workers(WORKERS)
        .adapter("busy")
        .pool("breaker_failures", 2 * WORKERS + 1)
        .pool("breaker_reset_ms", 60_000)
        .pool("taint_crashes", 3)
        .pool("taint_ms", 600_000)
        .pool("backoff_min_ms", 10)
        .pool("backoff_max_ms", 100)
        .pool("queue_timeout_ms", 60_000);
    let cluster = Cluster::start(spec).await;
    let fatal = Lines::default();
    std::fs::write(fatal.path(), "").unwrap();
    let crash = call("crash", json!({"path": fatal.path()}));

    let mut storm = JoinSet::new();
    for _ in 0..4 {
        let (mut bridge, crash) = (cluster.bridge(1).await, on_the_wire(&crash));
        storm.spawn(async move {
            let mut lost = 0;
            for _ in 0..4 * WORKERS {
                let told = bridge.execute_tool(crash.clone()).await.unwrap_err();
                match raw::said(&told, headers::ERROR_KIND) {
                    "unknown" => lost += 1,
                    // No call of it is left that could bring a worker down.
                    "circuit_open" => break,
                    _ => panic!("{told:?}"),
                }
            }
            lost
        });
    }
    // Others go on meanwhile.
    let calm = {
        let client = cluster.at(1);
        tokio::spawn(async move {
            for number in 0..100 {
                let echo = done(&client, call("echo", json!({"value": number}))).await;
                assert_eq!(echo.outcome, Ok(json!(number)));
            }
        })
    };
    let mut lost = 0;
    while let Some(one) = storm.join_next().await {
        lost += one.unwrap();
    }
    calm.await.unwrap();
    assert!(lost > 2 * WORKERS, "only {lost} calls were lost");

    let pool = cluster
        .pool_when(1, "default", "the pool is whole again", |pool| {
            pool.ready as usize == WORKERS && pool.starting == 0
        })
        .await;
    let circuits: Vec<_> = pool.circuits.iter().map(|one| one.tool.as_str()).collect();
    assert_eq!(circuits, ["crash"], "{pool:?}");
    assert_eq!(pool.circuits[0].state, "open", "{pool:?}");
    assert!(pool.circuits[0].retry_after_ms > 0, "{pool:?}");
    assert!(pool.tainted >= 1, "{pool:?}");
    assert!(pool.calls_lost as usize >= lost, "{pool:?}");
    let refused = cluster
        .bridge(1)
        .await
        .execute_tool(on_the_wire(&crash))
        .await;
    let refused = raw::refused(refused, Code::Unavailable, "circuit is open");
    assert_eq!(raw::said(&refused, headers::ERROR_KIND), "circuit_open");

    let workers = cluster.workers_of(1, "default").await.unwrap();
    let pids: BTreeSet<_> = workers.iter().map(|worker| worker.pid).collect();
    assert_eq!(pids.len(), WORKERS, "{workers:?}");
    for worker in &workers {
        assert!(processes::is_alive(worker.pid), "{worker:?}");
        assert!(
            ["ready", "tainted"].contains(&worker.state.as_str()),
            "{worker:?}"
        );
        assert_eq!(
            worker.state == "tainted",
            worker.tainted_ms > 0,
            "{worker:?}"
        );
    }
    assert!(
        workers.iter().any(|worker| worker.state == "tainted"),
        "{workers:?}"
    );
    // All that serve, serve; and a tainted place only where there is no other.
    let sound = workers
        .iter()
        .filter(|worker| worker.state == "ready")
        .count();
    let mut seen = BTreeSet::new();
    for _ in 0..4 * WORKERS {
        let mut calls = JoinSet::new();
        for _ in 0..sound.max(1) {
            let client = cluster.at(1);
            calls.spawn(async move {
                done(&client, call("hold", json!({"ms": 5})))
                    .await
                    .worker_id
            });
        }
        while let Some(id) = calls.join_next().await {
            seen.insert(id.unwrap());
        }
    }
    let tainted: Vec<_> = workers
        .iter()
        .filter(|worker| worker.state == "tainted")
        .collect();
    assert!(!seen.is_empty());
    if sound > 0 {
        assert!(
            tainted.iter().all(|worker| !seen.contains(&worker.id)),
            "{seen:?} {workers:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_circuit_closes_when_its_tool_is_mended() {
    let spec = Spec::nodes(1)
        .workers(2)
        .adapter("busy")
        .pool("breaker_failures", 3)
        .pool("breaker_reset_ms", 700)
        .pool("taint_crashes", 0)
        .pool("backoff_min_ms", 10);
    let cluster = Cluster::start(spec).await;
    let (client, fatal) = (cluster.at(1), Lines::default());
    std::fs::write(fatal.path(), "").unwrap();
    let crash = CallRequest {
        deadline: Some(Duration::from_millis(400)),
        ..call("crash", json!({"path": fatal.path()}))
    };
    eventually("the circuit opens", || async {
        let told = client.call_tool(crash.clone()).await;
        let pool = cluster.pool(1, "default").await?;
        if pool.circuits.iter().any(|circuit| circuit.state == "open") {
            Ok(())
        } else {
            Err(format!("{told:?} {pool:?}"))
        }
    })
    .await;
    std::fs::remove_file(fatal.path()).unwrap();
    eventually("the mended tool is let through", || {
        client.call_tool(crash.clone())
    })
    .await;
    let pool = cluster.pool(1, "default").await.unwrap();
    assert!(pool.circuits.is_empty(), "{pool:?}");
}

/// Kill busy workers of all nodes, a few at once, until so many calls have lost theirs, or so many are
/// killed.
async fn kill_busy(cluster: &Cluster, lost: &AtomicU64, most: u64, random: &mut StdRng) -> u64 {
    let (began, mut kills) = (Instant::now(), 0);
    while lost.load(Ordering::Relaxed) < LOST && kills < most {
        assert!(
            began.elapsed() < STORM,
            "{kills} kills, and only {lost:?} lost calls"
        );
        let mut busy = Vec::new();
        for id in cluster.ids() {
            let workers = cluster.workers_of(id, "default").await.unwrap_or_default();
            busy.extend(workers.into_iter().filter(|worker| worker.running > 0));
        }
        busy.shuffle(random);
        for worker in busy.into_iter().take(KILLED_AT_ONCE) {
            kills += u64::from(processes::signal(worker.pid, Signal::KILL));
        }
    }
    kills
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Became {
    Done,
    Maybe,
    Not,
}

/// Callers at all nodes, each with one call after the other, until `stop`; what came of each call of theirs.
fn callers<T, F>(
    cluster: &Cluster,
    stop: &Arc<AtomicBool>,
    call: impl Fn(Client, String) -> F + Clone + Send + 'static,
) -> JoinSet<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let mut callers = JoinSet::new();
    for caller in 0..18_u64 {
        let client = cluster.client_from(1 + caller % 3, ClientOptions::default());
        let (stop, call) = (stop.clone(), call.clone());
        callers.spawn(async move {
            let mut told = Vec::new();
            for number in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                told.push(call(client.clone(), format!("{caller}-{number}")).await);
            }
            told
        });
    }
    callers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_runs_twice_while_workers_are_killed() {
    let seed = seed::take();
    let cluster = Cluster::start(stormy(Spec::nodes(3))).await;
    let lines = Lines::default();
    let (lost, stop) = (
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let mut callers = {
        let (lost, path) = (lost.clone(), lines.path());
        callers(&cluster, &stop, move |client, line| {
            let (lost, path) = (lost.clone(), path.clone());
            async move {
                let became = match client.call_tool(append("append", &path, &line, 60)).await {
                    Ok(answer) => {
                        assert!(answer.value.outcome.is_ok(), "{answer:?}");
                        assert_eq!(answer.value.attempts, 1, "{answer:?}");
                        Became::Done
                    }
                    Err(error) if not_done(&error) => Became::Not,
                    Err(_) => {
                        lost.fetch_add(1, Ordering::Relaxed);
                        Became::Maybe
                    }
                };
                (line, became)
            }
        })
    };
    let kills = kill_busy(&cluster, &lost, u64::MAX, &mut seed::random(seed, 1)).await;
    stop.store(true, Ordering::Relaxed);
    let mut told = Vec::new();
    while let Some(of_one) = callers.join_next().await {
        told.extend(of_one.unwrap());
    }
    let counted = lines.counted();
    let count = |wanted: Became| told.iter().filter(|(_, became)| *became == wanted).count();
    println!(
        "{kills} kills, {} calls: {} done, {} maybe, {} not",
        told.len(),
        count(Became::Done),
        count(Became::Maybe),
        count(Became::Not)
    );
    assert_eq!(
        counted.values().sum::<usize>(),
        counted.len(),
        "a line is there twice"
    );
    for (line, became) in &told {
        let found = counted.get(line).copied().unwrap_or(0);
        let fits = match became {
            Became::Done => found == 1,
            Became::Maybe => found <= 1,
            Became::Not => found == 0,
        };
        assert!(
            fits,
            "seed {seed}: call {line} is {became:?}, its line is there {found} times"
        );
    }
    for id in cluster.ids() {
        let whole = |pool: &Pool| pool.ready as usize == WORKERS && pool.running == 0;
        cluster
            .pool_when(id, "default", "the pool is whole again", whole)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idempotent_calls_end_well_while_workers_are_killed() {
    let seed = seed::take();
    let cluster = Cluster::start(stormy(Spec::nodes(3))).await;
    let lines = Lines::default();
    let (retried, stop) = (
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let mut callers = {
        let (retried, path) = (retried.clone(), lines.path());
        callers(&cluster, &stop, move |client, line| {
            let (retried, path) = (retried.clone(), path.clone());
            async move {
                let answer = done(&client, append("append_again", &path, &line, 60)).await;
                retried.fetch_add(u64::from(answer.attempts) - 1, Ordering::Relaxed);
                line
            }
        })
    };
    let kills = kill_busy(&cluster, &retried, LOST, &mut seed::random(seed, 1)).await;
    stop.store(true, Ordering::Relaxed);
    let mut told = Vec::new();
    while let Some(of_one) = callers.join_next().await {
        told.extend(of_one.unwrap_or_else(|error| panic!("seed {seed}: {error}")));
    }
    let retried = retried.load(Ordering::Relaxed);
    println!("{kills} kills, {} calls, {retried} retries", told.len());
    assert!(retried > 0, "no call was lost");
    let counted = lines.counted();
    assert!(told.iter().all(|line| counted.contains_key(line)));
}

/// Call with an idempotency key, without the client's own repeats but for those while there is no leader.
async fn keyed(
    cluster: &Cluster,
    id: u64,
    key: &str,
    call: &CallRequest,
) -> Result<ExecuteToolResponse, Status> {
    let mut bridge = cluster.bridge(id).await;
    let began = Instant::now();
    loop {
        let request = raw::with(on_the_wire(call), &[(headers::IDEMPOTENCY_KEY, key)]);
        match bridge.execute_tool(request).await {
            Err(status) if status.code() == Code::Unavailable && began.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            told => return told.map(tonic::Response::into_inner),
        }
    }
}

fn named(
    client: Client,
    key: &str,
    call: CallRequest,
) -> JoinHandle<Result<CallAnswer, ClientError>> {
    let call = CallRequest {
        idempotency_key: key.into(),
        ..call
    };
    tokio::spawn(async move { Ok(client.call_tool(call).await?.value) })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_names_one_call_on_all_nodes() {
    let mut cluster = Cluster::start(stormy(Spec::nodes(3))).await;
    let lines = Lines::default();
    let path = lines.path();

    // Once it has ended.
    let one = append("append", &path, "one", 0);
    let first = named(cluster.at(1), "k1", one.clone())
        .await
        .unwrap()
        .unwrap();
    assert!(!first.recorded);
    for id in cluster.ids() {
        let again = named(cluster.at(id), "k1", one.clone())
            .await
            .unwrap()
            .unwrap();
        assert!(again.recorded, "node {id}: {again:?}");
        assert_eq!(
            (&again.outcome, &again.call_id, &again.worker_id),
            (&first.outcome, &first.call_id, &first.worker_id)
        );
    }
    let other = append("append", &path, "another", 0);
    let refused = keyed(&cluster, 2, "k1", &other).await;
    raw::refused(refused, Code::InvalidArgument, "idempotency key");

    // While it runs.
    let long = append("append", &path, "long", 2_000);
    let running = named(cluster.at(1), "k2", long.clone());
    lines.wait_for("long").await;
    let others = [2, 3].map(|id| named(cluster.at(id), "k2", long.clone()));
    let first = running.await.unwrap().unwrap();
    assert!(!first.recorded);
    for other in others {
        let again = other.await.unwrap().unwrap();
        assert!(
            again.recorded && again.outcome == first.outcome,
            "{again:?}"
        );
    }

    // One that has no time left to wait may be done all the same.
    let slow = append("append", &path, "slow", 2_500);
    let running = named(cluster.at(1), "k3", slow.clone());
    lines.wait_for("slow").await;
    let mut request = on_the_wire(&slow);
    request.metadata.insert("timeout_ms".into(), "300".into());
    let request = raw::with(request, &[(headers::IDEMPOTENCY_KEY, "k3")]);
    let late = cluster
        .bridge(2)
        .await
        .execute_tool(request)
        .await
        .unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded, "{late:?}");
    assert_eq!(raw::said(&late, headers::DONE), "maybe", "{late:?}");
    running.await.unwrap().unwrap();

    // After the node that took it died: not known, and known to be so.
    let (lost, again) = (
        append("append", &path, "lost", 30_000),
        append("append_again", &path, "again", 3_000),
    );
    let held = named(cluster.at(1), "k4", lost.clone());
    let repeated = named(cluster.at(1), "k5", again.clone());
    lines.wait_for("lost").await;
    lines.wait_for("again").await;
    cluster.kill(&[1]);
    held.abort();
    repeated.abort();
    let told = keyed(&cluster, 2, "k4", &lost).await.unwrap_err();
    assert_eq!(told.code(), Code::Unknown, "{told:?}");
    assert_eq!(raw::said(&told, headers::DONE), "maybe", "{told:?}");
    assert_eq!(raw::said(&told, headers::ERROR_KIND), "lost", "{told:?}");
    // The client does not go on asking until its deadline.
    let began = Instant::now();
    let told = named(cluster.at(3), "k4", lost.clone()).await.unwrap();
    assert!(matches!(told, Err(ClientError::Lost(_))), "{told:?}");
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    // What may run twice is run again, once.
    let ran = keyed(&cluster, 2, "k5", &again).await.unwrap();
    assert!(ran.success && !ran.recorded, "{ran:?}");
    let told = keyed(&cluster, 3, "k5", &again).await.unwrap();
    assert!(told.success && told.recorded, "{told:?}");
    assert_eq!(told.call_id, ran.call_id);

    let counted = lines.counted();
    for (line, times) in [
        ("one", 1),
        ("another", 0),
        ("long", 1),
        ("slow", 1),
        ("lost", 1),
        ("again", 2),
    ] {
        assert_eq!(
            counted.get(line).copied().unwrap_or(0),
            times,
            "{line}: {counted:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_waited_in_vain_never_runs() {
    let spec = Spec::nodes(1)
        .workers(1)
        .adapter("busy")
        .pool("queue_timeout_ms", 300);
    let cluster = Cluster::start(spec).await;
    let (client, lines) = (cluster.at(1), Lines::default());
    let path = lines.path();
    let held = {
        let (client, path) = (client.clone(), path.clone());
        tokio::spawn(async move { done(&client, append("append", &path, "held", 4_000)).await })
    };
    lines.wait_for("held").await;
    let mut waiting = JoinSet::new();
    for number in 0..20 {
        let (client, path) = (client.clone(), path.clone());
        waiting.spawn(async move {
            let mut call = append("append", &path, &format!("waits {number}"), 0);
            if number % 2 == 1 {
                call.deadline = Some(Duration::from_millis(150));
            }
            client.call_tool(call).await.unwrap_err()
        });
    }
    while let Some(told) = waiting.join_next().await {
        match told.unwrap() {
            ClientError::Exhausted(_) => {}
            // The client's own clock may say so before the node's does.
            ClientError::Unavailable(told) | ClientError::Unknown(told) => {
                assert!(
                    told.contains("deadline")
                        || told.contains("no answer")
                        || told.contains("given up"),
                    "{told}"
                );
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(!held.is_finished(), "the machine is too slow for this test");
    held.await.unwrap();
    for number in 0..5 {
        done(
            &client,
            append("append", &path, &format!("after {number}"), 50),
        )
        .await;
    }
    let mut wanted = vec!["held".to_owned()];
    wanted.extend((0..5).map(|number| format!("after {number}")));
    assert_eq!(lines.all(), wanted);
    let pool = cluster.pool(1, "default").await.unwrap();
    assert!(pool.queue_timeouts >= 10 && pool.queued == 0, "{pool:?}");
}
