//! Workers that are replaced under load, and a hundred of them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use snakepit_client::{Client, Worker, WorkerAction};
use snakepit_cluster_tests::cluster::GONE;
use snakepit_cluster_tests::tools::{Lines, call, definition, done};
use snakepit_cluster_tests::{Cluster, Spec, eventually, processes, within};
use tokio::task::{JoinHandle, JoinSet};

const CLIENTS: u64 = 8;
const WORKERS: u32 = 3;
/// Names all processes of one life of a node.
const INSTANCE: &str = "SNAKEPIT_INSTANCE";
/// Time for a hundred workers, on a busy machine.
const HUNDRED: Duration = Duration::from_secs(240);

/// Clients that call, each one call after the other, until they are told to stop.
struct Callers {
    stop: Arc<AtomicBool>,
    callers: JoinSet<(u64, BTreeSet<String>)>,
}

impl Callers {
    fn begin(client: &Client, path: PathBuf) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut callers = JoinSet::new();
        for caller in 0..CLIENTS {
            let (client, stop, path) = (client.clone(), stop.clone(), path.clone());
            callers.spawn(async move {
                let (mut calls, mut workers) = (0, BTreeSet::new());
                while !stop.load(Ordering::Relaxed) {
                    let line = format!("{caller}-{calls}");
                    let append = call("append", json!({"path": path, "line": line, "ms": 2}));
                    workers.insert(done(&client, append).await.worker_id);
                    calls += 1;
                }
                (calls, workers)
            });
        }
        Self { stop, callers }
    }

    /// How many calls there were, and the workers that ran them. None may have failed.
    async fn end(mut self) -> (u64, BTreeSet<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let (mut calls, mut workers) = (0, BTreeSet::new());
        while let Some(ended) = self.callers.join_next().await {
            let (of_one, by) = ended.expect("no call fails");
            calls += of_one;
            workers.extend(by);
        }
        (calls, workers)
    }
}

/// Looks at a pool again and again; the fewest workers that were ready.
fn watch(client: Client, stop: Arc<AtomicBool>) -> JoinHandle<u32> {
    tokio::spawn(async move {
        let mut fewest = u32::MAX;
        while !stop.load(Ordering::Relaxed) {
            let pools = client.list_pools().await.expect("the node answers").value;
            fewest = fewest.min(pools[0].ready);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        fewest
    })
}

fn each_once(lines: &Lines, calls: u64) {
    let counted = lines.counted();
    assert_eq!(counted.len() as u64, calls);
    assert!(counted.values().all(|times| *times == 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_notices_that_workers_are_recycled() {
    let spec = Spec::nodes(1)
        .workers(WORKERS as usize)
        .adapter("busy")
        .pool("recycle_calls", 50)
        .pool("queue_timeout_ms", 60_000);
    let cluster = Cluster::start(spec).await;
    let (client, lines) = (cluster.at(1), Lines::default());
    let stop = Arc::new(AtomicBool::new(false));
    let watched = watch(client.clone(), stop.clone());
    let callers = Callers::begin(&client, lines.path());
    let recycled = within(
        Duration::from_secs(90),
        "each place has seen some workers",
        || async {
            let workers = cluster.workers_of(1, "default").await?;
            if workers.iter().all(|worker| worker.restarts >= 4) {
                Ok(workers)
            } else {
                Err(format!("{workers:?}"))
            }
        },
    )
    .await;
    let (calls, workers) = callers.end().await;
    stop.store(true, Ordering::Relaxed);
    let fewest = watched.await.unwrap();
    println!(
        "{calls} calls by {} workers, at least {fewest} ready",
        workers.len()
    );
    each_once(&lines, calls);
    assert!(fewest >= WORKERS, "only {fewest} were ready at a time");
    let restarts: u32 = recycled.iter().map(|worker| worker.restarts).sum();
    assert!(
        workers.len() as u32 >= restarts,
        "{} workers, {restarts} restarts",
        workers.len()
    );
    let pool = cluster.pool(1, "default").await.unwrap();
    assert_eq!(
        (pool.calls_lost, pool.calls_refused, pool.queue_timeouts),
        (0, 0, 0),
        "{pool:?}"
    );
    assert_eq!(pool.problem, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_notices_that_workers_are_restarted() {
    let spec = Spec::nodes(1)
        .workers(WORKERS as usize)
        .adapter("busy")
        .pool("queue_timeout_ms", 60_000);
    let cluster = Cluster::start(spec).await;
    let (client, lines) = (cluster.at(1), Lines::default());
    let stop = Arc::new(AtomicBool::new(false));
    let watched = watch(client.clone(), stop.clone());
    let callers = Callers::begin(&client, lines.path());
    let ids = |workers: &[Worker]| -> BTreeSet<String> {
        workers.iter().map(|worker| worker.id.clone()).collect()
    };
    let mut seen = BTreeSet::new();
    for _ in 0..4 {
        let before = ids(&cluster.workers_of(1, "default").await.unwrap());
        let told = client
            .control_workers(WorkerAction::Restart, "", "default")
            .await;
        let told: BTreeSet<_> = told.unwrap().value.into_iter().collect();
        assert_eq!(told, before);
        let replaced = cluster
            .workers_when(1, "default", "all are replaced", |workers| {
                let serving = |worker: &Worker| ["ready", "busy"].contains(&worker.state.as_str());
                ids(workers).is_disjoint(&before) && workers.iter().all(serving)
            })
            .await;
        seen.extend(ids(&replaced));
    }
    let (calls, workers) = callers.end().await;
    stop.store(true, Ordering::Relaxed);
    let fewest = watched.await.unwrap();
    println!(
        "{calls} calls by {} workers, at least {fewest} ready",
        workers.len()
    );
    each_once(&lines, calls);
    assert!(fewest >= WORKERS, "only {fewest} were ready at a time");
    assert_eq!(seen.len(), 4 * WORKERS as usize, "{seen:?}");
    let none = client
        .control_workers(WorkerAction::Restart, "nobody", "")
        .await;
    assert_eq!(none.unwrap_err().kind(), "invalid");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_workers_start_in_batches_and_die_with_their_node() {
    const SIZE: u32 = 100;
    const BATCH: usize = 8;
    let other = Cluster::start(Spec::nodes(1).workers(2).adapter("busy")).await;
    let bystanders = other.workers_of(1, "default").await.unwrap();
    let mut cluster = Cluster::start(Spec::nodes(1)).await;
    let client = cluster.at(1);
    let settings = json!({"start_batch": BATCH, "start_timeout_ms": 200_000});
    let settings = definition("busy", SIZE as usize, settings);
    client
        .put_pool("hundred", &settings, 0, true)
        .await
        .unwrap();
    let (began, mut most, mut waited) = (Instant::now(), 0, 0);
    let ready = loop {
        let pool = cluster.pool(1, "hundred").await;
        let workers = cluster.workers_of(1, "hundred").await.unwrap_or_default();
        let count = |state: &str| {
            let fits = |one: &&Worker| one.state == state && one.pid > 0;
            workers.iter().filter(fits).count()
        };
        let (ready, starting) = (count("ready"), count("starting"));
        most = most.max(starting);
        if let Ok(pool) = &pool {
            // One that has just said hello is counted for a moment beside the next.
            assert!(pool.starting as usize <= 2 * BATCH, "{pool:?}");
            waited = waited.max(pool.waiting);
        }
        if ready == SIZE as usize && pool.is_ok_and(|pool| pool.ready == SIZE) {
            break workers;
        }
        assert!(
            began.elapsed() < HUNDRED,
            "{ready} are ready, {starting} start"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    println!("at most {most} were starting");
    assert!(
        waited > SIZE / 2,
        "only {waited} places waited for their turn"
    );
    assert!(most <= BATCH, "{most} processes were starting at once");
    let pids: BTreeSet<_> = ready.iter().map(|worker| worker.pid).collect();
    assert_eq!(pids.len(), SIZE as usize);
    assert!(ready.iter().all(|worker| worker.restarts == 0), "{ready:?}");

    let left = done(&client, call("leave_behind", json!({}))).await;
    let left = left.outcome.unwrap().as_u64().unwrap() as u32;
    let instance = processes::variable(ready[0].pid, INSTANCE).expect("workers carry it");
    let before = processes::carrying(INSTANCE, &instance, &[]);
    assert!(before.len() > SIZE as usize, "{}", before.len());
    assert!(
        before.iter().any(|process| process.pid == left),
        "{left} does not carry it"
    );

    cluster.kill(&[1]);
    let gone = tokio::task::spawn_blocking(move || {
        let began = Instant::now();
        loop {
            let left = processes::carrying(INSTANCE, &instance, &[]);
            if left.is_empty() || began.elapsed() > GONE {
                return left;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let gone = gone.await.unwrap();
    assert!(gone.is_empty(), "left {GONE:?} after their node: {gone:?}");
    assert!(!processes::is_alive(left));
    let untouched = other.workers_of(1, "default").await.unwrap();
    let same = |one: &Worker| (one.pid, one.id.clone(), one.restarts);
    assert_eq!(
        untouched.iter().map(same).collect::<Vec<_>>(),
        bystanders.iter().map(same).collect::<Vec<_>>()
    );
    done(&other.at(1), call("echo", json!({}))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_worker_left_behind_goes_when_it_is_replaced() {
    let cluster = Cluster::start(Spec::nodes(1).workers(1).adapter("busy")).await;
    let client = cluster.at(1);
    let left = done(&client, call("leave_behind", json!({}))).await;
    let left = left.outcome.unwrap().as_u64().unwrap() as u32;
    assert!(processes::is_alive(left));
    let before = cluster.workers_of(1, "default").await.unwrap();
    client
        .control_workers(WorkerAction::Kill, &before[0].id, "")
        .await
        .unwrap();
    eventually("what it left behind is gone", || async {
        if processes::is_alive(left) {
            Err(left)
        } else {
            Ok(())
        }
    })
    .await;
    done(&client, call("echo", json!({}))).await;
}
