//! What the log keeps of calls.

use std::time::Duration;

use serde_json::json;
use snakepit_client::{CallAnswer, CallRequest, ClientOptions};
use snakepit_cluster_tests::tools::{Lines, call, definition, done, in_pool, in_session};
use snakepit_cluster_tests::{Cluster, Spec, audit, eventually};
use snakepit_machine::{CallRecord, Event, Payload};

/// A pool of this name and journal on all of three nodes.
async fn start(journal: &str) -> Cluster {
    let cluster = Cluster::start(Spec::nodes(3)).await;
    let settings = json!({"journal": journal, "breaker_failures": 0, "cancel_grace_ms": 100});
    cluster
        .put_pool(journal, &definition("busy", 1, settings), &cluster.ids())
        .await;
    cluster.session("s").await;
    cluster
}

/// Events of calls, of all sessions.
fn of_calls(events: &[Event]) -> Vec<&Event> {
    let is_of_call = |event: &&Event| {
        matches!(
            event.payload,
            Payload::CallStarted { .. }
                | Payload::CallEnded { .. }
                | Payload::CallChunksPut { .. }
                | Payload::CallsRecorded { .. }
        )
    };
    events.iter().filter(is_of_call).collect()
}

fn records(events: &[Event]) -> Vec<CallRecord> {
    let of = |event: &Event| match &event.payload {
        Payload::CallsRecorded { calls } => calls.clone(),
        _ => Vec::new(),
    };
    events.iter().flat_map(of).collect()
}

/// A call that sets a variable.
fn set(journal: &str, name: &str, ms: u64) -> CallRequest {
    let set = call("set_and_hold", json!({"name": name, "value": 1, "ms": ms}));
    in_pool(in_session(set, "s"), journal)
}

/// Let go of a call that has set a variable; once it is there, it runs.
async fn let_go(cluster: &Cluster, journal: &str, name: &str) {
    let (client, set) = (cluster.at(1), set(journal, name, 60_000));
    let running = tokio::spawn(async move { client.call_tool(set).await });
    let client = cluster.at(1);
    eventually("the tool runs", || client.get_variable("s", name)).await;
    running.abort();
}

/// The one event that gave a variable of the session its first value.
async fn written(cluster: &Cluster, name: &str) -> Event {
    let events = audit::session_events(&cluster.at(2), "s").await;
    let is_it = |event: &Event| match &event.payload {
        Payload::VariableRegistered { name: found, .. } => found == name,
        _ => false,
    };
    events
        .into_iter()
        .find(is_it)
        .expect("the variable's event")
}

fn caused(event: &Event, tool: &str, answer: &CallAnswer) {
    assert_eq!(event.cause.tool, tool);
    assert_eq!(event.cause.call_id, answer.call_id);
    assert_eq!(event.cause.worker, answer.worker_id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn off_leaves_nothing_but_what_calls_change() {
    let cluster = start("off").await;
    for id in cluster.ids() {
        let name = format!("x{id}");
        let answer = done(&cluster.at(id), set("off", &name, 0)).await;
        caused(&written(&cluster, &name).await, "set_and_hold", &answer);
        let failing = call(
            "set_and_fail",
            json!({"name": format!("y{id}"), "value": 2}),
        );
        let failing = in_pool(in_session(failing, "s"), "off");
        let failed = cluster.at(id).call_tool(failing).await.unwrap().value;
        assert_eq!(failed.outcome.clone().unwrap_err().type_name, "ValueError");
        caused(
            &written(&cluster, &format!("y{id}")).await,
            "set_and_fail",
            &failed,
        );
    }
    let_go(&cluster, "off", "z").await;
    cluster
        .pool_when(1, "off", "the worker is there again", |pool| {
            pool.ready == 1 && pool.running == 0
        })
        .await;
    let events = cluster.verify().await;
    assert!(of_calls(&events).is_empty(), "{:#?}", of_calls(&events));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outcome_leaves_a_record_of_each_call() {
    let cluster = start("outcome").await;
    let options = ClientOptions {
        principal: "alice".into(),
        ..ClientOptions::default()
    };
    let mut answers = Vec::new();
    for id in cluster.ids() {
        let client = cluster.client_from(id, options.clone());
        answers.push((
            done(&client, set("outcome", &format!("x{id}"), 0)).await,
            "ok",
        ));
        let failing = call("set_and_fail", json!({"name": "y", "value": id}));
        let failing = in_pool(in_session(failing, "s"), "outcome");
        answers.push((client.call_tool(failing).await.unwrap().value, "raised"));
    }
    let_go(&cluster, "outcome", "z").await;
    let fatal = Lines::default();
    std::fs::write(fatal.path(), "").unwrap();
    let crash = in_pool(call("crash", json!({"path": fatal.path()})), "outcome");
    cluster.at(2).call_tool(crash).await.unwrap_err();
    let records = eventually("all calls are recorded", || async {
        let records = records(&cluster.events(2).await);
        if records.len() >= answers.len() + 2 {
            Ok(records)
        } else {
            Err(records)
        }
    })
    .await;
    assert_eq!(records.len(), answers.len() + 2, "{records:#?}");
    for (answer, outcome) in &answers {
        let record = records
            .iter()
            .find(|record| record.call_id == answer.call_id);
        let record = record.expect("each call is recorded");
        assert_eq!(record.outcome, *outcome);
        assert_eq!(
            (record.session_id.as_str(), record.pool.as_str()),
            ("s", "outcome")
        );
        assert_eq!(
            (&record.worker, record.node),
            (&answer.worker_id, answer.node_id)
        );
        assert_eq!(
            (record.arguments_digest.len(), record.result_digest.len()),
            (32, 32)
        );
        assert_eq!(record.principal, "alice");
        assert!(record.started_ms > 1_600_000_000_000);
        assert_eq!(record.error_type.is_empty(), *outcome == "ok", "{record:?}");
        if *outcome == "ok" {
            let value = answer.outcome.clone().unwrap();
            assert_eq!(value, json!(0), "what the record's digest is of");
        }
    }
    // The same arguments have the same digest, and only those.
    let digests: Vec<_> = records
        .iter()
        .filter(|record| record.tool == "set_and_hold")
        .map(|record| &record.arguments_digest)
        .collect();
    assert!(
        digests
            .iter()
            .enumerate()
            .all(|(at, one)| !digests[..at].contains(one))
    );
    let outcome_of = |tool: &str, outcome: &str| {
        records
            .iter()
            .filter(|one| one.tool == tool && one.outcome == outcome)
            .count()
    };
    assert_eq!(outcome_of("set_and_hold", "cancelled"), 1, "{records:#?}");
    assert_eq!(outcome_of("crash", "lost"), 1, "{records:#?}");
    let events = cluster.verify().await;
    let only_records = |event: &&Event| matches!(event.payload, Payload::CallsRecorded { .. });
    assert!(of_calls(&events).iter().all(only_records));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_logs_a_call_before_it_begins_and_before_it_is_answered() {
    let cluster = start("full").await;
    for id in cluster.ids() {
        let name = format!("x{id}");
        let answer = done(&cluster.at(id), set("full", &name, 0)).await;
        let events = cluster.verify().await;
        let started = events.iter().find(|event| match &event.payload {
            Payload::CallStarted { call_id, .. } => *call_id == answer.call_id,
            _ => false,
        });
        let started = started.expect("its beginning is logged");
        let ended = events.iter().find(|event| match &event.payload {
            Payload::CallEnded { call_id, .. } => *call_id == answer.call_id,
            _ => false,
        });
        let ended = ended.expect("its end is logged");
        let changed = written(&cluster, &name).await;
        caused(&changed, "set_and_hold", &answer);
        assert!(started.position < changed.position && changed.position < ended.position);
        let Payload::CallStarted {
            of_session,
            tool,
            arguments,
            arguments_digest,
            attempt,
            pool,
            ..
        } = &started.payload
        else {
            unreachable!()
        };
        assert_eq!(
            (of_session.as_str(), tool.as_str(), *attempt),
            ("s", "set_and_hold", 1)
        );
        assert_eq!(pool, "full");
        assert!(!arguments.is_empty());
        assert_eq!(arguments_digest.len(), 32);
        let Payload::CallEnded {
            outcome,
            worker,
            node,
            result,
            result_digest,
            ..
        } = &ended.payload
        else {
            unreachable!()
        };
        assert_eq!(
            (outcome.as_str(), worker, *node),
            ("ok", &answer.worker_id, answer.node_id)
        );
        assert_eq!(
            blake3::hash(result).as_bytes().as_slice(),
            result_digest.as_slice()
        );
    }
    // A call of no session is logged as well, and so is one that fails.
    let none = in_pool(call("echo", json!({"value": "here"})), "full");
    let none = done(&cluster.at(3), none).await;
    let failing = call("set_and_fail", json!({"name": "y", "value": 2}));
    let failing = in_pool(in_session(failing, "s"), "full");
    let failing = cluster.at(2).call_tool(failing).await.unwrap().value;
    let ends = |events: &[Event]| -> Vec<(String, String)> {
        let of = |event: &Event| match &event.payload {
            Payload::CallEnded {
                call_id, outcome, ..
            } => Some((call_id.clone(), outcome.clone())),
            _ => None,
        };
        events.iter().filter_map(of).collect()
    };
    // Another node's events come when they have come there.
    eventually("their ends are logged", || async {
        let told = ends(&cluster.events(2).await);
        let both = [(&none.call_id, "ok"), (&failing.call_id, "raised")];
        let has = |(id, outcome): &(&String, &str)| {
            let fits = |(of, end): &&(String, String)| of == *id && end == outcome;
            told.iter().any(|one| fits(&one))
        };
        if both.iter().all(has) {
            Ok(())
        } else {
            Err(told)
        }
    })
    .await;

    let_go(&cluster, "full", "z").await;
    eventually("its end is logged as cancelled", || async {
        let told = ends(&cluster.events(2).await);
        if told.iter().any(|(_, outcome)| outcome == "cancelled") {
            Ok(())
        } else {
            Err(told)
        }
    })
    .await;
    let events = cluster.verify().await;
    let (mut started, mut ended) = (0, 0);
    for event in of_calls(&events) {
        match &event.payload {
            Payload::CallStarted { .. } => started += 1,
            Payload::CallEnded { .. } => ended += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((started, ended), (6, 6));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_calls_end_is_logged_after_its_session_has_ended() {
    let cluster = start("full").await;
    let (client, hold) = (cluster.at(1), set("full", "x", 1_500));
    let running = tokio::spawn(async move { client.call_tool(hold).await });
    let reader = cluster.at(2);
    eventually("the tool runs", || reader.get_variable("s", "x")).await;
    cluster.client().end_session("s", true).await.unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(30), running).await;
    let answer = answer.expect("it ends").unwrap().unwrap().value;
    assert_eq!(answer.outcome, Ok(json!(1_500)));
    let events = cluster.verify().await;
    let end = events.iter().find_map(|event| match &event.payload {
        Payload::CallEnded {
            call_id,
            of_session,
            outcome,
            ..
        } if *call_id == answer.call_id => Some((of_session.as_str(), outcome.as_str())),
        _ => None,
    });
    assert_eq!(end, Some(("s", "ok")));
}

#[tokio::test]
async fn a_result_that_is_too_large_for_the_log_is_answered_and_there_by_its_digest() {
    let cluster = Cluster::start(Spec::nodes(1).set("limits.value_bytes_max", "1024")).await;
    let settings = json!({"journal": "full"});
    cluster
        .put_pool("full", &definition("busy", 1, settings), &cluster.ids())
        .await;
    let large = in_pool(call("letters", json!({"count": 100_000})), "full");
    let answer = done(&cluster.at(1), large).await;
    assert_eq!(answer.outcome.unwrap().as_str().unwrap().len(), 100_000);
    let events = cluster.verify().await;
    let [started, ended] = of_calls(&events)[..] else {
        panic!("{events:#?}");
    };
    assert!(
        matches!(&started.payload, Payload::CallStarted { arguments, .. } if !arguments.is_empty())
    );
    let Payload::CallEnded {
        outcome,
        result,
        result_digest,
        duration_us,
        ..
    } = &ended.payload
    else {
        panic!("{ended:?}");
    };
    assert_eq!(
        (outcome.as_str(), result.len(), result_digest.len()),
        ("ok", 0, 32)
    );
    assert!(*duration_us > 0);
}
