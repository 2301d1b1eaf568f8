//! Tools of sessions and of pools, as tools see them.

use std::collections::BTreeMap;

use snakepit_cluster_tests::calls::{Calls, create, offer};
use snakepit_cluster_tests::raw::{any, integer, refused};
use snakepit_cluster_tests::{Cluster, Spec, eventually};
use snakepit_proto::bridge::*;
use tonic::Code;

async fn offered(node: &Calls, session: &str) -> BTreeMap<String, ToolSpec> {
    node.bridge
        .clone()
        .initialize_session(create(session))
        .await
        .unwrap()
        .into_inner()
        .available_tools
}

fn adding(session: &str, tool: &str) -> ExecuteElixirToolRequest {
    ExecuteElixirToolRequest {
        session_id: session.into(),
        tool_name: tool.into(),
        parameters: BTreeMap::from([("a".into(), integer(1)), ("b".into(), integer(2))]),
        ..Default::default()
    }
}

#[tokio::test]
async fn they_are_kept_found_and_called_from_every_node() {
    let mut cluster = Cluster::start(Spec::nodes(3).workers_on(1, 1)).await;
    let nodes = cluster.all_calls();
    let node = |number: usize| nodes[number % 3].bridge.clone();
    node(0).initialize_session(create("s")).await.unwrap();
    let told = node(1)
        .register_tools(offer("s", "w1", &["mine", "own.tool-2"]))
        .await
        .unwrap()
        .into_inner();
    assert!(told.success, "{told:?}");
    assert_eq!(
        told.tool_ids.keys().collect::<Vec<_>>(),
        ["mine", "own.tool-2"]
    );
    let before = cluster.agree().await;
    for number in 0..3 {
        let told = node(number)
            .register_tools(offer("s", "w1", &["own.tool-2"]))
            .await
            .unwrap()
            .into_inner();
        assert!(told.success, "the same again is no error: {told:?}");
        let told = node(number)
            .register_tools(offer("s", "w2", &["new", "mine"]))
            .await
            .unwrap()
            .into_inner();
        assert!(
            !told.success
                && told.error_message.contains("duplicate_tool")
                && told.tool_ids.is_empty(),
            "{told:?}"
        );
        let told = node(number)
            .register_tools(offer("s", "w1", &["new", "new"]))
            .await
            .unwrap()
            .into_inner();
        assert!(
            !told.success && told.error_message.contains("duplicate_tool"),
            "{told:?}"
        );
        let told = node(number)
            .register_tools(offer("none", "w1", &["new"]))
            .await
            .unwrap()
            .into_inner();
        assert!(
            !told.success && told.error_message.contains("Session not found: none"),
            "{told:?}"
        );
        let long = "x".repeat(65);
        for bad in ["", "-x", "a b", "é", long.as_str()] {
            let told = node(number)
                .register_tools(offer("s", "w1", &["new", bad]))
                .await;
            refused(told, Code::InvalidArgument, "is no name of a tool");
        }
        for metadata in [
            (0..33)
                .map(|key| (key.to_string(), String::new()))
                .collect::<BTreeMap<_, _>>(),
            BTreeMap::from([("k".into(), "v".repeat(4_096))]),
        ] {
            let mut asked = offer("s", "w1", &["new", "large"]);
            asked.tools[1].metadata = metadata;
            refused(
                node(number).register_tools(asked).await,
                Code::InvalidArgument,
                "metadata of tool large",
            );
        }
    }
    assert_eq!(
        cluster.agree().await.chain_head,
        before.chain_head,
        "all or none, and nothing twice"
    );

    let leader = cluster.leader().await;
    cluster.kill(&[leader]);
    cluster.restart(&[leader]).await;
    for node in &nodes {
        // A node hears of the others' tools a little later than of its own.
        eventually("the pool's tools are known", || async {
            let tools = offered(node, "s").await;
            if tools.contains_key("add") {
                Ok(())
            } else {
                Err(tools)
            }
        })
        .await;
        let tools = offered(node, "s").await;
        assert_eq!(tools["mine"].description, "does mine");
        assert!(tools.contains_key("own.tool-2") && !tools.contains_key("new"));
        assert!(
            !offered(node, "other").await.contains_key("mine"),
            "a session's tools are its own"
        );
        let mut bridge = node.bridge.clone();
        let session = bridge
            .get_session(GetSessionRequest {
                session_id: "s".into(),
            })
            .await
            .unwrap()
            .into_inner();
        assert_eq!(session.tool_count, 2);
        for session in ["", "s"] {
            let asked = GetExposedElixirToolsRequest {
                session_id: session.into(),
            };
            let exposed = bridge
                .get_exposed_elixir_tools(asked)
                .await
                .unwrap()
                .into_inner()
                .tools;
            let add = exposed
                .iter()
                .find(|tool| tool.name == "add")
                .expect("it is exposed");
            let parameters: Vec<_> = add
                .parameters
                .iter()
                .map(|parameter| parameter.name.as_str())
                .collect();
            assert_eq!(parameters, ["a", "b"]);
            let told = bridge
                .execute_elixir_tool(adding(session, "add"))
                .await
                .unwrap()
                .into_inner();
            assert!(told.success, "{told:?}");
            assert_eq!(told.result.unwrap().value, b"3");
        }
        let asked = GetExposedElixirToolsRequest {
            session_id: "none".into(),
        };
        refused(
            bridge.get_exposed_elixir_tools(asked).await,
            Code::NotFound,
            "Session not found: none",
        );
        refused(
            bridge.execute_elixir_tool(adding("none", "add")).await,
            Code::NotFound,
            "Session not found: none",
        );
        let told = bridge
            .execute_elixir_tool(adding("s", "no_such"))
            .await
            .unwrap()
            .into_inner();
        assert!(
            !told.success && told.error_message.contains("no_such"),
            "{told:?}"
        );
        let failing = ExecuteElixirToolRequest {
            parameters: BTreeMap::from([("message".into(), any("string", "\"no\""))]),
            ..adding("s", "fail")
        };
        let told = bridge
            .execute_elixir_tool(failing)
            .await
            .unwrap()
            .into_inner();
        assert!(
            !told.success && told.error_message.contains("no"),
            "{told:?}"
        );
    }
    cluster.verify().await;
}
