//! What is seen on the machine. Parsers are pure; a part that cannot be read has no label.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// Time that a program of the system has for its answer.
const PROGRAM_TIMEOUT: Duration = Duration::from_secs(2);
const NVIDIA_SMI: &str = "nvidia-smi";
const NVIDIA_ARGUMENTS: &[&str] = &[
    "--query-gpu=name,memory.total",
    "--format=csv,noheader,nounits",
];
/// Where the driver of AMD's devices tells of them.
const KFD_NODES: &str = "/sys/class/kfd/kfd/topology/nodes";
/// What the control group of the process may use, where there is a limit.
const CGROUP_MEMORY: &str = "/sys/fs/cgroup/memory.max";

type Seen = BTreeMap<String, String>;

/// The labels of this machine.
pub(super) async fn seen() -> Seen {
    let mut labels = processor();
    if let Some(gib) = memory_gib().await {
        labels.insert("memory.gib".into(), gib.to_string());
    }
    labels.insert("os".into(), std::env::consts::OS.into());
    let cuda = output(NVIDIA_SMI, NVIDIA_ARGUMENTS)
        .await
        .map(|text| cuda(&text))
        .unwrap_or_default();
    let rocm = rocm_devices(kfd_properties().iter().map(String::as_str));
    let has_mps = cfg!(all(target_os = "macos", target_arch = "aarch64"));
    labels.insert(
        "accelerator".into(),
        accelerator(!cuda.is_empty(), rocm > 0, has_mps).into(),
    );
    labels.extend(cuda);
    if rocm > 0 {
        labels.insert("rocm.devices".into(), rocm.to_string());
    }
    if has_mps {
        labels.insert("mps".into(), "true".into());
    }
    labels
}

fn processor() -> Seen {
    let mut labels = Seen::new();
    labels.insert("cpu.arch".into(), std::env::consts::ARCH.into());
    if let Ok(cores) = std::thread::available_parallelism() {
        labels.insert("cpu.cores".into(), cores.to_string());
    }
    for feature in features() {
        labels.insert(format!("cpu.{feature}"), "true".into());
    }
    labels
}

#[cfg(target_arch = "x86_64")]
fn features() -> Vec<&'static str> {
    let found = [
        ("avx2", std::is_x86_feature_detected!("avx2")),
        ("avx512", std::is_x86_feature_detected!("avx512f")),
    ];
    let found = found.into_iter().filter(|(_, there)| *there);
    found.map(|(name, _)| name).collect()
}

/// Every 64-bit ARM processor has it.
#[cfg(target_arch = "aarch64")]
fn features() -> Vec<&'static str> {
    vec!["neon"]
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn features() -> Vec<&'static str> {
    Vec::new()
}

/// Memory that the process may use, in whole GiB.
async fn memory_gib() -> Option<u64> {
    let machine = if cfg!(target_os = "macos") {
        output("sysctl", &["-n", "hw.memsize"])
            .await?
            .trim()
            .parse()
            .ok()
    } else {
        meminfo_bytes(&std::fs::read_to_string("/proc/meminfo").ok()?)
    };
    let limit = std::fs::read_to_string(CGROUP_MEMORY).ok();
    let limit: Option<u64> = limit.and_then(|text| text.trim().parse().ok());
    Some(gib(machine?.min(limit.unwrap_or(u64::MAX))))
}

/// To the nearest one: a machine of 16 GiB keeps some for itself and tells of less.
pub(super) fn gib(bytes: u64) -> u64 {
    (bytes + (1 << 29)) >> 30
}

/// `MemTotal` of `/proc/meminfo`, in bytes.
pub(super) fn meminfo_bytes(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1 << 10)
}

/// The labels of what `nvidia-smi` lists: how many devices, the name of the first and the memory of the
/// smallest; none where it lists nothing.
pub(super) fn cuda(text: &str) -> Seen {
    let rows = text.lines().filter_map(|line| line.rsplit_once(','));
    let devices: Vec<(&str, Option<u64>)> = rows
        .map(|(name, mib)| (name.trim(), mib.trim().parse().ok()))
        .filter(|(name, _)| !name.is_empty())
        .collect();
    let mut labels = Seen::new();
    if let Some((name, _)) = devices.first() {
        let end = name.floor_char_boundary(super::VALUE_BYTES_MAX);
        labels.insert("cuda.devices".into(), devices.len().to_string());
        labels.insert("cuda.name".into(), name[..end].to_owned());
    }
    if let Some(mib) = devices.iter().filter_map(|(_, mib)| *mib).min() {
        labels.insert("cuda.memory_mib".into(), mib.to_string());
    }
    labels
}

/// How many of the nodes that the driver tells of are devices: processors have no SIMD units there.
pub(super) fn rocm_devices<'a>(properties: impl Iterator<Item = &'a str>) -> usize {
    let units = |text: &str| -> Option<u64> {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("simd_count "))?;
        line.trim().parse().ok()
    };
    properties
        .filter(|text| units(text).is_some_and(|units| units > 0))
        .count()
}

fn kfd_properties() -> Vec<String> {
    let Ok(nodes) = std::fs::read_dir(KFD_NODES) else {
        return Vec::new();
    };
    nodes
        .flatten()
        .filter_map(|node| std::fs::read_to_string(node.path().join("properties")).ok())
        .collect()
}

pub(super) fn accelerator(has_cuda: bool, has_rocm: bool, has_mps: bool) -> &'static str {
    match (has_cuda, has_rocm, has_mps) {
        (true, _, _) => "cuda",
        (_, true, _) => "rocm",
        (_, _, true) => "mps",
        _ => "none",
    }
}

/// What a program prints; nothing where there is none, it fails, or it takes too long: it is killed then.
pub(super) async fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let run = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    match tokio::time::timeout(PROGRAM_TIMEOUT, run).await {
        Ok(Ok(output)) if output.status.success() => {
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Ok(Ok(output)) => {
            tracing::warn!(program, status = %output.status, "a look at the hardware failed; hint: the labels of its devices are missing, set them in [node.labels]");
            None
        }
        Ok(Err(_)) => None,
        Err(_) => {
            tracing::warn!(
                program,
                "a look at the hardware took too long; hint: the labels of its devices are missing, set them in [node.labels]"
            );
            None
        }
    }
}
