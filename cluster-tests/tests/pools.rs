//! Pools that come, change and go while nodes run.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use snakepit_client::Worker;
use snakepit_cluster_tests::tools::{Lines, call, definition, done, in_pool};
use snakepit_cluster_tests::{Cluster, Spec, eventually, processes};
use snakepit_machine::Payload;

const POOL: &str = "made";

fn ids(workers: &[Worker]) -> BTreeSet<String> {
    workers.iter().map(|worker| worker.id.clone()).collect()
}

fn serving(workers: &[Worker]) -> bool {
    workers
        .iter()
        .all(|worker| ["ready", "busy"].contains(&worker.state.as_str()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_is_on_all_nodes_and_outlives_them() {
    let mut cluster = Cluster::start(Spec::nodes(3)).await;
    let settings = definition("busy", 1, json!({"labels": {"team": "a"}}));
    let made = cluster
        .at(2)
        .put_pool(POOL, &settings, 0, true)
        .await
        .unwrap();
    assert_eq!(made.value, 1);
    for id in cluster.ids() {
        let pool = cluster
            .pool_when(id, POOL, "the pool is ready", |pool| pool.ready == 1)
            .await;
        assert_eq!(
            (pool.origin.as_str(), pool.version, pool.placed),
            ("cluster", 1, true)
        );
        assert_eq!(
            pool.definition_json,
            cluster.pool(1, POOL).await.unwrap().definition_json
        );
        let answer = done(&cluster.at(id), in_pool(call("pid", json!({})), POOL)).await;
        assert_eq!((answer.node_id, answer.pool.as_str()), (id, POOL));
    }
    let client = cluster.client();
    let again = client.put_pool(POOL, &settings, 0, true).await.unwrap_err();
    assert_eq!(again.kind(), "already_exists", "{again:?}");
    let late = client
        .put_pool(POOL, &settings, 7, false)
        .await
        .unwrap_err();
    assert_eq!(late.kind(), "conflict", "{late:?}");

    let all = cluster.ids();
    cluster.kill(&all);
    cluster.restart(&all).await;
    for id in cluster.ids() {
        let pool = cluster
            .pool_when(id, POOL, "the pool is ready again", |pool| pool.ready == 1)
            .await;
        assert_eq!((pool.origin.as_str(), pool.version), ("cluster", 1));
        done(&cluster.at(id), in_pool(call("echo", json!({})), POOL)).await;
    }
    let events = cluster.verify().await;
    let put = events
        .iter()
        .filter(|event| matches!(event.payload, Payload::PoolPut { .. }));
    assert_eq!(put.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_replaces_workers_while_the_pool_serves() {
    const SIZE: u32 = 2;
    let cluster = Cluster::start(Spec::nodes(3)).await;
    let all = cluster.ids();
    let settings = |mark: &str| {
        definition(
            "busy",
            SIZE as usize,
            json!({"env": {"MARK": mark}, "queue_timeout_ms": 60_000}),
        )
    };
    cluster.put_pool(POOL, &settings("one"), &all).await;
    let mark = in_pool(call("variable", json!({"name": "MARK"})), POOL);
    let mut before = Vec::new();
    for id in &all {
        assert_eq!(
            done(&cluster.at(*id), mark.clone()).await.outcome,
            Ok(json!("one"))
        );
        before.push(cluster.workers_of(*id, POOL).await.unwrap());
    }

    // Calls go on, and no node ever has fewer workers than it shall have.
    let stop = Arc::new(AtomicBool::new(false));
    let watchers: Vec<_> = all
        .iter()
        .map(|id| {
            let (client, stop, mark) = (cluster.at(*id), stop.clone(), mark.clone());
            tokio::spawn(async move {
                let mut fewest = u32::MAX;
                while !stop.load(Ordering::Relaxed) {
                    done(&client, mark.clone()).await;
                    let pools = client.list_pools().await.unwrap().value;
                    let pool = pools.iter().find(|pool| pool.name == POOL).unwrap();
                    fewest = fewest.min(pool.ready);
                }
                fewest
            })
        })
        .collect();
    let version = cluster
        .client()
        .put_pool(POOL, &settings("two"), 1, false)
        .await
        .unwrap()
        .value;
    assert_eq!(version, 2);
    for (id, before) in all.iter().zip(&before) {
        let after = cluster
            .workers_when(*id, POOL, "all workers are new", |workers| {
                ids(workers).is_disjoint(&ids(before)) && serving(workers)
            })
            .await;
        assert_eq!(after.len(), SIZE as usize);
        assert!(
            after
                .iter()
                .all(|worker| worker.generation > before[0].generation),
            "{after:?}"
        );
        let told = done(&cluster.at(*id), mark.clone()).await;
        assert_eq!(told.outcome, Ok(json!("two")));
    }
    stop.store(true, Ordering::Relaxed);
    for watcher in watchers {
        let fewest = watcher.await.unwrap();
        assert!(fewest >= SIZE, "only {fewest} were ready at a time");
    }

    // What only the node goes by leaves the workers.
    let kept = cluster.workers_of(1, POOL).await.unwrap();
    let own = json!({"env": {"MARK": "two"}, "queue_timeout_ms": 50_000, "journal": "off"});
    cluster
        .put_pool(POOL, &definition("busy", SIZE as usize, own), &all)
        .await;
    eventually("the node has the new settings", || async {
        let pool = cluster.pool(1, POOL).await?;
        if pool.version == 3 {
            Ok(())
        } else {
            Err(format!("{pool:?}"))
        }
    })
    .await;
    assert_eq!(ids(&cluster.workers_of(1, POOL).await.unwrap()), ids(&kept));

    // Another adapter, other tools; once no worker of the old one is left.
    let mut old = BTreeSet::new();
    for id in &all {
        old.extend(ids(&cluster.workers_of(*id, POOL).await.unwrap()));
    }
    let other = definition("snakepit.demo.showcase", SIZE as usize, json!({}));
    cluster
        .client()
        .put_pool(POOL, &other, 0, false)
        .await
        .unwrap();
    for id in &all {
        cluster
            .pool_when(*id, POOL, "the new tools are there", |pool| {
                let has = |name: &str| pool.tools.iter().any(|tool| tool == name);
                has("add") && !has("variable") && pool.ready >= SIZE && pool.draining == 0
            })
            .await;
        cluster
            .workers_when(*id, POOL, "all workers are new", |workers| {
                ids(workers).is_disjoint(&old) && serving(workers)
            })
            .await;
        let sum = in_pool(call("add", json!({"a": 1, "b": 2})), POOL);
        assert_eq!(done(&cluster.at(*id), sum).await.outcome, Ok(json!(3)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_grows_shrinks_and_goes_without_losing_calls() {
    let cluster = Cluster::start(Spec::nodes(2)).await;
    let all = cluster.ids();
    let resized = |size: usize| definition("busy", size, json!({}));
    cluster.put_pool(POOL, &resized(1), &all).await;
    let first = cluster.workers_of(1, POOL).await.unwrap();
    cluster.put_pool(POOL, &resized(4), &all).await;
    let four = cluster
        .workers_when(1, POOL, "there are four", |workers| {
            workers.len() == 4 && serving(workers)
        })
        .await;
    assert!(
        ids(&four).is_superset(&ids(&first)),
        "growing replaces nobody"
    );

    // All four have a call when three of them are to go.
    let lines = Lines::default();
    let mut held = tokio::task::JoinSet::new();
    for number in 0..8 {
        let client = cluster.at(1 + number % 2);
        let line = number.to_string();
        let append = call(
            "append",
            json!({"path": lines.path(), "line": line, "ms": 2_000}),
        );
        held.spawn(async move { done(&client, in_pool(append, POOL)).await });
    }
    for number in 0..8 {
        lines.wait_for(&number.to_string()).await;
    }
    cluster
        .client()
        .put_pool(POOL, &resized(1), 0, false)
        .await
        .unwrap();
    while let Some(answer) = held.join_next().await {
        answer.unwrap();
    }
    for id in &all {
        let left = cluster
            .workers_when(*id, POOL, "one is left", |workers| {
                workers.len() == 1 && serving(workers)
            })
            .await;
        assert!(
            *id != 1 || ids(&four).is_superset(&ids(&left)),
            "shrinking replaces nobody"
        );
    }
    let gone: Vec<_> = four.iter().map(|worker| worker.pid).collect();
    eventually("their processes are gone", || async {
        let alive: Vec<_> = gone
            .iter()
            .filter(|pid| processes::is_alive(**pid))
            .collect();
        if alive.len() == 1 {
            Ok(())
        } else {
            Err(format!("{alive:?}"))
        }
    })
    .await;

    let last = cluster.workers_of(1, POOL).await.unwrap();
    let (client, path) = (cluster.at(1), lines.path());
    let running = tokio::spawn(async move {
        let append = call("append", json!({"path": path, "line": "last", "ms": 1_500}));
        done(&client, in_pool(append, POOL)).await
    });
    lines.wait_for("last").await;
    assert!(cluster.client().remove_pool(POOL).await.unwrap().value);
    running.await.unwrap();
    for id in &all {
        eventually("the pool is gone", || async {
            match cluster.pool(*id, POOL).await {
                Err(_) if cluster.workers_of(*id, POOL).await?.is_empty() => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }
    eventually("its last process is gone", || async {
        if processes::is_alive(last[0].pid) {
            Err(())
        } else {
            Ok(())
        }
    })
    .await;
    let gone = cluster
        .at(2)
        .call_tool(in_pool(call("echo", json!({})), POOL))
        .await;
    assert_eq!(gone.unwrap_err().kind(), "not_found");
    assert!(!cluster.client().remove_pool(POOL).await.unwrap().value);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_runs_where_its_labels_are() {
    let spec = Spec::nodes(3)
        .set_on(2, "node.labels.zone", "\"south\"")
        .set_on(2, "node.labels.slots", "\"8\"")
        .set_on(3, "node.labels.zone", "\"north\"")
        .set_on(3, "node.labels.slots", "\"2\"");
    let cluster = Cluster::start(spec).await;
    let placed = |placement| definition("busy", 1, json!({"placement": placement}));
    for (placement, on) in [
        (json!({"zone": "south"}), vec![2]),
        (json!({"zone": "*"}), vec![2, 3]),
        (json!({"zone": "*", "slots": ">=4"}), vec![2]),
        (json!({"slots": ">=1.5"}), vec![2, 3]),
        (json!({}), vec![1, 2, 3]),
        (json!({"zone": "south"}), vec![2]),
    ] {
        cluster
            .put_pool(POOL, &placed(placement.clone()), &on)
            .await;
        for id in cluster.ids() {
            let here = on.contains(&id);
            eventually("the pool is where it belongs, and nowhere else", || async {
                let pool = cluster.pool(id, POOL).await?;
                let workers = cluster.workers_of(id, POOL).await?;
                if pool.placed == here && workers.len() == usize::from(here) {
                    Ok(())
                } else {
                    Err(format!("{placement} on {id}: {pool:?} {workers:?}"))
                }
            })
            .await;
        }
    }
    // Whoever is asked, it runs there.
    let echo = in_pool(call("echo", json!({"value": 1})), POOL);
    for id in cluster.ids() {
        let answer = eventually("the node knows where the pool is", || async {
            let told = cluster.at(id).call_tool(echo.clone()).await;
            match told.map_err(|error| error.to_string())?.value {
                answer if answer.node_id == 2 => Ok(answer),
                answer => Err(format!("{answer:?}")),
            }
        })
        .await;
        assert_eq!(answer.outcome, Ok(json!(1)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_pool_is_told_and_changes_nothing() {
    let cluster = Cluster::start(Spec::nodes(1)).await;
    let client = cluster.at(1);
    let good = definition("busy", 1, json!({}));
    cluster.put_pool(POOL, &good, &[1]).await;
    let before = (
        cluster.agree().await,
        ids(&cluster.workers_of(1, POOL).await.unwrap()),
    );
    for (field, settings) in [
        ("sizes", json!({"sizes": 3})),
        ("size", json!({"size": 100_000})),
        ("slots", json!({"slots": 4})),
        ("concurrency", json!({"concurrency": "magic"})),
        ("affinity", json!({"affinity": "strict"})),
        ("journal", json!({"journal": "all"})),
        ("adapter", json!({"adapter": "a..b"})),
        ("adapter", json!({"adapter": ""})),
        ("env", json!({"env": {"SNAKEPIT_WORKER_TOKEN": "x"}})),
        ("env", json!({"env": {"a=b": "x"}})),
        ("queue_timeout_ms", json!({"queue_timeout_ms": 0})),
        (
            "retry_backoff_max_ms",
            json!({"retry_backoff_ms": 100, "retry_backoff_max_ms": 50}),
        ),
        ("breaker_trials", json!({"breaker_trials": 0})),
        ("preload", json!({"preload": true, "start": "spawn"})),
        ("message_bytes_max", json!({"message_bytes_max": 1})),
        ("placement", json!({"placement": {"cpu.cores": ">=many"}})),
        ("placement", json!({"placement": {"a b": "x"}})),
        ("labels", json!({"labels": {"": "x"}})),
        ("labels", json!({"labels": {"a": "x\ny"}})),
    ] {
        let definition = definition("busy", 1, settings);
        let refused = client.put_pool(POOL, &definition, 0, false).await;
        let refused = refused
            .map(|told| told.value)
            .expect_err(&format!("{field}: {definition}"));
        assert_eq!(refused.kind(), "invalid", "{refused:?}");
        assert!(refused.message().contains(field), "{field}: {refused}");
    }
    for (name, definition, words) in [
        ("a b", good.as_str(), "name"),
        ("", good.as_str(), "name"),
        (POOL, "[]", "JSON object"),
        (POOL, "{", "JSON"),
        (POOL, r#"{"name": "other", "adapter": "a"}"#, "other"),
    ] {
        let refused = client
            .put_pool(name, definition, 0, false)
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), "invalid", "{refused:?}");
        assert!(refused.message().contains(words), "{words}: {refused}");
    }
    let after = (
        cluster.agree().await,
        ids(&cluster.workers_of(1, POOL).await.unwrap()),
    );
    assert_eq!(before.1, after.1);
    assert_eq!(
        before.0.chain_head, after.0.chain_head,
        "nothing was logged"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adapter_that_does_not_load_is_told_and_mended() {
    let cluster = Cluster::start(Spec::nodes(1)).await;
    let client = cluster.at(1);
    let own = json!({"backoff_min_ms": 50, "backoff_max_ms": 100});
    let bad = definition("no_such_adapter", 1, own);
    client.put_pool(POOL, &bad, 0, true).await.unwrap();
    let pool = cluster
        .pool_when(1, POOL, "the problem is told", |pool| {
            !pool.problem.is_empty()
        })
        .await;
    assert!(pool.problem.contains("no_such_adapter"), "{}", pool.problem);
    assert_eq!(pool.ready, 0);
    client
        .put_pool(POOL, &definition("busy", 1, json!({})), 0, false)
        .await
        .unwrap();
    // A worker is ready with its hello, and its place hears of that a moment later.
    cluster
        .pool_when(1, POOL, "the mended pool is ready", |pool| {
            pool.ready == 1 && pool.problem.is_empty()
        })
        .await;
    done(&client, in_pool(call("echo", json!({})), POOL)).await;
}
