//! Spans of a whole cluster, as a collector has them.

use std::collections::BTreeSet;

use serde_json::json;
use snakepit_cluster_tests::collector::{Collector, Span};
use snakepit_cluster_tests::raw::{any, with};
use snakepit_cluster_tests::tools::{call, in_session, on_the_wire};
use snakepit_cluster_tests::{Cluster, Spec, eventually};
use snakepit_proto::session::PutProgramRequest;
use snakepit_proto::session::sessions_client::SessionsClient;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CLIENT: &str = "b7ad6b7169203331";
const STATE: &str = "vendor=said,other=too";

/// The one span of that name.
fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
    assert_eq!(found.len(), 1, "{name} in {spans:#?}");
    found[0]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_one_tree_over_nodes_and_workers() {
    let (collector, address) = Collector::serve().await;
    let endpoint = format!("\"http://{address}\"");
    let spec = Spec::nodes(3)
        .workers_on(2, 1)
        .adapter("busy")
        .set("telemetry.otlp_endpoint", endpoint);
    let cluster = Cluster::start(spec).await;
    cluster.session("s").await;
    cluster.heard_of(1, &call("pid", json!({}))).await;

    let parent = format!("00-{TRACE}-{CLIENT}-01");
    let headers = [
        ("traceparent", parent.as_str()),
        ("tracestate", STATE),
        ("x-snakepit-correlation-id", "c-1"),
    ];
    let set = call("set_and_hold", json!({"name": "x", "value": 1}));
    let request = with(on_the_wire(&in_session(set, "s")), &headers);
    let answer = cluster.bridge(1).await.execute_tool(request).await.unwrap();
    assert_eq!(answer.into_inner().node_id, 2);
    // Calls of the other service are part of their traces, too.
    let put = PutProgramRequest {
        session_id: "s".into(),
        program_id: "p".into(),
        value: Some(any("string", "\"text\"")),
        ..PutProgramRequest::default()
    };
    let mut sessions = SessionsClient::new(cluster.channel(3).await);
    let answer = sessions.put_program(with(put, &headers)).await.unwrap();
    let echoed = answer.metadata().get("x-snakepit-correlation-id");
    assert_eq!(echoed.unwrap(), "c-1");

    // What the tool's write makes of the session: it is registered there.
    let wrote = |span: &&Span| span.name.ends_with("Variable");
    let spans = eventually("the spans are there", || async {
        let spans = collector.of_trace(TRACE);
        let names: BTreeSet<_> = spans.iter().map(|span| span.name.as_str()).collect();
        let wanted = [
            "BridgeService/ExecuteTool",
            "ToolCall",
            "Sessions/PutProgram",
        ];
        if wanted.iter().all(|name| names.contains(name)) && spans.iter().any(|span| wrote(&span)) {
            Ok(spans.clone())
        } else {
            Err(spans.clone())
        }
    })
    .await;
    let (request, run) = (
        named(&spans, "BridgeService/ExecuteTool"),
        named(&spans, "ToolCall"),
    );
    assert_eq!((request.parent.as_str(), request.node), (CLIENT, 1));
    assert_eq!((&run.parent, run.node), (&request.id, 2));
    let writes: Vec<_> = spans.iter().filter(wrote).collect();
    assert!(!writes.is_empty());
    for write in writes {
        assert_eq!((&write.parent, write.node), (&run.id, 2), "{write:?}");
    }
    let put = named(&spans, "Sessions/PutProgram");
    assert_eq!((put.parent.as_str(), put.node), (CLIENT, 3));
    // One tree: every span is below another of the same trace, the client's at its top.
    let ids: BTreeSet<_> = spans.iter().map(|span| span.id.as_str()).collect();
    for span in &spans {
        assert!(
            span.parent == CLIENT || ids.contains(span.parent.as_str()),
            "{span:?}"
        );
        assert_eq!(span.state, STATE, "{span:?}");
    }
}
