//! Recorded calls that run again, and what their journal has of what they had read.

use std::process::{Command, Output};

use serde_json::{Value as Json, json};
use snakepit_client::{CallAnswer, CallRequest, ClientOptions, Registration, SessionQuery};
use snakepit_cluster_tests::tools::{Lines, call, definition, done, in_pool, in_session};
use snakepit_cluster_tests::{Cluster, Spec, audit, eventually, programs};
use snakepit_machine::{CallReads, Event, Payload};

/// A cluster of three nodes, of which the second alone runs workers; a session whose weight is 2 and bias is 1.
async fn start(pools: &[(&str, &str, &str)]) -> Cluster {
    let spec = Spec::nodes(3).set_on(2, "node.labels.runs", "\"yes\"");
    let cluster = Cluster::start(spec).await;
    for (name, journal, scores) in pools {
        cluster
            .put_pool(name, &scoring(journal, scores), &[2])
            .await;
        let heard = in_pool(call("echo", json!({})), name);
        for id in cluster.ids() {
            cluster.heard_of(id, &heard).await;
        }
    }
    cluster.session("s").await;
    for (name, value) in [("weight", 2), ("bias", 1)] {
        register(&cluster, name, value).await;
    }
    cluster
}

fn scoring(journal: &str, scores: &str) -> String {
    let settings = json!({
        "journal": journal,
        "placement": {"runs": "yes"},
        "breaker_failures": 0,
        "env": {"SCORES": scores},
    });
    definition("scores", 1, settings)
}

async fn register(cluster: &Cluster, name: &str, value: i64) {
    let registration = Registration {
        name: name.into(),
        type_name: "integer".into(),
        value: json!(value),
        ..Registration::default()
    };
    let registered = cluster.client().register_variable("s", registration).await;
    registered.unwrap();
}

async fn set(cluster: &Cluster, name: &str, value: i64) {
    let client = cluster.client();
    client
        .set_variable("s", name, &json!(value), None)
        .await
        .unwrap();
}

fn score(pool: &str) -> CallRequest {
    in_pool(in_session(call("score", json!({"text": "abc"})), "s"), pool)
}

fn command(cluster: &Cluster, line: &[&str]) -> Output {
    Command::new(programs::snakepit())
        .args(line)
        .args(["-o", "json", "--principal", "kim"])
        .env("SNAKEPIT_ENDPOINTS", cluster.endpoint(1).authority())
        .env_remove("SNAKEPIT_SESSION")
        .output()
        .unwrap()
}

/// What a command prints, and its exit code.
fn run(cluster: &Cluster, line: &[&str]) -> (Json, Option<i32>) {
    let output = command(cluster, line);
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    let json = serde_json::from_str(&out);
    let json = json.unwrap_or_else(|error| panic!("{line:?}: {error}: {out}\n{err}"));
    (json, output.status.code())
}

fn replay(cluster: &Cluster, line: &[&str]) -> (Json, Option<i32>) {
    run(cluster, &[&["call", "replay"], line].concat())
}

/// What and where, then and now, of each difference of the first call.
fn differences(told: &Json) -> Vec<String> {
    let differences = told[0]["differences"].as_array().expect("it was run");
    let side = |difference: &Json, side: &str| {
        difference
            .get(side)
            .map_or_else(|| "nothing".to_owned(), Json::to_string)
    };
    let told = differences.iter().map(|difference| {
        let (what, path) = (&difference["what"], &difference["path"]);
        let place = format!("{} {}", what.as_str().unwrap(), path.as_str().unwrap());
        let (then, now) = (side(difference, "then"), side(difference, "now"));
        format!("{place}: {then} → {now}")
    });
    told.collect()
}

/// Revision of the session, and its events.
async fn state(cluster: &Cluster) -> (u64, Vec<Event>) {
    let session = cluster.at(1).get_session("s").await.unwrap().value;
    let events = audit::session_events(&cluster.at(1), "s").await;
    (session.revision, events)
}

/// What the journal has of what a call had read.
async fn reads(cluster: &Cluster, answer: &CallAnswer) -> CallReads {
    let of = |event: Event| match event.payload {
        Payload::CallEnded { call_id, reads, .. } => (call_id == answer.call_id).then_some(reads),
        Payload::CallsRecorded { calls } => calls
            .into_iter()
            .find(|call| call.call_id == answer.call_id)
            .map(|call| call.reads),
        _ => None,
    };
    eventually("the call's end is in the log", || async {
        let events = cluster.events(1).await;
        let found = events.into_iter().find_map(of);
        found.ok_or("not yet")
    })
    .await
}

fn short(reads: &CallReads) -> Vec<String> {
    let each = reads.noted.iter();
    each.map(|read| format!("{}/{}@{}", read.session_id, read.name, read.version))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_calls_had_read_is_journaled_wherever_they_ran() {
    let cluster = start(&[("full", "full", ""), ("outcome", "outcome", "")]).await;
    set(&cluster, "weight", 3).await;
    for id in cluster.ids() {
        for pool in ["full", "outcome"] {
            let answer = done(&cluster.at(id), score(pool)).await;
            let told = reads(&cluster, &answer).await;
            assert_eq!(
                short(&told)[..2],
                ["s/weight@2", "s/bias@1"],
                "{pool} by {id}"
            );
            assert_eq!(told.left_out, 0);

            // Also of a call that fails, and of a stream.
            let failing = in_pool(in_session(call("fail", json!({})), "s"), pool);
            let failed = cluster.at(id).call_tool(failing).await.unwrap().value;
            assert!(failed.outcome.is_err());
            assert_eq!(short(&reads(&cluster, &failed).await), ["s/weight@2"]);
            let counting = in_pool(in_session(call("count", json!({"to": 6})), "s"), pool);
            let chunks: Vec<_> =
                futures_util::StreamExt::collect(cluster.at(id).call_stream(counting)).await;
            let chunks: Vec<_> = chunks.into_iter().map(Result::unwrap).collect();
            assert_eq!(chunks.len(), 3, "none of them is the nodes' own");
            let streamed = CallAnswer {
                call_id: chunks[0].call_id.clone(),
                ..failed
            };
            assert_eq!(short(&reads(&cluster, &streamed).await), ["s/weight@2"]);
        }
    }
    // The first 256 are named, the others counted.
    for number in 0..300 {
        register(&cluster, &format!("x{number:03}"), number).await;
    }
    let all = in_pool(in_session(call("read_all", json!({})), "s"), "full");
    let told = reads(&cluster, &done(&cluster.at(1), all).await).await;
    assert_eq!(told.noted.len(), 256);
    let variables = cluster
        .client()
        .get_session("s")
        .await
        .unwrap()
        .value
        .variables;
    assert!(told.left_out >= variables - 256, "{}", told.left_out);
    cluster.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blame_tells_what_the_writing_call_had_read() {
    let cluster = start(&[("full", "full", ""), ("outcome", "outcome", "")]).await;
    let blamed = |line: &[&str]| {
        let (told, code) = run(&cluster, &[&["var", "blame"], line].concat());
        assert_eq!(code, Some(0));
        told[0]["reads"].clone()
    };
    let weight = |value: Json| {
        let mut told = json!({"session": "s", "variable": "weight", "version": 1});
        told[value["key"].as_str().unwrap()] = value["is"].clone();
        told
    };
    let bias = json!({"session": "s", "variable": "bias", "version": 1, "value": 1});
    for (pool, version) in [("full", "1"), ("outcome", "2")] {
        let answer = done(&cluster.at(3), score(pool)).await;
        reads(&cluster, &answer).await;
        let told = blamed(&["score", "-s", "s", "--at-version", version]);
        let known = weight(json!({"key": "value", "is": 2}));
        assert_eq!(told[0], known, "{pool}");
        assert_eq!(told[1], bias, "{pool}");
    }
    let first = ["score", "-s", "s", "--at-version", "1"];
    // A later value is another one.
    set(&cluster, "weight", 9).await;
    assert_eq!(blamed(&first)[0], weight(json!({"key": "value", "is": 2})));
    // Who may not read it is not told.
    let client = cluster.client();
    let for_ada = r#"{"read": {"principals": ["ada"]}}"#;
    client.set_access("s", "weight", for_ada).await.unwrap();
    let hidden = blamed(&first);
    assert!(hidden[0]["not_told"].is_string() && hidden[0].get("value").is_none());
    assert_eq!(hidden[1], bias);
    client.set_access("s", "weight", "").await.unwrap();
    // What has been deleted since was there then.
    cluster
        .client()
        .delete_variable("s", "weight")
        .await
        .unwrap();
    assert_eq!(blamed(&first)[0], weight(json!({"key": "value", "is": 2})));
    register(&cluster, "weight", 7).await;
    assert_eq!(blamed(&first)[0], weight(json!({"key": "value", "is": 2})));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_runs_again_as_it_was_and_changes_nothing() {
    let cluster = start(&[("full", "full", "")]).await;
    let lines = Lines::default();
    let mut scoring = score("full");
    scoring
        .parameters
        .insert("path".into(), json!(lines.path()));
    scoring.idempotency_key = "once".into();
    let options = ClientOptions {
        principal: "ada".into(),
        ..ClientOptions::default()
    };
    let client = cluster.client_from(3, options);
    let first = done(&client, scoring.clone()).await;
    assert_eq!(first.outcome.clone().unwrap()["score"], json!(13));
    // What the session holds now is not what it held then.
    set(&cluster, "weight", 50).await;
    set(&cluster, "score", 0).await;
    let before = state(&cluster).await;

    let (told, code) = replay(&cluster, &[&first.call_id]);
    assert_eq!(
        (code, &told[0]["same"]),
        (Some(0), &json!(true)),
        "{told:#}"
    );
    assert!(differences(&told).is_empty());
    let (then, now) = (&told[0]["then"], &told[0]["now"]);
    assert_eq!(then["written"], now["written"]);
    assert_eq!(
        then["written"],
        json!([{"what": "variable score", "value": 13}])
    );
    assert_eq!(
        (&then["tool_version"], &now["tool_version"]),
        (&json!("1"), &json!("1"))
    );
    assert_ne!(now["call"], json!(first.call_id));
    assert_eq!(lines.count("abc"), 2, "what is outside happens again");

    assert_eq!(
        state(&cluster).await,
        before,
        "revision and events of the session"
    );
    let left = SessionQuery {
        pattern: "replay-*".into(),
        ..Default::default()
    };
    let left = cluster.client().find_sessions(&left, 10, "").await.unwrap();
    assert!(left.value.items.is_empty(), "{left:?}");
    // The key still names the first one.
    let repeated = done(&client, scoring).await;
    assert!(repeated.recorded);
    assert_eq!(repeated.call_id, first.call_id);
    assert_eq!(lines.count("abc"), 2);
    cluster.verify().await;

    // Also where the session has ended since, and without one.
    cluster.client().end_session("s", true).await.unwrap();
    assert_eq!(replay(&cluster, &[&first.call_id]).1, Some(0));
    let echo = in_pool(call("echo", json!({"value": [1, {"a": null}]})), "full");
    let echo = done(&client, echo).await;
    let (told, code) = replay(&cluster, &[&echo.call_id]);
    assert_eq!(
        (code, &told[0]["now"]["result"]),
        (Some(0), &json!([1, {"a": null}]))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_changed_tool_does_in_another_way_is_named() {
    let cluster = start(&[("full", "full", "old"), ("new", "outcome", "new")]).await;
    let client = cluster.at(1);
    let scored = done(&client, score("full")).await;
    let failing = in_pool(in_session(call("fail", json!({})), "s"), "full");
    let failed = client.call_tool(failing).await.unwrap().value;
    let counting = in_pool(in_session(call("count", json!({"to": 5})), "s"), "full");
    let chunks: Vec<_> = futures_util::StreamExt::collect(client.call_stream(counting)).await;
    let counted = chunks[0].clone().unwrap().call_id;
    let before = state(&cluster).await;

    let (told, code) = replay(&cluster, &[&scored.call_id, "--pool", "new"]);
    assert_eq!(code, Some(1));
    assert_eq!(
        differences(&told),
        [
            "result $.parts[1]: 2 → 3",
            "result $.score: 13 → 19",
            "written variable new $: nothing → {\"value\":true}",
            "variable score $: 13 → 19",
        ]
    );
    let version = |side: &str| told[0][side]["tool_version"].clone();
    assert_eq!((version("then"), version("now")), (json!("1"), json!("2")));
    let told = replay(&cluster, &[&failed.call_id, "--pool", "new"]);
    assert_eq!(
        differences(&told.0),
        ["error message $: \"weight is 2\" → \"weight is 2, as asked\""]
    );
    let told = replay(&cluster, &[&counted, "--pool", "new"]);
    assert_eq!(
        differences(&told.0),
        [
            "chunk 1 $.value.n: 3 → 4",
            "chunk 3 $: nothing → {\"final\":false,\"metadata\":{},\"value\":{\"n\":5}}",
        ]
    );
    // The same where the pool itself has changed, once for all.
    for id in [&scored.call_id, &failed.call_id, &counted] {
        assert_eq!(replay(&cluster, &[id]).1, Some(0), "{id}");
    }
    cluster
        .put_pool("full", &self::scoring("full", "new"), &[2])
        .await;
    let (told, code) = eventually("the new workers are there", || async {
        let told = replay(&cluster, &["--session", "s", "--yes"]);
        if told.0[0]["same"] == json!(true) {
            Err(told)
        } else {
            Ok(told)
        }
    })
    .await;
    assert_eq!(code, Some(1));
    let told = told.as_array().unwrap();
    assert_eq!(told.len(), 3, "not those that ran in copies");
    assert!(
        told.iter().all(|call| call["same"] == json!(false)),
        "{told:#?}"
    );
    assert_eq!(state(&cluster).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_run_again_says_why() {
    let cluster = start(&[("full", "full", ""), ("outcome", "outcome", "")]).await;
    let full = done(&cluster.at(1), score("full")).await;
    let outcome = done(&cluster.at(1), score("outcome")).await;
    reads(&cluster, &outcome).await;
    let before = state(&cluster).await;

    let (told, code) = replay(&cluster, &[&outcome.call_id]);
    assert_eq!(code, Some(1));
    let reason = told[0]["not_run"].as_str().expect("it says so");
    assert!(
        reason.contains("hint: only calls of pools with journal full"),
        "{reason}"
    );
    assert_eq!(told[0]["then"]["outcome"], json!("ok"));

    let refused = |line: &[&str]| {
        let output = command(&cluster, &[&["call", "replay"], line].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said)
    };
    let (code, said) = refused(&["nowhere"]);
    assert!(
        code == Some(1) && said.contains("the log has no call nowhere"),
        "{said}"
    );
    let (code, said) = refused(&["--tool", "score"]);
    assert!(
        code == Some(2) && said.contains("hint: look at them with --dry-run"),
        "{said}"
    );
    let (code, said) = refused(&["--tool", "nothing", "--yes"]);
    assert!(
        code == Some(1) && said.contains("the log has no such calls"),
        "{said}"
    );
    let (_, said) = refused(&[&full.call_id, "--pool", "nowhere", "--deadline", "2s"]);
    assert!(!said.contains("panicked"), "{said}");

    let (plan, code) = replay(&cluster, &["--tool", "score", "--dry-run"]);
    assert_eq!(code, Some(0));
    let plan = plan.as_array().unwrap();
    let runs = |id: &str| {
        let found = plan.iter().find(|call| call["call"] == json!(id));
        found.expect("it is listed").get("not_run").is_none()
    };
    assert_eq!(plan.len(), 2, "{plan:#?}");
    assert!(runs(&full.call_id) && !runs(&outcome.call_id));
    let (newest, _) = replay(&cluster, &["--tool", "score", "--limit", "1", "--dry-run"]);
    assert_eq!(newest.as_array().unwrap().len(), 1);
    assert_eq!(state(&cluster).await, before);
}
