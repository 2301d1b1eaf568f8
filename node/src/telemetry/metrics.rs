//! The Prometheus recorder: names, buckets, upkeep.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metrics::{describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::process::{self, Usage};

/// Requests to the HTTP listener, by `path` and `status`.
pub const HTTP_REQUESTS: &str = "snakepit_http_requests_total";

/// Version and kind of the build, always 1.
pub(super) const BUILD_INFO: &str = "snakepit_build_info";

/// How often samples of histograms are folded: they take memory until then.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Upper bounds of `*_seconds`: from a wake-up to a long tool call.
const SECONDS_BUCKETS: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// Upper bounds of `*_bytes`: from a small command to the largest message.
const BYTES_BUCKETS: &[f64] = &[
    64.0,
    256.0,
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// Upper bounds of every other histogram, which counts things in a batch.
const COUNT_BUCKETS: &[f64] = &[
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0, 16_384.0,
];

/// Metrics cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The recorder cannot be built.
    #[error("cannot build the recorder of metrics: {0}")]
    Build(#[from] BuildError),
    /// Something else in the process has set them up.
    #[error("metrics are already set up in this process")]
    AlreadySet,
}

/// The process's metrics: a cheap handle.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl Metrics {
    /// Makes the recorder of the process. Once per process, before the first metric is counted; somebody
    /// must run [`upkeep`].
    ///
    /// # Errors
    ///
    /// A recorder that is already set up.
    pub fn install() -> Result<Self, MetricsError> {
        let (recorder, metrics) = Self::build()?;
        metrics::set_global_recorder(recorder).map_err(|_| MetricsError::AlreadySet)?;
        describe();
        Ok(metrics)
    }

    /// The recorder that [`Metrics::install`] makes, for tests to use with `metrics::with_local_recorder`.
    ///
    /// # Errors
    ///
    /// Buckets that the recorder does not take.
    pub fn build() -> Result<(PrometheusRecorder, Self), MetricsError> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS_BUCKETS)?
            .set_buckets_for_metric(Matcher::Suffix("_bytes".to_owned()), BYTES_BUCKETS)?
            .set_buckets(COUNT_BUCKETS)?
            .build_recorder();
        let handle = recorder.handle();
        Ok((recorder, Self { handle }))
    }

    /// All metrics in the text format of Prometheus; those of the process are taken now.
    pub fn render(&self) -> String {
        record_process();
        self.handle.render()
    }
}

/// Folds samples every five seconds until `shutdown`.
pub async fn upkeep(metrics: Metrics, shutdown: CancellationToken) {
    let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => metrics.handle.run_upkeep(),
            () = shutdown.cancelled() => return,
        }
    }
}

/// Says what the metrics of this module are, and records those that never change.
pub(super) fn describe() {
    describe_counter!(HTTP_REQUESTS, "Requests to the HTTP listener");
    super::events::describe();
    describe_gauge!(BUILD_INFO, "Version and kind of the build, always 1");
    for (name, help) in process::METRICS {
        describe_gauge!(*name, *help);
    }
    let profile = if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    };
    gauge!(
        BUILD_INFO,
        "version" => env!("CARGO_PKG_VERSION"),
        "profile" => profile,
        "target" => target(),
    )
    .set(1.0);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    gauge!(process::START_TIME).set(now.as_secs_f64());
}

fn target() -> String {
    format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)
}

/// What /proc does not tell keeps its last value.
fn record_process() {
    let Usage {
        resident_bytes,
        cpu_seconds,
        open_fds,
        threads,
    } = process::usage();
    let values = [
        (process::RESIDENT_BYTES, resident_bytes),
        (process::CPU_SECONDS, cpu_seconds),
        (process::OPEN_FDS, open_fds),
        (process::THREADS, threads),
    ];
    for (name, value) in values {
        if let Some(value) = value {
            gauge!(name).set(value);
        }
    }
}
