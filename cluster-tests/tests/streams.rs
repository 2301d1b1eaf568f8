//! Streams of chunks, and what becomes of them.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use rustix::process::Signal;
use serde_json::{Value as Json, json};
use snakepit_client::{
    CallRequest, Chunk, ChunkStream, ClientError, ClientOptions, StreamPosition,
};
use snakepit_cluster_tests::tools::{Lines, call, definition, done, in_pool};
use snakepit_cluster_tests::{Cluster, Spec, eventually, processes};
use snakepit_machine::Payload;

/// A pool of each journal on some of three nodes.
async fn start(journals: &[&str], on: &[u64]) -> Cluster {
    let mut spec = Spec::nodes(3);
    for id in on {
        spec = spec.set_on(*id, "node.labels.runs", "\"yes\"");
    }
    let cluster = Cluster::start(spec).await;
    for journal in journals {
        let settings = json!({
            "journal": journal, "placement": {"runs": "yes"}, "breaker_failures": 0, "cancel_grace_ms": 2_000,
        });
        cluster
            .put_pool(journal, &definition("busy", 2, settings), on)
            .await;
    }
    for id in cluster.ids() {
        for journal in journals {
            cluster
                .heard_of(id, &in_pool(call("echo", json!({})), journal))
                .await;
        }
    }
    cluster
}

fn count(tool: &str, pool: &str, path: PathBuf, own: Json) -> CallRequest {
    let mut count = in_pool(call(tool, own), pool);
    count.parameters.insert("path".into(), json!(path));
    count
}

/// All that a stream gives: its chunks, which must be in order and whole, and its error.
async fn drain(mut stream: ChunkStream, from: u64) -> (Vec<Chunk>, Option<ClientError>) {
    let mut chunks: Vec<Chunk> = Vec::new();
    while let Some(item) = stream.next().await {
        match item {
            Ok(chunk) => {
                let number = from + chunks.len() as u64;
                assert_eq!(chunk.number, number, "{chunk:?}");
                assert_eq!(chunk.json(), Some(json!({"n": number})), "{chunk:?}");
                chunks.push(chunk);
            }
            Err(error) => return (chunks, Some(error)),
        }
    }
    (chunks, None)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_come_in_order_and_as_they_are_made() {
    let cluster = start(&["off", "outcome", "full"], &[1, 2]).await;
    for journal in ["off", "outcome", "full"] {
        for id in cluster.ids() {
            // Many and quick, more than there are credits.
            let lines = Lines::default();
            let many = count("count", journal, lines.path(), json!({"count": 300}));
            let (chunks, error) = drain(cluster.at(id).call_stream(many), 0).await;
            assert_eq!(
                (chunks.len(), error),
                (300, None),
                "{journal} from node {id}"
            );
            assert!(chunks[299].is_final && !chunks[298].is_final);
            assert!(
                chunks
                    .iter()
                    .all(|chunk| chunk.call_id == chunks[0].call_id)
            );
            // None at all.
            let none = count("count", journal, lines.path(), json!({"count": 0}));
            let (chunks, error) = drain(cluster.at(id).call_stream(none), 0).await;
            assert_eq!((chunks.len(), error), (0, None), "{journal} from node {id}");
        }
        // The first is here long before the last is made.
        let lines = Lines::default();
        let slow = count(
            "count",
            journal,
            lines.path(),
            json!({"count": 3, "ms": 1_500}),
        );
        let mut stream = cluster.at(3).call_stream(slow);
        let first = stream.next().await.unwrap().unwrap();
        assert_eq!((first.number, lines.count("given 2")), (0, 0), "{journal}");
        let second = stream.next().await.unwrap().unwrap();
        assert_eq!((second.number, lines.count("given 2")), (1, 0), "{journal}");
        let (rest, error) = drain(stream, 2).await;
        assert_eq!((rest.len(), error), (1, None));
        lines.wait_for("closed").await;
    }
    cluster.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generator_is_closed_when_its_reader_goes() {
    let cluster = start(&["off", "outcome", "full"], &[1, 2]).await;
    for journal in ["off", "outcome", "full"] {
        // On the node that runs it, and through another one.
        for id in [1, 3] {
            let lines = Lines::default();
            let endless = count(
                "count",
                journal,
                lines.path(),
                json!({"count": 1_000_000, "ms": 20}),
            );
            let mut stream = cluster.at(id).call_stream(endless);
            for number in 0..3 {
                assert_eq!(stream.next().await.unwrap().unwrap().number, number);
            }
            assert_eq!(lines.count("closed"), 0);
            drop(stream);
            lines.wait_for("closed").await;
            let given = lines.all().len();
            assert!(
                lines.all().ends_with(&["closed".to_owned()]),
                "{given} lines"
            );
        }
    }
    for id in [1, 2] {
        let pool = cluster
            .pool_when(id, "full", "no call is left", |pool| {
                pool.running == 0 && pool.ready == 2
            })
            .await;
        assert_eq!(
            pool.restarts, 0,
            "no worker had to be killed for it: {pool:?}"
        );
    }
    let events = cluster.verify().await;
    let outcomes: Vec<_> = events
        .iter()
        .flat_map(|event| match &event.payload {
            Payload::CallEnded { outcome, tool, .. } if tool == "count" => vec![outcome.as_str()],
            Payload::CallsRecorded { calls } => {
                let counts = calls.iter().filter(|call| call.tool == "count");
                counts.map(|call| call.outcome.as_str()).collect()
            }
            _ => Vec::new(),
        })
        .collect();
    assert_eq!(outcomes, ["cancelled"; 4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_in_the_middle_is_an_error() {
    let cluster = start(&["off", "outcome", "full"], &[1, 2]).await;
    for journal in ["off", "outcome", "full"] {
        for (id, tool) in [
            (1, "count"),
            (3, "count"),
            (1, "count_again"),
            (3, "count_again"),
        ] {
            let lines = Lines::default();
            let own = json!({"count": 10, "fail_at": 4});
            let failing = count(tool, journal, lines.path(), own);
            let (chunks, error) = drain(cluster.at(id).call_stream(failing), 0).await;
            assert_eq!(
                chunks.len(),
                4,
                "{journal}, {tool} from node {id}: {error:?}"
            );
            let error = error.expect("the stream does not end well");
            assert_eq!(error.kind(), "tool", "{error:?}");
            assert!(
                error.message().contains("ValueError: as asked"),
                "{error:?}"
            );
            lines.wait_for("closed").await;
            assert_eq!(
                lines.count("closed"),
                1,
                "it ran once: {journal}, {tool} from node {id}"
            );
        }
        let unknown = in_pool(call("no_such_tool", json!({})), journal);
        let (_, error) = drain(cluster.at(3).call_stream(unknown), 0).await;
        assert_eq!(error.unwrap().kind(), "not_found");
    }
}

/// The node whose worker has the only call of a pool.
async fn runs_on(cluster: &Cluster, pool: &str) -> u64 {
    eventually("a node runs the call", || async {
        for id in cluster.up() {
            let workers = cluster.workers_of(id, pool).await?;
            if workers.iter().any(|worker| worker.running > 0) {
                return Ok(id);
            }
        }
        Err("none does".to_owned())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_goes_on_after_the_node_that_ran_it_was_killed() {
    // The one that was asked runs it, or another one does.
    for asked in [2, 1] {
        let mut cluster = start(&["full"], &[2, 3]).await;
        let lines = Lines::default();
        let own = json!({"count": 60, "ms": 50});
        let again = count("count_again", "full", lines.path(), own);
        let client = cluster.client_from(asked, ClientOptions::default());
        let mut stream = client.call_stream(again);
        let mut given = 0;
        while given < 10 {
            let chunk = stream.next().await.unwrap().unwrap();
            assert_eq!(
                (chunk.number, chunk.json()),
                (given, Some(json!({"n": given})))
            );
            given += 1;
        }
        let ran = runs_on(&cluster, "full").await;
        cluster.kill(&[ran]);
        let (rest, error) = drain(stream, given).await;
        assert_eq!(
            (given as usize + rest.len(), error),
            (60, None),
            "asked {asked}, ran on {ran}"
        );
        assert!(rest.last().unwrap().is_final);
        // It was begun again, perhaps more than once: the new leader may not have been there at once.
        assert!(lines.count("given 0") >= 2);
        lines.wait_for("closed").await;
        cluster.restart(&[ran]).await;
        cluster.verify().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_goes_on_after_its_worker_was_killed() {
    let cluster = start(&["full"], &[1, 2]).await;
    let lines = Lines::default();
    let again = count(
        "count_again",
        "full",
        lines.path(),
        json!({"count": 40, "ms": 50}),
    );
    let mut stream = cluster.client().call_stream(again);
    for number in 0..5 {
        assert_eq!(stream.next().await.unwrap().unwrap().number, number);
    }
    let ran = runs_on(&cluster, "full").await;
    let workers = cluster.workers_of(ran, "full").await.unwrap();
    let busy = workers
        .iter()
        .find(|worker| worker.running > 0)
        .expect("one has the call");
    assert!(processes::signal(busy.pid, Signal::KILL));
    let (rest, error) = drain(stream, 5).await;
    assert_eq!((rest.len(), error), (35, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_runs_once_is_maybe_done_after_a_kill() {
    for journal in ["full", "outcome"] {
        let mut cluster = start(&[journal], &[2, 3]).await;
        let lines = Lines::default();
        let once = count(
            "count",
            journal,
            lines.path(),
            json!({"count": 100, "ms": 50}),
        );
        let mut stream = cluster.client().call_stream(once);
        for number in 0..5 {
            assert_eq!(stream.next().await.unwrap().unwrap().number, number);
        }
        let ran = runs_on(&cluster, journal).await;
        cluster.kill(&[ran]);
        let (rest, error) = drain(stream, 5).await;
        let error = error.expect("it does not end well");
        assert!(error.maybe_done(), "{journal}: {error:?}");
        assert!(rest.len() < 95);
        assert_eq!(
            lines.count("given 0"),
            1,
            "{journal}: it is not begun again"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_read_again_from_any_chunk_on_any_node() {
    let cluster = start(&["full", "off"], &[1, 2]).await;
    let lines = Lines::default();
    let again = count("count", "full", lines.path(), json!({"count": 50}));
    let (chunks, error) = drain(cluster.at(1).call_stream(again.clone()), 0).await;
    assert_eq!((chunks.len(), error), (50, None));
    for (id, from) in [(1, 0), (2, 17), (3, 49), (3, 50)] {
        let resumed = CallRequest {
            resume: Some(StreamPosition {
                call_id: chunks[0].call_id.clone(),
                number: from,
            }),
            ..again.clone()
        };
        let (rest, error) = drain(cluster.at(id).call_stream(resumed), from).await;
        assert_eq!(
            (from + rest.len() as u64, error),
            (50, None),
            "node {id} from {from}"
        );
    }
    assert_eq!(
        lines.count("given 0"),
        1,
        "what the log has is not run again"
    );

    // While it runs, from another node.
    let slow = count(
        "count",
        "full",
        lines.path(),
        json!({"count": 20, "ms": 100}),
    );
    let mut stream = cluster.at(1).call_stream(slow.clone());
    let first = stream.next().await.unwrap().unwrap();
    let resumed = CallRequest {
        resume: Some(StreamPosition {
            call_id: first.call_id.clone(),
            number: 0,
        }),
        ..slow
    };
    let both = tokio::join!(
        drain(stream, 1),
        drain(cluster.at(2).call_stream(resumed), 0)
    );
    assert_eq!((both.0.0.len(), both.0.1), (19, None));
    assert_eq!((both.1.0.len(), both.1.1), (20, None));

    // What the log does not have, cannot be gone on with.
    let plain = count("count", "off", lines.path(), json!({"count": 5}));
    let (chunks, _) = drain(cluster.at(1).call_stream(plain.clone()), 0).await;
    let resumed = CallRequest {
        resume: Some(StreamPosition {
            call_id: chunks[0].call_id.clone(),
            number: 2,
        }),
        ..plain
    };
    let (_, error) = drain(cluster.at(1).call_stream(resumed), 2).await;
    assert_eq!(error.unwrap().kind(), "invalid");
    done(&cluster.at(1), in_pool(call("echo", json!({})), "off")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_holds_the_tool_up_and_nobody_else() {
    let cluster = start(&["off"], &[1]).await;
    let lines = Lines::default();
    let many = CallRequest {
        deadline: Some(Duration::from_secs(300)),
        ..count("count", "off", lines.path(), json!({"count": 20_000}))
    };
    let mut stream = cluster.at(1).call_stream(many);
    stream.next().await.unwrap().unwrap();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(1) {
        done(&cluster.at(1), in_pool(call("echo", json!({})), "off")).await;
    }
    let ahead = lines.all().len();
    assert!(ahead < 20_000, "all of it was made for nobody");
    let (rest, error) = drain(stream, 1).await;
    assert_eq!((rest.len(), error), (19_999, None));
}
