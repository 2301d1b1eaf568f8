//! Which worker a session's calls go to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use snakepit_client::{CallAnswer, CallRequest, ClientError, Worker};
use snakepit_cluster_tests::tools::{
    Lines, call, definition, done, in_pool, in_session, on_the_wire,
};
use snakepit_cluster_tests::{Cluster, Spec, audit, eventually, processes, raw};
use snakepit_machine::Payload;
use snakepit_proto::headers;
use tonic::Code;

const POOL: &str = "bound";

/// Three nodes with a pool of one worker each, with this affinity.
async fn start(affinity: &str) -> Cluster {
    let cluster = Cluster::start(Spec::nodes(3)).await;
    let settings = json!({"affinity": affinity, "queue_timeout_ms": 20_000, "breaker_failures": 0});
    cluster
        .put_pool(POOL, &definition("busy", 1, settings), &cluster.ids())
        .await;
    for id in cluster.ids() {
        eventually("a node knows the workers of all", || async {
            let tools = cluster
                .at(id)
                .list_tools()
                .await
                .map_err(|error| error.to_string())?;
            match tools.value.iter().find(|tool| tool.spec.name == "pid") {
                Some(tool) if tool.nodes == cluster.ids() => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }
    cluster
}

fn pid(session: &str) -> CallRequest {
    in_pool(in_session(call("pid", json!({})), session), POOL)
}

/// The same calls as they are on the wire: what the client would try again is to be seen.
async fn told(
    cluster: &Cluster,
    id: u64,
    call: &CallRequest,
) -> Result<snakepit_proto::bridge::ExecuteToolResponse, tonic::Status> {
    let answer = cluster
        .bridge(id)
        .await
        .execute_tool(on_the_wire(call))
        .await;
    answer.map(tonic::Response::into_inner)
}

async fn all_workers(cluster: &Cluster) -> BTreeMap<String, Worker> {
    let mut workers = BTreeMap::new();
    for id in cluster.ids() {
        let of_node = cluster.workers_of(id, POOL).await.unwrap();
        workers.extend(
            of_node
                .into_iter()
                .map(|worker| (worker.id.clone(), worker)),
        );
    }
    workers
}

/// What happened to a session's binding, in order.
async fn bindings(cluster: &Cluster, session: &str) -> Vec<(&'static str, String)> {
    let events = audit::session_events(&cluster.client(), session).await;
    let binding = |payload: &Payload| match payload {
        Payload::WorkerBound { pool, worker, .. } if pool == POOL => {
            Some(("bound", worker.clone()))
        }
        Payload::WorkerUnbound { pool, worker, .. } if pool == POOL => {
            Some(("unbound", worker.clone()))
        }
        _ => None,
    };
    events
        .iter()
        .filter_map(|event| binding(&event.payload))
        .collect()
}

/// Hold a session's worker; it does so when this returns.
async fn hold(
    cluster: &Cluster,
    id: u64,
    session: &str,
    ms: u64,
    lines: &Lines,
) -> tokio::task::JoinHandle<Result<CallAnswer, ClientError>> {
    let append = call(
        "append",
        json!({"path": lines.path(), "line": session, "ms": ms}),
    );
    let append = in_pool(in_session(append, session), POOL);
    let client = cluster.at(id);
    let held = tokio::spawn(async move { Ok(client.call_tool(append).await?.value) });
    lines.wait_for(session).await;
    held
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hint_sends_a_sessions_calls_to_one_worker_from_all_nodes() {
    let cluster = start("hint").await;
    let mut favourites = BTreeSet::new();
    for number in 0..8 {
        let session = format!("s{number}");
        cluster.session(&session).await;
        let mut seen = BTreeSet::new();
        // Calls of one session, each after the other: none finds its worker with a call, whoever saw it so last.
        for round in 0..4 {
            for id in cluster.ids() {
                seen.insert(done(&cluster.at(id), pid(&session)).await.worker_id);
            }
            assert_eq!(seen.len(), 1, "{session}, round {round}: {seen:?}");
        }
        favourites.append(&mut seen);
    }
    assert!(favourites.len() > 1, "all sessions went to {favourites:?}");
    assert!(
        bindings(&cluster, "s0").await.is_empty(),
        "a hint binds nothing"
    );

    // It is no more than a hint: while that worker has a call, others run what comes, also where a node has
    // last seen it without one.
    for from in cluster.ids() {
        let lines = Lines::default();
        let held = hold(&cluster, from, "s0", 4_000, &lines).await;
        for id in cluster.ids() {
            let answer = done(&cluster.at(id), pid("s0")).await;
            assert!(answer.attempts == 1, "{answer:?}");
        }
        assert!(!held.is_finished(), "it was not waited for");
        held.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_waits_goes_where_a_worker_has_become_free() {
    let cluster = start("hint").await;
    let lines = Lines::default();
    let hold = |id: u64, ms: u64| {
        let line = format!("held on {id}");
        let append = json!({"path": lines.path(), "line": line, "ms": ms});
        let (client, call) = (cluster.at(id), in_pool(call("append", append), POOL));
        let held =
            tokio::spawn(async move { Ok::<_, ClientError>(client.call_tool(call).await?.value) });
        (held, line)
    };
    // Each takes the worker of its own node while that is free.
    let (long, line) = hold(1, 15_000);
    lines.wait_for(&line).await;
    let (short, line) = hold(2, 4_000);
    lines.wait_for(&line).await;
    let (other, line) = hold(3, 15_000);
    lines.wait_for(&line).await;
    // Long enough for all nodes to have seen that nobody has room.
    tokio::time::sleep(Duration::from_millis(600)).await;
    let waiting = [1, 3].map(|id| {
        let client = cluster.at(id);
        tokio::spawn(async move { done(&client, in_pool(call("pid", json!({})), POOL)).await })
    });
    for call in waiting {
        let answer = call.await.unwrap();
        assert_eq!((answer.node_id, answer.attempts), (2, 1), "{answer:?}");
    }
    assert!(short.await.unwrap().is_ok());
    assert!(
        !long.is_finished() && !other.is_finished(),
        "they were waited for"
    );
    long.await.unwrap().unwrap();
    other.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_is_waited_in_for_the_bound_worker() {
    let cluster = start("strict_queue").await;
    cluster.session("s").await;
    let first = done(&cluster.at(1), pid("s")).await.worker_id;
    assert_eq!(bindings(&cluster, "s").await, [("bound", first.clone())]);
    let lines = Lines::default();
    let held = hold(&cluster, 2, "s", 2_000, &lines).await;
    let waiting: Vec<_> = (0..6)
        .map(|number| {
            let client = cluster.at(1 + number % 3);
            tokio::spawn(async move { done(&client, pid("s")).await.worker_id })
        })
        .collect();
    // Two others are free all the while.
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(!held.is_finished() && waiting.iter().all(|call| !call.is_finished()));
    assert_eq!(held.await.unwrap().unwrap().worker_id, first);
    for call in waiting {
        assert_eq!(call.await.unwrap(), first);
    }
    assert_eq!(bindings(&cluster, "s").await.len(), 1, "it is bound once");
}

/// Kill the worker of a session; whoever calls next is told once, and then there is another one.
async fn lost_once(cluster: &Cluster, session: &str, asked: u64) {
    let before = done(&cluster.at(asked), pid(session)).await.worker_id;
    let lines = Lines::default();
    let held = hold(cluster, asked, session, 60_000, &lines).await;
    let worker = all_workers(cluster)
        .await
        .remove(&before)
        .expect("it is bound to one of them");
    assert!(processes::signal(worker.pid, Signal::KILL));
    let lost = held.await.unwrap().unwrap_err();
    assert!(lost.maybe_done(), "{lost:?}");

    let refused = told(cluster, asked, &pid(session)).await;
    let refused = raw::refused(refused, Code::FailedPrecondition, &before);
    assert_eq!(raw::said(&refused, headers::ERROR_KIND), "worker_lost");
    let mut after = BTreeSet::new();
    for id in cluster.ids() {
        // Another one; which may just be starting.
        let answer = eventually("it is bound to another one", || async {
            match told(cluster, id, &pid(session)).await {
                Ok(answer) => Ok(answer),
                Err(status) if status.code() == Code::FailedPrecondition => panic!("{status:?}"),
                Err(status) => Err(status.to_string()),
            }
        })
        .await;
        after.insert(answer.worker_id);
    }
    assert_eq!(after.len(), 1, "{after:?}");
    let after = after.pop_first().unwrap();
    assert_ne!(after, before);
    let told = bindings(cluster, session).await;
    let bound = ("bound", before.clone());
    let at = told
        .iter()
        .rposition(|it| *it == bound)
        .expect("it was bound");
    let [unbound, tried @ .., last] = &told[at + 1..] else {
        panic!("{told:?}")
    };
    assert_eq!(*unbound, ("unbound", before), "{told:?}");
    assert_eq!(*last, ("bound", after), "{told:?}");
    // What a node knows of the others' workers is a quarter of a second old: it may have tried one that had died
    // before, and let go of it.
    for pair in tried.chunks(2) {
        assert!(
            matches!(pair, [("bound", tried), ("unbound", gone)] if tried == gone),
            "{told:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_worker_refuses_and_a_dead_one_is_told_of_once() {
    let cluster = start("strict_fail_fast").await;
    cluster.session("s").await;
    let first = done(&cluster.at(3), pid("s")).await.worker_id;
    let lines = Lines::default();
    let held = hold(&cluster, 1, "s", 3_000, &lines).await;
    for id in cluster.ids() {
        let refused = told(&cluster, id, &pid("s")).await;
        let refused = raw::refused(refused, Code::ResourceExhausted, "is busy");
        assert_eq!(
            raw::said(&refused, headers::ERROR_KIND),
            "exhausted",
            "node {id}"
        );
    }
    // Only that session is concerned.
    cluster.session("other").await;
    eventually("another session has another worker", || async {
        let answer = told(&cluster, 1, &in_pool(call("pid", json!({})), POOL)).await;
        answer.map(drop).map_err(|status| status.to_string())
    })
    .await;
    assert!(!held.is_finished(), "the machine is too slow for this test");
    assert_eq!(held.await.unwrap().unwrap().worker_id, first);
    for id in cluster.ids() {
        assert_eq!(done(&cluster.at(id), pid("s")).await.worker_id, first);
    }
    for asked in cluster.ids() {
        lost_once(&cluster, "s", asked).await;
    }
    cluster.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bound_worker_that_dies_with_its_node_is_told_of() {
    let mut cluster = start("strict_queue").await;
    // As many sessions as it takes to have one on node 3.
    let mut session = String::new();
    for number in 0..64 {
        session = format!("s{number}");
        cluster.session(&session).await;
        if done(&cluster.at(1), pid(&session)).await.node_id == 3 {
            break;
        }
        session.clear();
    }
    assert!(!session.is_empty(), "no session is bound to node 3");
    let before = done(&cluster.at(2), pid(&session)).await.worker_id;
    cluster.kill(&[3]);
    let told_of = eventually("the loss is told", || async {
        match told(&cluster, 1, &pid(&session)).await {
            Err(status) if status.code() == Code::FailedPrecondition => Ok(status),
            // Until it is seen that the node is gone, and while another leads.
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert_eq!(raw::said(&told_of, headers::ERROR_KIND), "worker_lost");
    let after = eventually("it is bound to another one", || async {
        told(&cluster, 2, &pid(&session))
            .await
            .map_err(|status| status.to_string())
    })
    .await;
    assert_ne!(after.worker_id, before);
}
