//! All nodes are restarted in turn while their workers are called: no client that does as it is told sees a
//! call fail.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use snakepit_client::{CallRequest, Client, ClientOptions};
use snakepit_cluster_tests::tools::{Lines, call, done, not_done};
use snakepit_cluster_tests::{Cluster, Spec, within};
use tokio::task::JoinSet;

/// Calls that end between two restarts.
const SOME: u64 = 60;
/// How long a call that is not done is tried again.
const PATIENCE: Duration = Duration::from_secs(60);

fn spec() -> Spec {
    Spec::nodes(3)
        .workers(2)
        .adapter("busy")
        .pool("queue_timeout_ms", 30_000)
}

struct Callers {
    stop: Arc<AtomicBool>,
    ended: Arc<AtomicU64>,
    callers: JoinSet<Vec<String>>,
}

impl Callers {
    fn begin(cluster: &Cluster, tool: &'static str, path: PathBuf) -> Self {
        let (stop, ended) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let mut callers = JoinSet::new();
        for caller in 0..9 {
            let client = cluster.client_from(1 + caller % 3, ClientOptions::default());
            let (stop, ended, path) = (stop.clone(), ended.clone(), path.clone());
            callers.spawn(async move {
                let mut lines = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let line = format!("{caller}-{}", lines.len());
                    as_told(&client, tool, &path, &line).await;
                    lines.push(line);
                    ended.fetch_add(1, Ordering::Relaxed);
                }
                lines
            });
        }
        Self {
            stop,
            ended,
            callers,
        }
    }

    async fn progress(&self) {
        let wanted = self.ended.load(Ordering::Relaxed) + SOME;
        within(PATIENCE, "calls end", || async {
            let now = self.ended.load(Ordering::Relaxed);
            if now >= wanted {
                Ok(())
            } else {
                Err(format!("{now} of {wanted}"))
            }
        })
        .await;
    }

    async fn end(mut self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        let mut lines = Vec::new();
        while let Some(of_one) = self.callers.join_next().await {
            lines.extend(of_one.expect("no call fails"));
        }
        lines
    }
}

/// Call, and again only where that is told to be safe.
async fn as_told(client: &Client, tool: &str, path: &Path, line: &str) {
    let began = Instant::now();
    loop {
        let append = CallRequest {
            idempotent: tool == "append_again",
            ..call(tool, json!({"path": path, "line": line, "ms": 15}))
        };
        match client.call_tool(append).await {
            Ok(answer) => {
                assert!(answer.value.outcome.is_ok(), "{answer:?}");
                return;
            }
            Err(error) if not_done(&error) && began.elapsed() < PATIENCE => {
                println!("{line}: not done: {error}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => panic!("{line}: {error:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idempotent_calls_go_on_while_each_node_is_restarted() {
    let mut cluster = Cluster::start(spec()).await;
    let lines = Lines::default();
    let callers = Callers::begin(&cluster, "append_again", lines.path());
    for id in cluster.ids() {
        callers.progress().await;
        let status = cluster.node(id).stop();
        assert!(status.success(), "node {id}: {status}");
        callers.progress().await;
        cluster.restart(&[id]).await;
    }
    callers.progress().await;
    let told = callers.end().await;
    let counted = lines.counted();
    assert!(told.iter().all(|line| counted.contains_key(line)));
    cluster.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_run_once_go_on_while_each_node_is_restarted() {
    let mut cluster = Cluster::start(spec()).await;
    let lines = Lines::default();
    let callers = Callers::begin(&cluster, "append", lines.path());
    for id in cluster.ids() {
        callers.progress().await;
        let status = cluster.node(id).stop();
        assert!(status.success(), "node {id}: {status}");
        callers.progress().await;
        cluster.restart(&[id]).await;
    }
    callers.progress().await;
    let told = callers.end().await;
    let counted = lines.counted();
    assert_eq!(counted.len(), told.len());
    assert!(
        counted.values().all(|times| *times == 1),
        "a call ran twice"
    );
    cluster.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_lets_its_calls_end() {
    let mut cluster = Cluster::start(spec()).await;
    let lines = Lines::default();
    let (client, path) = (cluster.at(1), lines.path());
    let held = tokio::spawn(async move {
        done(
            &client,
            call("append", json!({"path": path, "line": "held", "ms": 2_000})),
        )
        .await
    });
    lines.wait_for("held").await;
    let status = tokio::task::block_in_place(|| cluster.node(1).stop());
    assert!(status.success(), "{status}");
    held.await.unwrap();
    assert_eq!(lines.all(), ["held"]);
}
