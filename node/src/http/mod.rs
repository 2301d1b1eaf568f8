//! The HTTP listener: health for orchestrators, metrics for Prometheus. It never touches state, and answers
//! while the node is not ready.

mod connections;
mod health;
mod routes;

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use health::{Check, ReadyChecks};

use crate::telemetry::Metrics;
use connections::LimitedListener;

/// How long answers under way may take after the stop signal.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// Serves HTTP on a bound listener until `shutdown`, then lets answers under way finish for at most two
/// seconds. At most `connections_max` connections are open at once, each closed after 30 s of silence; more
/// wait to be accepted.
///
/// # Errors
///
/// The listener's, if it has no local address. Errors of connections end the connection only.
pub async fn serve(
    listener: TcpListener,
    connections_max: usize,
    checks: Arc<dyn ReadyChecks>,
    metrics: Metrics,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    tracing::info!(%address, "http listener is up");
    let server = axum::serve(
        LimitedListener::new(listener, connections_max),
        routes::router(checks, metrics),
    )
    .with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let out_of_time = async {
        shutdown.cancelled().await;
        tokio::time::sleep(SHUTDOWN_GRACE).await;
    };
    tokio::select! {
        result = std::future::IntoFuture::into_future(server) => result,
        () = out_of_time => {
            tracing::warn!("http connections were still open at the end of the grace period");
            Ok(())
        }
    }
}
