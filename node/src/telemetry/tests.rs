//! Records carry the node's id; metrics are those of `docs/metrics.md`.

use std::io;
use std::sync::{Arc, Mutex};

use super::log::subscriber;
use super::metrics::{BUILD_INFO, HTTP_REQUESTS, Metrics, describe};
use super::process;
use crate::config::{LogFormat, LogSettings};

const DOC: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md"));

#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is recorded while `work` runs, by line.
fn records(level: &str, format: LogFormat, work: impl FnOnce()) -> Vec<String> {
    let page = Page::default();
    let writer = page.clone();
    let settings = LogSettings {
        level: level.to_owned(),
        format,
    };
    let subscriber = subscriber(&settings, 7, move || writer.clone(), false).unwrap();
    tracing::subscriber::with_default(subscriber, work);
    let bytes = page.0.lock().unwrap().clone();
    String::from_utf8(bytes)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn text_records_begin_with_time_and_node() {
    let lines = records("info", LogFormat::Text, || {
        tracing::info_span!("apply", index = 3).in_scope(|| tracing::info!(size = 4, "applied"));
        tracing::debug!("not this");
    });
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains(" node=7  INFO apply{index=3}: "),
        "{lines:?}"
    );
    assert!(lines[0].ends_with("applied size=4"), "{lines:?}");
}

#[test]
fn json_records_are_objects_with_the_node() {
    let lines = records("info", LogFormat::Json, || {
        tracing::warn!(text = "a \"b\"\n", "line\nbreak");
        tracing::info!("two");
    });
    assert_eq!(lines.len(), 2, "{lines:?}");
    let record: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(record["node"], 7);
    assert_eq!(record["level"], "WARN");
    assert_eq!(record["message"], "line\nbreak");
    assert_eq!(record["text"], "a \"b\"\n");
}

#[test]
fn the_wire_stays_quiet_unless_it_is_named() {
    let work = || {
        tracing::debug!(target: "h2::codec", "headers");
        tracing::debug!(target: "snakepit", "mine");
    };
    let ends = |lines: Vec<String>| -> Vec<String> {
        lines
            .iter()
            .filter_map(|line| line.split(' ').next_back().map(str::to_owned))
            .collect()
    };
    assert_eq!(ends(records("debug", LogFormat::Text, work)), ["mine"]);
    assert_eq!(
        ends(records("debug,h2=debug", LogFormat::Text, work)),
        ["headers", "mine"]
    );
    assert_eq!(
        ends(records("off", LogFormat::Text, work)),
        Vec::<String>::new()
    );
}

#[test]
fn a_bad_filter_is_told() {
    let settings = LogSettings {
        level: "a=b=c".to_owned(),
        format: LogFormat::Text,
    };
    let Err(error) = subscriber(&settings, 7, io::sink, false) else {
        panic!("taken")
    };
    assert!(
        error
            .to_string()
            .starts_with("log.level \"a=b=c\" is not a filter of records")
    );
}

/// The page of a process that has counted one thing of each kind.
fn rendered() -> String {
    let (recorder, handle) = Metrics::build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        describe();
        metrics::counter!(HTTP_REQUESTS, "path" => "/", "status" => "200").increment(1);
        metrics::histogram!("test_apply_seconds").record(0.003);
        metrics::histogram!("test_append_bytes").record(5_000.0);
        metrics::histogram!("test_batch_commands").record(3.0);
        handle.render()
    })
}

#[test]
fn histograms_have_buckets_for_their_unit() {
    let page = rendered();
    for line in [
        "test_apply_seconds_bucket{le=\"0.0025\"} 0",
        "test_apply_seconds_bucket{le=\"0.005\"} 1",
        "test_append_bytes_bucket{le=\"16384\"} 1",
        "test_batch_commands_bucket{le=\"2\"} 0",
        "test_batch_commands_bucket{le=\"4\"} 1",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} in\n{page}");
    }
}

#[test]
fn process_and_build_are_on_the_page() {
    let page = rendered();
    let value = |name: &str| -> f64 {
        let line = page
            .lines()
            .find(|line| line.starts_with(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("{name} in\n{page}"))
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap()
    };
    assert!(value(process::RESIDENT_BYTES) > 1e6);
    assert!(value(process::OPEN_FDS) >= 3.0);
    assert!(value(process::THREADS) >= 1.0);
    assert!(value(process::CPU_SECONDS) >= 0.0);
    assert!(value(process::START_TIME) > 1.6e9);
    assert!(page.contains(&format!(
        "{BUILD_INFO}{{version=\"{}\"",
        env!("CARGO_PKG_VERSION")
    )));
}

#[test]
fn processor_time_is_read_past_any_name() {
    let stat = "42 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 3 0 100 0 0";
    assert_eq!(process::cpu_seconds(stat), Some(2.0));
    assert_eq!(process::cpu_seconds("42 (x) S 1"), None);
}

#[test]
fn the_documentation_names_these_metrics() {
    let names = process::METRICS
        .iter()
        .map(|(name, _)| *name)
        .chain([HTTP_REQUESTS, BUILD_INFO]);
    for name in names {
        assert!(
            DOC.contains(&format!("| `{name}` |")),
            "{name} is missing in docs/metrics.md"
        );
    }
}
