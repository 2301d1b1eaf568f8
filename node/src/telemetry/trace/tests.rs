//! A `traceparent` is read and written; a span of a request reaches a collector.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue as Pair;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response};

use super::*;

const BRIDGE: &str = "snakepit.bridge.BridgeService";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[test]
fn contexts_are_read_and_written() {
    assert_eq!(print(&parse(PARENT).unwrap()), PARENT);
    let unsampled = PARENT.replace("31-01", "31-00");
    assert_eq!(print(&parse(&unsampled).unwrap()), unsampled);
    // A later version, with more parts and flags.
    let later = parse(&format!(
        "{}-more",
        PARENT.replacen("00", "01", 1).replace("31-01", "31-03")
    ));
    assert_eq!(print(&later.unwrap()), PARENT);
    for bad in [
        "",
        "00",
        &format!("{PARENT}-more"),
        &PARENT.replacen("00", "ff", 1),
        &PARENT.to_uppercase(),
        &PARENT.replace('a', "g"),
        &PARENT.replace("b7ad6b7169203331", "0000000000000000"),
        &PARENT.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
        &PARENT[..54],
    ] {
        assert!(parse(bad).is_none(), "{bad}");
    }
}

#[test]
fn what_vendors_say_is_passed_on_where_there_is_a_trace() {
    let of = |parent: &str, states: &[&str]| {
        let mut metadata = MetadataMap::new();
        metadata.insert(TRACEPARENT, parent.parse().unwrap());
        for state in states {
            metadata.append(TRACESTATE, state.parse().unwrap());
        }
        let context = TraceContext::of(&metadata);
        (!context.parent.is_empty(), context.state)
    };
    assert_eq!(of(PARENT, &[]), (true, String::new()));
    assert_eq!(of(PARENT, &["a=1", "b=2"]), (true, "a=1,b=2".into()));
    assert_eq!(of("none", &["a=1"]), (false, String::new()));
    assert_eq!(of(PARENT, &["no list"]), (true, String::new()));
    let long = format!("a={}", "x".repeat(TRACESTATE_BYTES_MAX));
    assert_eq!(of(PARENT, &[&long]), (true, String::new()));
}

#[tokio::test]
async fn nothing_is_made_where_traces_are_off() {
    let mut metadata = MetadataMap::new();
    metadata.insert(TRACEPARENT, PARENT.parse().unwrap());
    let span = RequestSpan::serve(BRIDGE, "Ping", &metadata);
    assert!(!span.is_recording() && span.0.is_none());
    assert_eq!(span.below(), TraceContext::default());
    span.run(async {
        set(keys::TOOL, || -> String { panic!("a value is made") });
    })
    .await;
    assert_eq!(TraceContext::of(&metadata).parent, PARENT);
    span.end(Code::Ok);
    assert!(init_traces(&Settings::default()).unwrap().is_none());
}

/// A collector that keeps what it is sent.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, tonic::Status> {
        self.0.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    async fn serve() -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let collector = Self::default();
        let service = TraceServiceServer::new(collector.clone());
        tokio::spawn(
            Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpIncoming::from(listener)),
        );
        (collector, address)
    }
}

fn attribute(pairs: &[Pair], key: &str) -> String {
    let found = pairs.iter().find(|pair| pair.key == key);
    let found = found.unwrap_or_else(|| panic!("{key} in {pairs:?}"));
    match found.value.clone().unwrap().value.unwrap() {
        Any::StringValue(text) => text,
        Any::IntValue(number) => number.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_request_and_its_call_reach_a_collector() {
    let (collector, address) = Collector::serve().await;
    let mut settings = Settings::default();
    settings.node.id = 7;
    settings.node.cluster_id = "test".into();
    settings.telemetry.otlp_endpoint = format!("http://{address}");
    let traces = Traces::build(&settings).unwrap();

    let mut metadata = MetadataMap::new();
    metadata.insert(TRACEPARENT, PARENT.parse().unwrap());
    metadata.append(TRACESTATE, "one=1".parse().unwrap());
    metadata.append(TRACESTATE, "two=2".parse().unwrap());
    let request = traces.serve(BRIDGE, "ExecuteTool", &metadata);
    assert!(request.is_recording());
    request.set(keys::CORRELATION_ID, || "c-1");
    let current = request
        .run(async {
            Context::map_current(|context| TraceContext::below(context.span().span_context()))
        })
        .await;
    assert_eq!(current, request.below());
    assert_eq!(current.state, "one=1,two=2");
    let call = traces.start("call", SpanKind::Client, &current);
    call.end(Code::NotFound);
    request.end(Code::NotFound);
    drop(traces.serve(BRIDGE, "Ping", &MetadataMap::new()));
    let unsampled = PARENT.replace("31-01", "31-00");
    metadata.insert(TRACEPARENT, unsampled.parse().unwrap());
    traces.serve(BRIDGE, "Heartbeat", &metadata).end(Code::Ok);
    traces.stop().await;

    let sent = collector.0.lock().unwrap().clone();
    let resource = sent[0].resource_spans[0].resource.clone().unwrap();
    assert_eq!(attribute(&resource.attributes, "service.name"), "snakepit");
    assert_eq!(attribute(&resource.attributes, "service.instance.id"), "7");
    let spans: Vec<_> = sent
        .into_iter()
        .flat_map(|request| request.resource_spans)
        .flat_map(|resource| resource.scope_spans)
        .flat_map(|scope| scope.spans)
        .collect();
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(
        names,
        ["call", "BridgeService/ExecuteTool", "BridgeService/Ping"]
    );
    let [call, request, ping] = &spans[..] else {
        unreachable!()
    };

    let parent = parse(PARENT).unwrap();
    assert_eq!(request.trace_id, parent.trace_id().to_bytes());
    assert_eq!(request.parent_span_id, parent.span_id().to_bytes());
    assert_eq!(
        (&call.trace_id, &call.parent_span_id),
        (&request.trace_id, &request.span_id)
    );
    assert_eq!(
        (request.trace_state.as_str(), call.trace_state.as_str()),
        ("one=1,two=2", "one=1,two=2")
    );
    assert_ne!(ping.trace_id, request.trace_id);
    for (key, value) in [
        (keys::METHOD, "ExecuteTool"),
        (keys::CORRELATION_ID, "c-1"),
        (keys::NODE_ID, "7"),
        (keys::CODE, "5"),
    ] {
        assert_eq!(attribute(&request.attributes, key), value);
    }
    // What is not found is the caller's fault, and the end of a call for the one who made it.
    assert_eq!(request.status.clone().unwrap_or_default().code, 0);
    assert_eq!(call.status.clone().unwrap_or_default().code, 2);
    assert_eq!(attribute(&ping.attributes, keys::CODE), "1");
}

#[tokio::test]
async fn a_collector_that_is_down_holds_up_nobody_for_long() {
    let mut settings = Settings::default();
    settings.telemetry.otlp_endpoint = "http://127.0.0.1:9".into();
    settings.telemetry.otlp_timeout_ms = 300;
    let traces = Traces::build(&settings).unwrap();
    traces
        .serve(BRIDGE, "Ping", &MetadataMap::new())
        .end(Code::Ok);
    let began = std::time::Instant::now();
    traces.stop().await;
    assert!(began.elapsed() < Duration::from_secs(5));
}
