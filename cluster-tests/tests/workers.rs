//! Workers: calls from anywhere, state through calls, and death.

use std::collections::BTreeMap;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value as Json, json};
use snakepit_client::{
    Answer, CallAnswer, CallRequest, Client, ClientError, ClientOptions, Worker,
};
use snakepit_cluster_tests::cluster::GONE;
use snakepit_cluster_tests::{Cluster, Spec, audit, eventually, processes, raw};
use snakepit_machine::Payload;
use snakepit_proto::bridge::ExecuteToolRequest;
use snakepit_proto::headers;
use tonic::Code;

/// Longer than any test.
const LONG_MS: f64 = 120_000.0;

fn call(tool: &str, parameters: &[(&str, Json)]) -> CallRequest {
    let parameters = parameters
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()));
    CallRequest {
        tool: tool.into(),
        parameters: parameters.collect(),
        ..CallRequest::default()
    }
}

/// A call that holds its worker until that dies.
fn hold(
    client: Client,
    tool: &'static str,
) -> tokio::task::JoinHandle<Result<Answer<CallAnswer>, ClientError>> {
    let parameters = if tool == "hold" {
        vec![("ms", json!(LONG_MS))]
    } else {
        Vec::new()
    };
    tokio::spawn(async move {
        let request = CallRequest {
            deadline: Some(Duration::from_secs(90)),
            ..call(tool, &parameters)
        };
        client.call_tool(request).await
    })
}

/// The node's workers, once they are what is wanted.
async fn workers(
    cluster: &Cluster,
    id: u64,
    what: &str,
    fit: impl Fn(&[Worker]) -> bool,
) -> Vec<Worker> {
    eventually(what, || async {
        let workers = cluster
            .at(id)
            .list_workers()
            .await
            .map_err(|error| error.to_string())?
            .value;
        if fit(&workers) {
            Ok(workers)
        } else {
            Err(format!("{workers:?}"))
        }
    })
    .await
}

async fn busy_worker(cluster: &Cluster, id: u64) -> Worker {
    let busy = |workers: &[Worker]| workers.iter().any(|worker| worker.running > 0);
    let workers = workers(cluster, id, "a worker is busy", busy).await;
    workers
        .into_iter()
        .find(|worker| worker.running > 0)
        .expect("it is there")
}

#[tokio::test]
async fn tools_are_called_from_every_node() {
    let cluster = Cluster::start(Spec::nodes(3).workers(1)).await;
    let mut pids = BTreeMap::new();
    for id in cluster.ids() {
        let node = cluster.at(id);
        let sum = node
            .call_tool(call("add", &[("a", json!(1)), ("b", json!(id))]))
            .await
            .unwrap()
            .value;
        assert_eq!(sum.outcome, Ok(json!(1 + id)));
        let answer = node.call_tool(call("pid", &[])).await.unwrap().value;
        let workers = cluster
            .at(answer.node_id)
            .list_workers()
            .await
            .unwrap()
            .value;
        assert_eq!(workers.len(), 1);
        assert_eq!(workers[0].id, answer.worker_id);
        assert_eq!(answer.outcome, Ok(json!(workers[0].pid)));
        pids.insert(id, answer.node_id);
        let failed = node
            .call_tool(call("fail", &[("message", json!("no"))]))
            .await
            .unwrap()
            .value;
        let error = failed.outcome.unwrap_err();
        assert_eq!(
            (error.type_name.as_str(), error.message.as_str()),
            ("ValueError", "no")
        );
        assert_eq!(
            node.call_tool(call("no_such_tool", &[]))
                .await
                .unwrap_err()
                .kind(),
            "not_found"
        );
        // A node hears of the others' tools a little later than of its own.
        eventually("all offer it", || async {
            let tools = node
                .list_tools()
                .await
                .map_err(|error| error.to_string())?
                .value;
            match tools.iter().find(|tool| tool.spec.name == "add") {
                Some(add) if add.nodes == cluster.ids() => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }
    // With a free worker of its own, a node runs its calls itself.
    assert!(pids.iter().all(|(asked, ran)| asked == ran), "{pids:?}");
}

#[tokio::test]
async fn what_a_tool_writes_is_in_the_session_with_its_cause() {
    let cluster = Cluster::start(Spec::nodes(3).workers(1)).await;
    let options = ClientOptions {
        principal: "alice".into(),
        ..ClientOptions::default()
    };
    for id in cluster.ids() {
        let client = cluster.client_from(id, options.clone());
        let session = format!("s{id}");
        client
            .create_session(&session, None, BTreeMap::new())
            .await
            .unwrap();
        let set = call("set_variable", &[("name", json!("x")), ("value", json!(5))]);
        let answer = client
            .call_tool(CallRequest {
                session: session.clone(),
                ..set
            })
            .await
            .unwrap()
            .value;
        assert_eq!(answer.outcome, Ok(json!(1)));
        for other in cluster.ids() {
            let x = cluster
                .at(other)
                .get_variable(&session, "x")
                .await
                .unwrap()
                .value;
            assert_eq!(x.value, json!(5));
        }
        let events = audit::session_events(&cluster.at(id), &session).await;
        let made = events
            .iter()
            .find(|event| matches!(event.payload, Payload::VariableRegistered { .. }));
        let made = made.expect("the variable's event");
        assert_eq!(made.cause.tool, "set_variable");
        assert_eq!(made.cause.call_id, answer.call_id);
        assert_eq!(made.cause.worker, answer.worker_id);
        assert_eq!(made.cause.node, answer.node_id);
        assert_eq!(made.principal.name, "alice");
        assert!(!made.principal.verified);
    }
    cluster.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn increments_by_tools_are_neither_lost_nor_doubled() {
    let cluster = Cluster::start(Spec::nodes(3).workers(1)).await;
    let client = cluster.client();
    client
        .create_session("s", None, BTreeMap::new())
        .await
        .unwrap();
    let zero = call("set_variable", &[("name", json!("n")), ("value", json!(0))]);
    client
        .call_tool(CallRequest {
            session: "s".into(),
            ..zero
        })
        .await
        .unwrap();
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..30 {
        let client = cluster.client_from(1 + number % 3, ClientOptions::default());
        let add = CallRequest {
            session: "s".into(),
            ..call("increment", &[("name", json!("n"))])
        };
        calls.spawn(async move { client.call_tool(add).await });
    }
    while let Some(called) = calls.join_next().await {
        called.unwrap().unwrap().value.outcome.unwrap();
    }
    assert_eq!(
        client.get_variable("s", "n").await.unwrap().value.value,
        json!(30)
    );
    cluster.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_is_killed_while_it_has_a_call() {
    let cluster = Cluster::start(Spec::nodes(1).workers(1).adapter("stubborn")).await;
    let client = cluster.at(1);
    client
        .create_session("s", None, BTreeMap::new())
        .await
        .unwrap();
    let mut node = cluster.bridge(1).await;
    let parameters = [
        ("name".to_owned(), raw::any("string", "\"x\"")),
        ("value".to_owned(), raw::integer(1)),
        ("ms".to_owned(), raw::any("float", LONG_MS.to_string())),
    ];
    let request = ExecuteToolRequest {
        session_id: "s".into(),
        tool_name: "set_and_hold".into(),
        parameters: BTreeMap::from(parameters),
        ..ExecuteToolRequest::default()
    };
    let held = tokio::spawn(async move { node.execute_tool(request).await });
    eventually("the tool has begun", || client.get_variable("s", "x")).await;
    let worker = busy_worker(&cluster, 1).await;
    assert!(processes::signal(worker.pid, Signal::KILL));

    let lost = held.await.unwrap().unwrap_err();
    assert_eq!(lost.code(), Code::Unknown, "{lost:?}");
    assert_eq!(raw::said(&lost, headers::DONE), "maybe", "{lost:?}");
    assert!(lost.message().contains(&worker.id), "{lost:?}");
    // Another takes its place, and what was written stays.
    let replaced = |workers: &[Worker]| {
        workers
            .iter()
            .any(|now| now.pid != worker.pid && now.state == "ready")
    };
    workers(&cluster, 1, "the worker is replaced", replaced).await;
    let echo = client
        .call_tool(call("echo", &[("value", json!("here"))]))
        .await
        .unwrap()
        .value;
    assert_eq!(echo.outcome, Ok(json!("here")));
    assert_eq!(
        client.get_variable("s", "x").await.unwrap().value.value,
        json!(1)
    );
}

/// Hold both workers of a node with a tool, kill the node, and see what is left of it.
async fn nothing_is_left_of(tool: &'static str) {
    let mut cluster = Cluster::start(Spec::nodes(1).workers(2).adapter("stubborn")).await;
    let calls = [hold(cluster.at(1), tool), hold(cluster.at(1), tool)];
    let both = |workers: &[Worker]| workers.iter().filter(|worker| worker.running > 0).count() == 2;
    let found = workers(&cluster, 1, "both workers are busy", both).await;
    let node = cluster.node(1).pid();
    assert!(found.iter().all(|worker| processes::is_alive(worker.pid)));
    // Its workers, at the least.
    let before = processes::marked(cluster.mark(), &[node]);
    assert!(
        found
            .iter()
            .all(|worker| before.iter().any(|one| one.pid == worker.pid)),
        "{before:?}"
    );

    cluster.kill(&[1]);
    let mark = cluster.mark().to_owned();
    let left = tokio::task::spawn_blocking(move || processes::drained(&mark, &[], GONE))
        .await
        .unwrap();
    assert!(left.is_empty(), "left {GONE:?} after their node: {left:?}");
    for call in calls {
        let lost = call.await.unwrap().unwrap_err();
        assert!(lost.maybe_done(), "{lost:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_and_sleeping_workers_die_with_their_node() {
    nothing_is_left_of("hold").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_are_busy_in_c_die_with_their_node() {
    nothing_is_left_of("hold_lock").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_workers_have_started_dies_with_their_node() {
    nothing_is_left_of("nest").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_goes_to_another_node_while_its_own_has_no_free_slot() {
    let spec = Spec::nodes(2).workers(1).adapter("stubborn");
    let cluster = Cluster::start(spec.pool("queue_timeout_ms", 500)).await;
    let held = hold(cluster.at(1), "hold");
    let worker = busy_worker(&cluster, 1).await;
    for _ in 0..3 {
        // Node 1 looks at node 2 now and then; a call that finds it silent waits, and is told that it was in
        // vain.
        let answer = eventually("node 2 runs it", || async {
            match cluster.at(1).call_tool(call("pid", &[])).await {
                Ok(answer) => Ok(answer.value),
                Err(ClientError::Exhausted(told)) => Err(told),
                Err(other) => panic!("{other:?}"),
            }
        })
        .await;
        assert_eq!(answer.node_id, 2);
    }
    assert!(processes::is_alive(worker.pid) && !held.is_finished());
    held.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_workers_sends_calls_to_one_that_has_some() {
    let cluster = Cluster::start(Spec::nodes(3).workers_on(2, 1)).await;
    let client = cluster.at(1);
    client
        .create_session("s", None, BTreeMap::new())
        .await
        .unwrap();
    let set = call(
        "set_variable",
        &[("name", json!("x")), ("value", json!("v"))],
    );
    let set = CallRequest {
        session: "s".into(),
        ..set
    };
    let answer = eventually("node 1 knows the tools of node 2", || {
        client.call_tool(set.clone())
    })
    .await;
    assert_eq!(answer.node_id, 2);
    assert_eq!(
        client.get_variable("s", "x").await.unwrap().value.value,
        json!("v")
    );
    // Its exception and its death come back the same way.
    let failed = client.call_tool(call("fail", &[])).await.unwrap().value;
    assert_eq!(failed.outcome.unwrap_err().type_name, "ValueError");
    let killed = client.call_tool(call("kill_self", &[])).await.unwrap_err();
    assert!(killed.maybe_done(), "{killed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_dies_while_it_runs_anothers_call() {
    let mut cluster = Cluster::start(Spec::nodes(3).workers_on(2, 1).adapter("stubborn")).await;
    let asked = cluster.at(1);
    eventually("node 1 knows the tools of node 2", || {
        asked.call_tool(call("echo", &[]))
    })
    .await;
    let held = hold(asked, "hold");
    busy_worker(&cluster, 2).await;
    cluster.kill(&[2]);
    let lost = held.await.unwrap().unwrap_err();
    assert!(lost.maybe_done(), "{lost:?}");
}
