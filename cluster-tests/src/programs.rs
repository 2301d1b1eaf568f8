//! The programs that are put together.

use std::path::{Path, PathBuf};

/// The folder of this crate.
pub fn here() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
}

/// The `snakepit` binary: `SNAKEPIT_BIN`, else that of the last debug build.
///
/// # Panics
///
/// Where there is none, saying what to run.
pub fn snakepit() -> PathBuf {
    let path = match named("SNAKEPIT_BIN") {
        Some(path) => path,
        None => target().join("debug/snakepit"),
    };
    assert!(
        path.is_file(),
        "there is no {}; run `cargo build -p snakepit-node` first, or set SNAKEPIT_BIN",
        path.display()
    );
    path
}

/// An example of the workspace, built with its tests: beside the binary.
///
/// # Panics
///
/// Where there is none, saying what to run.
pub fn example(name: &str) -> PathBuf {
    let beside = snakepit().with_file_name("examples").join(name);
    assert!(
        beside.is_file(),
        "there is no {}; run `cargo build --workspace --examples` first",
        beside.display()
    );
    beside
}

/// The Python that runs workers: `SNAKEPIT_PYTHON`, else that of the repository's `.venv`.
///
/// # Panics
///
/// Where there is none, saying what to run.
pub fn python() -> PathBuf {
    // Not resolved further: a virtual environment is known by the path of its interpreter.
    let path = named("SNAKEPIT_PYTHON").unwrap_or_else(|| workspace().join(".venv/bin/python"));
    assert!(
        path.is_file(),
        "there is no {}; make it with `python3 -m venv .venv && .venv/bin/pip install -e python`, or set \
         SNAKEPIT_PYTHON",
        path.display()
    );
    path
}

/// Adapters of these tests, for `PYTHONPATH`.
pub fn adapters() -> PathBuf {
    here().join("adapters")
}

fn workspace() -> PathBuf {
    here().parent().map_or_else(|| "..".into(), Path::to_owned)
}

fn target() -> PathBuf {
    // Cargo takes a relative one from where it was called: the workspace, as a rule.
    named("CARGO_TARGET_DIR")
        .map_or_else(|| workspace().join("target"), |dir| workspace().join(dir))
}

fn named(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}
