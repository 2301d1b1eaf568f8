//! The endpoints.

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::health::{ReadyChecks, report};
use crate::telemetry::{HTTP_REQUESTS, Metrics};

/// The endpoints and what they are for, as `/` prints them.
const ENDPOINTS: &str = "\
/livez           200 while the process runs
/readyz          200 when the node can serve, 503 when it cannot; ?verbose lists the checks
/metrics         metrics in the text format of Prometheus
";

/// The type of Prometheus's text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) fn router(checks: Arc<dyn ReadyChecks>, metrics: Metrics) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz).with_state(checks))
        .route("/metrics", get(scrape).with_state(metrics))
        .fallback(unknown)
}

async fn index() -> Response {
    let version = env!("CARGO_PKG_VERSION");
    counted(
        "/",
        StatusCode::OK,
        format!("snakepit {version}\n\n{ENDPOINTS}"),
    )
}

async fn livez() -> Response {
    counted("/livez", StatusCode::OK, "ok".to_owned())
}

async fn readyz(State(checks): State<Arc<dyn ReadyChecks>>, RawQuery(query): RawQuery) -> Response {
    let (ready, page) = report(&checks.checks());
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    // A failure is always told in full: the first question is which check it was.
    let page = if ready && !is_verbose(query.as_deref()) {
        "ok".to_owned()
    } else {
        page
    };
    counted("/readyz", status, page)
}

async fn scrape(State(metrics): State<Metrics>) -> Response {
    let response = counted("/metrics", StatusCode::OK, metrics.render());
    ([(header::CONTENT_TYPE, METRICS_TYPE)], response).into_response()
}

async fn unknown(uri: Uri) -> Response {
    let hint = match uri.path() {
        "/healthz" | "/health" | "/live" | "/ping" => "did you mean /livez?",
        "/ready" => "did you mean /readyz?",
        _ => "gRPC is served on the client address; this address has:",
    };
    let page = format!("not found\nhint: {hint}\n\n{ENDPOINTS}");
    counted("other", StatusCode::NOT_FOUND, page)
}

fn is_verbose(query: Option<&str>) -> bool {
    query.is_some_and(|query| {
        query
            .split('&')
            .any(|pair| pair.split_once('=').map_or(pair, |(key, _)| key) == "verbose")
    })
}

/// A plain-text answer, counted by endpoint and status.
fn counted(path: &'static str, status: StatusCode, page: String) -> Response {
    let code = status.as_str().to_owned();
    metrics::counter!(HTTP_REQUESTS, "path" => path, "status" => code).increment(1);
    let type_and_cache = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, type_and_cache, page).into_response()
}
