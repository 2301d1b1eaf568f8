//! Bad input: settings, data folders, requests. Each is refused with a message that names what is wrong, its
//! limit and the remedy; nothing changes; the node stays healthy.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;

use prost_types::Any;
use serde_json::{Value as Json, json};
use snakepit_cluster_tests::{Cluster, Spec, raw};
use snakepit_proto::bridge::*;
use snakepit_proto::headers;
use tokio::io::AsyncWriteExt as _;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

/// Start a node that must refuse to: with exit code 1, these words, and without a word of a panic.
fn refuses(cluster: &Cluster, id: u64, words: &[&str]) {
    let (status, said) = cluster.node_ref(id).refuse();
    assert_eq!(status.code(), Some(1), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in:\n{said}");
    }
    // Pools say it with "give …".
    let remedy = said.contains("hint: ") || said.contains("; give ");
    assert!(remedy, "there is no remedy in:\n{said}");
    assert!(!said.contains("panicked"), "{said}");
}

/// The cluster's one node, with other settings.
fn with_settings(cluster: &Cluster, change: impl FnOnce(String) -> String) {
    let node = cluster.node_ref(1);
    let text = cluster.spec.toml(1, cluster.address(), &node.data());
    node.write_settings(&change(text));
}

#[tokio::test]
async fn settings_that_cannot_be_understood() {
    let mut cluster = Cluster::prepare(Spec::nodes(1).set("raft.snapshot_entries", 5_000));
    let refused = |from: &str, to: &str, words: &[&str]| {
        with_settings(&cluster, |text| {
            assert!(text.contains(from), "{text}");
            text.replacen(from, to, 1)
        });
        refuses(&cluster, 1, words);
    };
    let unknown = [
        "node.toml, line",
        "unknown setting raft.snapshot_entrys",
        "did you mean raft.snapshot_entries?",
    ];
    refused("snapshot_entries", "snapshot_entrys", &unknown);
    refused(
        "[raft]",
        "[rafts]",
        &["node.toml, line", "unknown setting rafts", "raft"],
    );
    refused("[raft]", "[raft", &["node.toml, line"]);
    refused(
        "5000",
        "\"many\"",
        &["node.toml, line", "raft.snapshot_entries", "an integer"],
    );
    refused("5000", "5", &["raft.snapshot_entries is 5", "from 100 to"]);
    refused("\"tested\"", "\"\"", &["node.cluster_id", "1 to 128 bytes"]);
    refused(
        "id = 1\n",
        "id = 7\n",
        &["node.id is 7", "one of the members"],
    );
    refused(
        "[[member]]",
        "[[pool]]\nname = \"p\"\n[[member]]",
        &["pool[0]", "adapter"],
    );
    assert!(
        !cluster.node_ref(1).data().exists(),
        "nothing is written before the settings are understood"
    );
    with_settings(&cluster, |text| text);
    cluster.restart(&[1]).await;
}

#[tokio::test]
async fn addresses_that_cannot_be_bound() {
    let mut cluster = Cluster::prepare(Spec::nodes(1));
    let addresses = cluster.node_ref(1).addresses.clone();
    let all = [
        ("client", addresses.client),
        ("peer", addresses.peer),
        ("http", addresses.http),
    ];
    for (kind, address) in &all {
        let held = TcpListener::bind(address).unwrap();
        refuses(
            &cluster,
            1,
            &[&format!("listen.{kind}"), address, "in use", "another port"],
        );
        drop(held);
        with_settings(&cluster, |text| text.replacen(address, "0.0.0.0:0", 1));
        refuses(
            &cluster,
            1,
            &[
                &format!("listen.{kind}"),
                "0.0.0.0:0",
                "loopback",
                "--insecure",
            ],
        );
        with_settings(&cluster, |text| text);
    }
    assert!(
        !cluster.node_ref(1).data().exists(),
        "nothing is written before the addresses are bound"
    );
    cluster.restart(&[1]).await;
}

#[tokio::test]
async fn data_folders_of_others() {
    let mut cluster = Cluster::start(Spec::nodes(1)).await;
    let client = cluster.client();
    client
        .create_session("s", None, BTreeMap::new())
        .await
        .unwrap();
    let before = cluster.agree().await;

    // In use: the same folder for another process, on other ports.
    let address = cluster.address().to_string();
    let other = snakepit_cluster_tests::cluster::own_address().to_string();
    with_settings(&cluster, |text| text.replace(&address, &other));
    refuses(
        &cluster,
        1,
        &["in use by another process", "stop that node first"],
    );
    with_settings(&cluster, |text| text);
    cluster.kill(&[1]);

    with_settings(&cluster, |text| text.replace("\"tested\"", "\"another\""));
    refuses(
        &cluster,
        1,
        &[
            "belongs to cluster tested",
            "configured for another",
            "cluster_id",
        ],
    );
    with_settings(&cluster, |text| text.replace("id = 1\n", "id = 2\n"));
    refuses(&cluster, 1, &["belongs to node 1", "configured as 2"]);
    with_settings(&cluster, |text| text);

    let identity = cluster.node_ref(1).data().join("identity.json");
    let text = fs::read_to_string(&identity).unwrap();
    let mut json: Json = serde_json::from_str(&text).unwrap();
    json["format_version"] = json!(99);
    fs::write(&identity, json.to_string()).unwrap();
    refuses(
        &cluster,
        1,
        &["format version 99", "knows 1", "a newer one"],
    );
    fs::write(&identity, "{").unwrap();
    refuses(&cluster, 1, &["identity.json", "restore"]);
    fs::remove_file(&identity).unwrap();
    refuses(&cluster, 1, &["identity.json", "missing"]);

    fs::write(&identity, text).unwrap();
    cluster.restart(&[1]).await;
    assert_eq!(cluster.agree().await.chain_head, before.chain_head);
}

/// A node with low limits, a session `s`, and an integer `x` and a string `text` in it.
async fn limited() -> Cluster {
    let spec = Spec::nodes(1)
        .set("limits.sessions_max", 2)
        .set("limits.variables_per_session_max", 3)
        .set("limits.value_bytes_max", 2_048)
        .set("limits.metadata_bytes_max", 100)
        .set("limits.batch_variables_max", 2)
        .set("limits.constraints_bytes_max", 100)
        .set("limits.ttl_max_ms", 10_000_000)
        .set("limits.message_bytes_max", 1 << 20);
    let cluster = Cluster::start(spec).await;
    let mut node = cluster.bridge(1).await;
    node.initialize_session(InitializeSessionRequest {
        session_id: "s".into(),
        ..Default::default()
    })
    .await
    .unwrap();
    for (name, kind, value) in [("x", "integer", "1"), ("text", "string", "\"a\"")] {
        let mut request = register(name, kind);
        request.initial_value = Some(raw::any(kind, value));
        node.register_variable(request).await.unwrap();
    }
    cluster
}

fn register(name: &str, kind: &str) -> RegisterVariableRequest {
    RegisterVariableRequest {
        session_id: "s".into(),
        name: name.into(),
        r#type: kind.into(),
        initial_value: Some(raw::integer(1)),
        ..Default::default()
    }
}

fn set(name: &str, value: Option<Any>) -> SetVariableRequest {
    SetVariableRequest {
        session_id: "s".into(),
        variable_identifier: name.into(),
        value,
        ..Default::default()
    }
}

/// The failure is of this code, says that nothing is done, and has these words.
fn failed<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, words: &[&str]) {
    let status = answer.unwrap_err();
    assert_eq!(status.code(), code, "{status:?}");
    assert_eq!(raw::said(&status, headers::DONE), "no", "{status:?}");
    assert!(
        !raw::said(&status, headers::ERROR_KIND).is_empty(),
        "{status:?}"
    );
    for word in words {
        assert!(
            status.message().contains(word),
            "{word:?} is not in: {}",
            status.message()
        );
    }
}

/// Nothing has changed since, and the node takes requests.
async fn unharmed(cluster: &Cluster, before: &snakepit_cluster_tests::audit::Agreed) {
    let after = cluster.agree().await;
    assert_eq!(
        (after.position, &after.chain_head),
        (before.position, &before.chain_head)
    );
    assert_eq!(after.rows_digest, before.rows_digest);
    cluster
        .at(1)
        .set_variable("s", "x", &json!(2), None)
        .await
        .unwrap();
    cluster.verify().await;
}

#[tokio::test]
async fn names_that_are_empty_or_too_long() {
    let cluster = limited().await;
    let before = cluster.agree().await;
    let mut node = cluster.bridge(1).await;
    let create = |id: &str| InitializeSessionRequest {
        session_id: id.into(),
        ..Default::default()
    };
    let too_long = ["257 bytes", "limit is 256", "hint: shorten"];
    let long = "é".repeat(128) + "x";
    assert_eq!(long.len(), 257);
    failed(
        node.initialize_session(create("")).await,
        Code::InvalidArgument,
        &["session_id is empty", "1 to 256 bytes"],
    );
    failed(
        node.initialize_session(create(&long)).await,
        Code::InvalidArgument,
        &too_long,
    );
    failed(
        node.register_variable(register("", "integer")).await,
        Code::InvalidArgument,
        &["name is empty", "1 to 256"],
    );
    failed(
        node.register_variable(register(&long, "integer")).await,
        Code::InvalidArgument,
        &too_long,
    );
    let ascii = "r".repeat(257);
    for header in [headers::REQUEST_ID, headers::PRINCIPAL] {
        let asked = raw::with(set("x", Some(raw::integer(1))), &[(header, &ascii)]);
        failed(
            node.set_variable(asked).await,
            Code::InvalidArgument,
            &[&[header][..], &too_long].concat(),
        );
    }
    let mut asked = raw::with(set("x", Some(raw::integer(1))), &[]);
    asked.metadata_mut().insert(
        headers::PRINCIPAL,
        MetadataValue::try_from(&b"\xfe"[..]).unwrap(),
    );
    failed(
        node.set_variable(asked).await,
        Code::InvalidArgument,
        &[headers::PRINCIPAL, "ASCII"],
    );

    // Where names only look something up, there is nothing of such a name, however long it is.
    for id in [String::new(), long.clone(), "y".repeat(70_000)] {
        let get = GetSessionRequest {
            session_id: id.clone(),
        };
        failed(
            node.get_session(get).await,
            Code::NotFound,
            &["Session not found"],
        );
        let get = GetVariableRequest {
            session_id: id.clone(),
            variable_identifier: "x".into(),
            bypass_cache: false,
        };
        failed(
            node.get_variable(get).await,
            Code::NotFound,
            &["Session not found"],
        );
        let get = GetVariableRequest {
            session_id: "s".into(),
            variable_identifier: id.clone(),
            bypass_cache: false,
        };
        failed(
            node.get_variable(get).await,
            Code::NotFound,
            &["Variable not found"],
        );
        let elsewhere = SetVariableRequest {
            session_id: id.clone(),
            ..set("x", Some(raw::integer(1)))
        };
        failed(
            node.set_variable(raw::named(elsewhere, "q")).await,
            Code::NotFound,
            &["Session not found"],
        );
        failed(
            node.set_variable(set(&id, Some(raw::integer(1)))).await,
            Code::NotFound,
            &["Variable not found"],
        );
        let delete = DeleteVariableRequest {
            session_id: "s".into(),
            variable_identifier: id.clone(),
        };
        failed(
            node.delete_variable(delete).await,
            Code::NotFound,
            &["Variable not found"],
        );
        let cleanup = CleanupSessionRequest {
            session_id: id.clone(),
            force: true,
        };
        assert_eq!(
            node.cleanup_session(raw::named(cleanup, "q"))
                .await
                .unwrap()
                .into_inner()
                .resources_cleaned,
            0
        );
        let beat = HeartbeatRequest {
            session_id: id,
            client_time: None,
        };
        assert!(
            !node
                .heartbeat(beat)
                .await
                .unwrap()
                .into_inner()
                .session_valid
        );
    }
    unharmed(&cluster, &before).await;
    // What just fits is taken.
    node.initialize_session(create(&long[..256])).await.unwrap();
    node.register_variable(register(&long[..256], "integer"))
        .await
        .unwrap();
    cluster.verify().await;
}

#[tokio::test]
async fn values_that_are_none() {
    let cluster = limited().await;
    let before = cluster.agree().await;
    let mut node = cluster.bridge(1).await;
    let bad: [(&str, Option<Any>, &[&str]); 9] = [
        ("x", None, &["the value is missing", "hint: "]),
        ("x", Some(Any::default()), &["no type_url", "hint: "]),
        (
            "x",
            Some(raw::any("integer", "{")),
            &["integer is not JSON", "hint: "],
        ),
        (
            "x",
            Some(raw::any("integer", b"\xff\xfe".to_vec())),
            &["integer is not UTF-8", "hint: "],
        ),
        ("x", Some(raw::any("integer", "")), &["not JSON", "hint: "]),
        (
            "x",
            Some(raw::any("integer", "1.5")),
            &["whole number", "1.5"],
        ),
        ("x", Some(raw::any("string", "\"a\"")), &["integer"]),
        ("text", Some(raw::any("list", "[1]")), &["must be a string"]),
        (
            "text",
            Some(raw::any("string", json!("x".repeat(3_000)).to_string())),
            &["text", "value_bytes_max is 2048", "hint: "],
        ),
    ];
    for (name, value, words) in bad {
        failed(
            node.set_variable(set(name, value.clone())).await,
            Code::InvalidArgument,
            words,
        );
        // The same within a batch: it tells of each, and does none of them.
        let Some(value) = value else { continue };
        let batch = BatchSetVariablesRequest {
            session_id: "s".into(),
            updates: BTreeMap::from([(name.to_owned(), value)]),
            atomic: true,
            ..Default::default()
        };
        let told = node.set_variables(batch).await.unwrap().into_inner();
        assert!(!told.success && told.new_versions.is_empty(), "{told:?}");
        assert!(
            words.iter().all(|word| told.errors[name].contains(word)),
            "{told:?}"
        );
    }
    let payload = SetVariableRequest {
        binary_value: b"x".to_vec().into(),
        ..set("x", Some(raw::integer(1)))
    };
    failed(
        node.set_variable(payload).await,
        Code::InvalidArgument,
        &["payload", "hint: "],
    );
    let version = SetVariableRequest {
        expected_version: -1,
        ..set("x", Some(raw::integer(1)))
    };
    failed(
        node.set_variable(version).await,
        Code::InvalidArgument,
        &["expected_version is -1", "hint: "],
    );
    let version = SetVariableRequest {
        expected_version: 9,
        ..set("x", Some(raw::integer(1)))
    };
    failed(
        node.set_variable(version).await,
        Code::Aborted,
        &["at version 1, not 9", "hint: "],
    );

    let unknown = ["Unknown type: dict", "float, integer, string, boolean"];
    failed(
        node.register_variable(register("y", "dict")).await,
        Code::InvalidArgument,
        &unknown,
    );
    let nothing = RegisterVariableRequest {
        initial_value: None,
        ..register("y", "integer")
    };
    failed(
        node.register_variable(nothing).await,
        Code::InvalidArgument,
        &["the value is missing"],
    );
    failed(
        node.register_variable(register("x", "float")).await,
        Code::AlreadyExists,
        &["x exists with type integer", "hint: "],
    );
    let constraints = |json: &str| RegisterVariableRequest {
        constraints_json: json.into(),
        ..register("y", "integer")
    };
    failed(
        node.register_variable(constraints("{")).await,
        Code::InvalidArgument,
        &["onstraint"],
    );
    failed(
        node.register_variable(constraints("{\"min\": 5}")).await,
        Code::InvalidArgument,
        &["5"],
    );
    let long = format!("{{\"min\": 0{}}}", " ".repeat(100));
    failed(
        node.register_variable(constraints(&long)).await,
        Code::InvalidArgument,
        &["constraints_bytes_max is 100"],
    );
    unharmed(&cluster, &before).await;
}

#[tokio::test]
async fn more_than_the_limits() {
    let cluster = limited().await;
    let mut node = cluster.bridge(1).await;
    let create = |id: &str| InitializeSessionRequest {
        session_id: id.into(),
        ..Default::default()
    };
    node.initialize_session(create("second")).await.unwrap();
    node.register_variable(register("third", "integer"))
        .await
        .unwrap();
    let before = cluster.agree().await;

    let sessions = ["2 sessions", "sessions_max is 2", "hint: delete sessions"];
    failed(
        node.initialize_session(create("more")).await,
        Code::ResourceExhausted,
        &sessions,
    );
    let variables = [
        "3 variables",
        "variables_per_session_max is 3",
        "hint: delete variables",
    ];
    failed(
        node.register_variable(register("more", "integer")).await,
        Code::ResourceExhausted,
        &variables,
    );
    let metadata = BTreeMap::from([("key".to_owned(), "v".repeat(200))]);
    let large = InitializeSessionRequest {
        metadata: metadata.clone(),
        ..create("second-b")
    };
    failed(
        node.initialize_session(large).await,
        Code::InvalidArgument,
        &["metadata_bytes_max is 100", "hint: "],
    );
    let large = SetVariableRequest {
        metadata,
        ..set("x", Some(raw::integer(1)))
    };
    failed(
        node.set_variable(large).await,
        Code::InvalidArgument,
        &["metadata_bytes_max is 100", "hint: "],
    );
    for (seconds, words) in [
        (-1, "ttl_seconds is -1"),
        (100_000, "10000000 ms"),
        (i64::MAX, "10000000 ms"),
    ] {
        let config = SessionConfig {
            ttl_seconds: seconds,
            ..Default::default()
        };
        let asked = InitializeSessionRequest {
            config: Some(config),
            ..create("ttl")
        };
        failed(
            node.initialize_session(asked).await,
            Code::InvalidArgument,
            &[words, "hint: "],
        );
    }
    let names = ["x", "text", "third"].map(str::to_owned);
    let updates = names
        .iter()
        .map(|name| (name.clone(), raw::integer(1)))
        .collect();
    let batch = BatchSetVariablesRequest {
        session_id: "s".into(),
        updates,
        ..Default::default()
    };
    failed(
        node.set_variables(batch).await,
        Code::InvalidArgument,
        &["3 variables", "batch_variables_max is 2", "hint: "],
    );
    let batch = BatchGetVariablesRequest {
        session_id: "s".into(),
        variable_identifiers: names.into(),
        ..Default::default()
    };
    failed(
        node.get_variables(batch).await,
        Code::InvalidArgument,
        &["3 variables", "batch_variables_max is 2", "hint: "],
    );
    let list = |pattern: String, page_size: i32| ListVariablesRequest {
        session_id: "s".into(),
        pattern,
        page_size,
        ..Default::default()
    };
    failed(
        node.list_variables(list("*".repeat(300), 0)).await,
        Code::InvalidArgument,
        &["pattern", "256", "hint: "],
    );
    failed(
        node.list_variables(list(String::new(), -1)).await,
        Code::InvalidArgument,
        &["page_size is -1", "hint: "],
    );
    let call = |tool: &str, timeout: &str| ExecuteToolRequest {
        tool_name: tool.into(),
        metadata: BTreeMap::from([("timeout_ms".into(), timeout.into())]),
        ..Default::default()
    };
    failed(
        node.execute_tool(call("", "1")).await,
        Code::InvalidArgument,
        &["tool_name", "1 to 256"],
    );
    failed(
        node.execute_tool(call("add", "soon")).await,
        Code::InvalidArgument,
        &["timeout_ms", "hint: "],
    );
    failed(
        node.execute_tool(call("add", "1000")).await,
        Code::NotFound,
        &["no tool is named \"add\"", "hint: "],
    );
    let stranger = ExecuteToolRequest {
        session_id: "stranger".into(),
        ..call("add", "1000")
    };
    failed(
        node.execute_tool(stranger).await,
        Code::NotFound,
        &["Session not found"],
    );

    // A message that is too large does not get as far as the node's own words.
    let message = set(
        "text",
        Some(raw::any("string", json!("x".repeat(2 << 20)).to_string())),
    );
    let status = node.set_variable(message).await.unwrap_err();
    assert!(
        matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted),
        "{status:?}"
    );
    unharmed(&cluster, &before).await;
}

#[tokio::test]
async fn noise_on_the_ports() {
    let cluster = limited().await;
    let before = cluster.agree().await;
    let addresses = &cluster.node_ref(1).addresses;
    let noise: [&[u8]; 4] = [
        b"GET / HTTP/1.1\r\n\r\n",
        &[0xff; 10_000],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"",
    ];
    for address in [&addresses.client, &addresses.peer, &addresses.http] {
        for bytes in noise {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            // It may close the connection before it has read everything.
            let _ = stream.write_all(bytes).await;
        }
    }
    unharmed(&cluster, &before).await;
}
