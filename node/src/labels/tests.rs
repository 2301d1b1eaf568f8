//! Recorded outputs become labels; placements choose nodes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::hardware::{accelerator, cuda, gib, meminfo_bytes, output, rocm_devices};
use super::{Labels, key_problem, value_problem, wanted_problem};
use crate::config::Settings;

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    owned.collect()
}

#[test]
fn nvidia_devices_are_read() {
    let two = "NVIDIA A100-SXM4-40GB, 40960\nNVIDIA A100-SXM4-80GB, 81920\n";
    let labels = map(&[
        ("cuda.devices", "2"),
        ("cuda.memory_mib", "40960"),
        ("cuda.name", "NVIDIA A100-SXM4-40GB"),
    ]);
    assert_eq!(cuda(two), labels);
    // Shared memory has no size of its own.
    let unified = map(&[("cuda.devices", "1"), ("cuda.name", "NVIDIA GB10")]);
    assert_eq!(cuda("NVIDIA GB10, [N/A]\n"), unified);
    for none in ["", "No devices were found\n", "\n\n", ", 1\n"] {
        assert_eq!(cuda(none), BTreeMap::new(), "{none:?}");
    }
}

#[test]
fn amd_devices_are_told_from_processors() {
    let processor = "cpu_cores_count 64\nsimd_count 0\nmem_banks_count 1\n";
    let device = "cpu_cores_count 0\nsimd_count 416\nmem_banks_count 1\nsimd_arrays_count 32\n";
    let found = [processor, device, device, ""];
    assert_eq!(rocm_devices(found.into_iter()), 2);
}

#[test]
fn memory_is_read_and_rounded() {
    let text = "MemTotal:       16303428 kB\nMemFree:         1219340 kB\n";
    assert_eq!(meminfo_bytes(text), Some(16_303_428 << 10));
    assert_eq!(gib(16_303_428 << 10), 16);
    assert_eq!(gib(0), 0);
    assert_eq!(meminfo_bytes("MemFree: 1 kB\n"), None);
}

#[test]
fn the_strongest_accelerator_counts() {
    assert_eq!(accelerator(true, true, false), "cuda");
    assert_eq!(accelerator(false, true, true), "rocm");
    assert_eq!(accelerator(false, false, true), "mps");
    assert_eq!(accelerator(false, false, false), "none");
}

#[test]
fn placements_choose_nodes() {
    let labels = Labels::from(map(&[("gpu", "a100"), ("memory.gib", "64"), ("zone", "")]));
    let chosen = |pairs: &[(&str, &str)]| labels.matches(&map(pairs));
    assert!(chosen(&[]));
    assert!(chosen(&[
        ("gpu", "a100"),
        ("memory.gib", ">=64"),
        ("zone", "*")
    ]));
    assert!(chosen(&[("memory.gib", ">=63.5")]));
    assert!(chosen(&[("zone", "")]));
    assert!(!chosen(&[("gpu", "A100")]));
    assert!(!chosen(&[("gpu", "a100"), ("memory.gib", ">=65")]));
    assert!(!chosen(&[("rack", "*")]));
    assert!(!chosen(&[("gpu", ">=1")]));
    assert!(!chosen(&[("memory.gib", ">=much")]));
    let wanted = map(&[("gpu", "a100"), ("memory.gib", ">=65"), ("rack", "*")]);
    assert_eq!(labels.lacking(&wanted), ["memory.gib=>=65", "rack=*"]);
}

#[test]
fn keys_and_values_have_limits() {
    for good in ["a", "cpu.arch", "example.com/rack-1_b", &"k".repeat(64)] {
        assert!(key_problem(good).is_none(), "{good}");
    }
    for bad in ["", "a b", "é", "a=b", &"k".repeat(65)] {
        assert!(key_problem(bad).is_some(), "{bad}");
    }
    assert!(value_problem("").is_none() && value_problem(&"v".repeat(256)).is_none());
    assert!(value_problem("a\nb").is_some() && value_problem(&"v".repeat(257)).is_some());
    assert!(wanted_problem(">=2").is_none() && wanted_problem("*").is_none());
    assert!(wanted_problem(">=").is_some() && wanted_problem(">=nan").is_some());
}

#[tokio::test]
async fn what_is_configured_is_over_what_is_seen() {
    let mut settings = Settings::default();
    settings.labels = map(&[("cpu.arch", "mine"), ("rack", "7")]);
    let labels = Labels::detect(&settings).await;
    assert_eq!(
        (labels.get("cpu.arch"), labels.get("rack")),
        (Some("mine"), Some("7"))
    );
    assert_eq!(labels.get("os"), Some(std::env::consts::OS));
    assert!(labels.get("accelerator").is_some());
    assert!(labels.render().contains("\n# rack = \"7\"\n"));

    settings.node.detect_hardware = false;
    assert_eq!(
        Labels::detect(&settings).await,
        Labels::from(settings.labels)
    );
}

#[tokio::test]
async fn a_program_that_hangs_is_given_up() {
    let began = Instant::now();
    assert_eq!(output("sleep", &["60"]).await, None);
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(output("no-such-program-of-snakepit", &[]).await, None);
    assert_eq!(output("false", &[]).await, None);
    assert_eq!(output("echo", &["a"]).await.as_deref(), Some("a\n"));
}
