//! Spans of requests, sent to a collector over OTLP where `telemetry.otlp_endpoint` names one. Elsewhere no span
//! is made, and what is asked of one costs a look at an empty place.
//!
//! The context of a trace travels as W3C has it, as texts, so that it can cross channels, tasks, nodes and
//! workers alike: see [`TraceContext`].

use std::pin::pin;
use std::str::FromStr as _;
use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry::trace::{
    SpanBuilder, SpanContext, SpanId, Status, TraceContextExt as _, TraceFlags, TraceId,
    TraceState, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider,
};
use tonic::Code;
use tonic::metadata::MetadataMap;

use crate::config::Settings;

pub use opentelemetry::trace::SpanKind;

/// The headers of the context of a trace; calls of tools have them in their metadata, too.
pub const TRACEPARENT: &str = "traceparent";
/// What vendors say of it.
pub const TRACESTATE: &str = "tracestate";
/// A `tracestate` that is longer, in bytes, is not passed on: W3C asks for no more.
const TRACESTATE_BYTES_MAX: usize = 512;

/// The context of a trace as it travels: who is above, and what other vendors say of the trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceContext {
    /// A `traceparent`; empty where there is no trace.
    pub parent: String,
    /// A `tracestate`; empty where nobody says anything.
    pub state: String,
}

impl TraceContext {
    /// The caller's, if it is one: what is passed on where traces are off. A `tracestate` alone is none, and a
    /// wrong one leaves the trace as it is.
    pub fn of(metadata: &MetadataMap) -> Self {
        let texts = |name| {
            let all = metadata.get_all(name).iter();
            let all: Vec<_> = all.filter_map(|value| value.to_str().ok()).collect();
            all.join(",")
        };
        let parent = texts(TRACEPARENT);
        if parse(&parent).is_none() {
            return Self::default();
        }
        let state = texts(TRACESTATE);
        let is_good = state.len() <= TRACESTATE_BYTES_MAX && TraceState::from_str(&state).is_ok();
        Self {
            parent,
            state: if is_good { state } else { String::new() },
        }
    }

    /// That of a span; none where it is no span.
    fn below(context: &SpanContext) -> Self {
        Self {
            parent: print(context),
            state: context.trace_state().header(),
        }
    }

    fn to_span_context(&self) -> Option<SpanContext> {
        let parent = parse(&self.parent)?;
        let state = TraceState::from_str(&self.state).unwrap_or_default();
        Some(SpanContext::new(
            parent.trace_id(),
            parent.span_id(),
            parent.trace_flags(),
            true,
            state,
        ))
    }
}

/// Attributes of spans.
pub mod keys {
    /// Follows one piece of work through all hops.
    pub const CORRELATION_ID: &str = "snakepit.correlation_id";
    /// The session of the request.
    pub const SESSION_ID: &str = "snakepit.session_id";
    /// The tool that is called.
    pub const TOOL: &str = "snakepit.tool";
    /// The call of a tool.
    pub const CALL_ID: &str = "snakepit.call_id";
    /// The node that works.
    pub const NODE_ID: &str = "snakepit.node_id";
    /// The pool of a worker.
    pub const POOL: &str = "snakepit.pool";
    /// The worker that runs a call.
    pub const WORKER_ID: &str = "snakepit.worker_id";
    /// Name of the call of the bridge.
    pub const METHOD: &str = "rpc.method";
    /// Number of the gRPC code, at the end.
    pub const CODE: &str = "rpc.grpc.status_code";
}

/// The process's traces, once they are on.
static TRACES: OnceLock<Traces> = OnceLock::new();

/// Spans cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The exporter cannot be built.
    #[error(
        "cannot send spans to telemetry.otlp_endpoint {endpoint:?}: {source}; hint: write http://127.0.0.1:4317"
    )]
    Exporter {
        /// Where to.
        endpoint: String,
        /// Why not.
        source: ExporterBuildError,
    },
    /// Something else in the process has set them up.
    #[error("traces are already set up in this process")]
    AlreadySet,
}

/// Where spans go: a cheap handle.
#[derive(Clone, Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    node_id: i64,
    timeout: Duration,
}

/// Sends the process's spans from now on, where the settings say where to. Once per process, on a thread of
/// the runtime; somebody must [`Traces::stop`] what is returned, or the last spans are lost.
///
/// # Errors
///
/// An endpoint that cannot be read; traces that are already set up.
pub fn init_traces(settings: &Settings) -> Result<Option<Traces>, TraceError> {
    if settings.telemetry.otlp_endpoint.is_empty() {
        return Ok(None);
    }
    let traces = Traces::build(settings)?;
    TRACES
        .set(traces.clone())
        .map_err(|_| TraceError::AlreadySet)?;
    Ok(Some(traces))
}

impl Traces {
    /// What [`init_traces`] sets up, for tests to use by itself. On a thread of the runtime.
    ///
    /// # Errors
    ///
    /// An endpoint that cannot be read.
    pub fn build(settings: &Settings) -> Result<Self, TraceError> {
        let telemetry = &settings.telemetry;
        let timeout = Duration::from_millis(telemetry.otlp_timeout_ms);
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(&telemetry.otlp_endpoint)
            .with_timeout(timeout)
            .build()
            .map_err(|source| TraceError::Exporter {
                endpoint: telemetry.otlp_endpoint.clone(),
                source,
            })?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(telemetry.otlp_queue_max)
            .build();
        let node_id = i64::try_from(settings.node.id).unwrap_or(i64::MAX);
        let resource = Resource::builder()
            .with_service_name(telemetry.service_name.clone())
            .with_attributes([
                KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
                KeyValue::new("service.instance.id", settings.node.id.to_string()),
                KeyValue::new("snakepit.cluster_id", settings.node.cluster_id.clone()),
                KeyValue::new(keys::NODE_ID, node_id),
            ])
            .build();
        let ratio = telemetry.sample_percent as f64 / 100.0;
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio)));
        let provider = SdkTracerProvider::builder()
            .with_span_processor(
                BatchSpanProcessor::builder(exporter)
                    .with_batch_config(batches)
                    .build(),
            )
            .with_sampler(sampler)
            .with_resource(resource)
            .build();
        Ok(Self {
            tracer: provider.tracer("snakepit"),
            provider,
            node_id,
            timeout,
        })
    }

    /// Send what waits, for `telemetry.otlp_timeout_ms` at most, and make no more spans.
    pub async fn stop(self) {
        let (provider, timeout) = (self.provider, self.timeout);
        let stopped =
            tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(timeout)).await;
        if let Ok(Err(error)) = stopped {
            tracing::warn!(%error, "the last spans could not be sent; hint: is the collector at telemetry.otlp_endpoint up?");
        }
    }

    /// As [`RequestSpan::serve`], to these traces.
    pub fn serve(
        &self,
        service: &'static str,
        call: &'static str,
        metadata: &MetadataMap,
    ) -> RequestSpan {
        let attributes = vec![
            KeyValue::new("rpc.system", "grpc"),
            KeyValue::new("rpc.service", service),
            KeyValue::new(keys::METHOD, call),
            KeyValue::new(keys::NODE_ID, self.node_id),
        ];
        let (_, short) = service.rsplit_once('.').unwrap_or(("", service));
        self.span(
            format!("{short}/{call}"),
            SpanKind::Server,
            &TraceContext::of(metadata),
            attributes,
        )
    }

    /// As [`RequestSpan::start`], to these traces.
    pub fn start(&self, name: &'static str, kind: SpanKind, above: &TraceContext) -> RequestSpan {
        let attributes = vec![KeyValue::new(keys::NODE_ID, self.node_id)];
        self.span(name.to_owned(), kind, above, attributes)
    }

    fn span(
        &self,
        name: String,
        kind: SpanKind,
        above: &TraceContext,
        attributes: Vec<KeyValue>,
    ) -> RequestSpan {
        let parent = match above.to_span_context() {
            Some(parent) => Context::new().with_remote_span_context(parent),
            None => Context::new(),
        };
        let builder = SpanBuilder::from_name(name)
            .with_kind(kind.clone())
            .with_attributes(attributes);
        let span = self.tracer.build_with_context(builder, &parent);
        RequestSpan(Some(Active {
            context: parent.with_span(span),
            is_server: kind == SpanKind::Server,
        }))
    }
}

/// A span under way, or none where traces are off. Dropped before its end, it ends as cancelled.
#[derive(Debug, Default)]
#[must_use = "a span ends when it is dropped"]
pub struct RequestSpan(Option<Active>);

#[derive(Debug)]
struct Active {
    context: Context,
    is_server: bool,
}

impl RequestSpan {
    /// The span of a request, `<service>/<call>` without the service's package, below the caller's where its
    /// metadata names one.
    pub fn serve(service: &'static str, call: &'static str, metadata: &MetadataMap) -> Self {
        let serve = |traces: &Traces| traces.serve(service, call, metadata);
        TRACES.get().map_or_else(Self::default, serve)
    }

    /// A span below another one; a new trace where there is none.
    pub fn start(name: &'static str, kind: SpanKind, above: &TraceContext) -> Self {
        TRACES
            .get()
            .map_or_else(Self::default, |traces| traces.start(name, kind, above))
    }

    /// Whether traces are on.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Whether anybody will see it: whether it is among the samples.
    pub fn is_recording(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|active| active.context.span().is_recording())
    }

    /// Note something of it; see [`keys`]. The value is made only where somebody will see it.
    pub fn set<V: Into<Value>>(&self, key: &'static str, value: impl FnOnce() -> V) {
        if let Some(active) = &self.0 {
            let span = active.context.span();
            if span.is_recording() {
                span.set_attribute(KeyValue::new(key, value()));
            }
        }
    }

    /// What those who work for it take along; empty where traces are off.
    pub fn below(&self) -> TraceContext {
        self.0
            .as_ref()
            .map_or_else(TraceContext::default, |active| {
                TraceContext::below(active.context.span().span_context())
            })
    }

    /// Run a future with it as the current span, which [`set`] sees.
    pub async fn run<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        std::future::poll_fn(|waker| {
            let _current = self
                .0
                .as_ref()
                .map(|active| active.context.clone().attach());
            future.as_mut().poll(waker)
        })
        .await
    }

    /// End it with an outcome.
    pub fn end(mut self, code: Code) {
        self.finish(code);
    }

    fn finish(&mut self, code: Code) {
        let Some(active) = self.0.take() else { return };
        let span = active.context.span();
        span.set_attribute(KeyValue::new(keys::CODE, i64::from(i32::from(code))));
        if is_error(code, active.is_server) {
            span.set_status(Status::error(code.description()));
        }
        span.end();
    }
}

impl Drop for RequestSpan {
    fn drop(&mut self) {
        self.finish(Code::Cancelled);
    }
}

/// Which codes make a span one of an error: for a server only those that are its own fault, as
/// OpenTelemetry's conventions for gRPC have it.
fn is_error(code: Code, is_server: bool) -> bool {
    let is_ours = matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    );
    code != Code::Ok && (is_ours || !is_server)
}

/// Note something of the current span, where there is one; see [`keys`]. The value is made only then.
pub fn set<V: Into<Value>>(key: &'static str, value: impl FnOnce() -> V) {
    if TRACES.get().is_some() {
        Context::map_current(|context| {
            if context.has_active_span() {
                context.span().set_attribute(KeyValue::new(key, value()));
            }
        });
    }
}

fn print(context: &SpanContext) -> String {
    if !context.is_valid() {
        return String::new();
    }
    format!(
        "00-{}-{}-{:02x}",
        context.trace_id(),
        context.span_id(),
        context.trace_flags().to_u8() & 1
    )
}

/// Reads a `traceparent`, see <https://www.w3.org/TR/trace-context/#traceparent-header>: version, trace, span
/// and flags. Later versions may add parts.
fn parse(text: &str) -> Option<SpanContext> {
    let is_hex = |part: &str, digits: usize| {
        part.len() == digits
            && part
                .bytes()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let mut parts = text.trim().split('-');
    let [version, trace, span, flags] = [(); 4].map(|()| parts.next().unwrap_or_default());
    if ![(version, 2), (trace, 32), (span, 16), (flags, 2)]
        .iter()
        .all(|(part, digits)| is_hex(part, *digits))
        || version == "ff"
        || (version == "00" && parts.next().is_some())
    {
        return None;
    }
    let flags = u8::from_str_radix(flags, 16).ok()?;
    let context = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(flags & 1),
        true,
        TraceState::default(),
    );
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests;
