//! A collector of spans, as nodes send them: OTLP over gRPC.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1;
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// A span that came, as far as tests look at it. Ids are hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The trace that it is part of.
    pub trace: String,
    /// Its own.
    pub id: String,
    /// Of the span above; empty where it is the first.
    pub parent: String,
    /// Such as `BridgeService/ExecuteTool`.
    pub name: String,
    /// Its `tracestate`.
    pub state: String,
    /// The node that sent it.
    pub node: i64,
}

/// Keeps the spans that it is sent. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Collector(Arc<Mutex<Vec<Span>>>);

impl Collector {
    /// Serve one at a free port, until the runtime ends.
    pub async fn serve() -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port of the loopback address is free");
        let address = listener.local_addr().expect("it is bound");
        let collector = Self::default();
        let service = TraceServiceServer::new(collector.clone());
        let server = Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        (collector, address)
    }

    /// The spans of a trace so far.
    pub fn of_trace(&self, trace: &str) -> Vec<Span> {
        let spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = spans.iter().filter(|span| span.trace == trace);
        of.cloned().collect()
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resources = request.into_inner().resource_spans.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        let spans = scopes.flat_map(|scope| scope.spans).map(span);
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(spans);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn span(span: v1::Span) -> Span {
    let node = span
        .attributes
        .iter()
        .find(|pair| pair.key == "snakepit.node_id");
    let node = match node.and_then(|pair| pair.value.as_ref()?.value.as_ref()) {
        Some(Value::IntValue(number)) => *number,
        _ => 0,
    };
    Span {
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        name: span.name,
        state: span.trace_state,
        node,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
