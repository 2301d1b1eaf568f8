//! `snakepit cluster up` and what follows, as a person would type it.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::process::Signal;
use serde_json::{Value as Json, json};
use snakepit_cluster_tests::cluster::GONE;
use snakepit_cluster_tests::processes::{self, MARK};
use snakepit_cluster_tests::programs;

/// A folder, a range of ports, and a mark; what was started is gone in the end, whatever happens.
struct Place {
    dir: tempfile::TempDir,
    base_port: u16,
    mark: String,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("spt-").tempdir().unwrap();
        Self {
            dir,
            base_port: free_ports(),
            mark: format!("cli-{}", uuid::Uuid::new_v4().simple()),
        }
    }

    fn run(&self, line: &[&str]) -> Output {
        let mut command = Command::new(programs::snakepit());
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"SNAKEPIT_") {
                command.env_remove(name);
            }
        }
        let endpoints = format!(
            "127.0.0.1:{},{},{}",
            self.base_port,
            self.base_port + 1,
            self.base_port + 2
        );
        command
            .args(line)
            .args(["-o", "json"])
            .env(MARK, &self.mark)
            .env("SNAKEPIT_CLUSTER_DIR", self.dir.path())
            .env("SNAKEPIT_ENDPOINTS", endpoints)
            .env("SNAKEPIT_PRINCIPAL", "somebody")
            .stdin(Stdio::null());
        command.output().unwrap()
    }

    /// Run a command that must succeed: what it prints.
    fn done(&self, line: &[&str]) -> Json {
        let output = self.run(line);
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(
            output.status.success(),
            "{line:?}: {}\n{out}\n{err}",
            output.status
        );
        serde_json::from_str(&out).unwrap_or(Json::Null)
    }

    /// Run a command that must fail: its exit code, and what it says.
    fn refused(&self, line: &[&str]) -> (Option<i32>, String) {
        let output = self.run(line);
        assert!(!output.status.success(), "{line:?}");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for id in 1..=3 {
                let log = std::fs::read_to_string(self.dir.path().join(format!("node-{id}/log")));
                println!("--- node {id}\n{}", log.unwrap_or_default());
            }
        }
        for process in processes::marked(&self.mark, &[]) {
            processes::signal(process.pid, Signal::KILL);
        }
    }
}

/// The first of a range of which three are free, and those 100 and 200 above: below the range from which the
/// kernel takes ports for connections.
fn free_ports() -> u16 {
    let first = 10_000 + u16::try_from(std::process::id() % 1_000).unwrap() * 20;
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let all = |base: &u16| {
        [0, 100, 200]
            .iter()
            .all(|above| (0..3).all(|node| free(base + above + node)))
    };
    (0..50)
        .map(|step| first + step * 3)
        .find(all)
        .expect("free ports")
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[test]
fn a_cluster_is_launched_tended_and_ended() {
    let place = Place::new();
    let (port, python) = (place.base_port.to_string(), text(&programs::python()));
    let up = [
        "cluster",
        "up",
        "--detach",
        "--nodes",
        "3",
        "--base-port",
        &port,
        "--workers",
        "1",
        "--python",
        &python,
    ];
    place.done(&up);

    let status = place.done(&["cluster", "status"]);
    let nodes = status.as_array().unwrap();
    assert_eq!(nodes.len(), 3, "{status:#}");
    let leaders = nodes
        .iter()
        .filter(|node| node["role"] == json!("leader"))
        .count();
    assert_eq!(leaders, 1, "{status:#}");
    assert!(
        nodes
            .iter()
            .all(|node| node["up"] == json!(true) && node["workers_ready"] == json!(1)),
        "{status:#}"
    );

    assert_eq!(
        place.done(&["session", "create", "s", "--ttl", "1h"])["created"],
        json!(true)
    );
    assert_eq!(
        place.done(&["var", "set", "x", "41", "-s", "s"])["version"],
        json!(1)
    );
    assert_eq!(
        place.done(&["var", "set", "x", "42", "-s", "s"])["version"],
        json!(2)
    );
    assert_eq!(
        place.done(&["var", "get", "x", "-s", "s"])["value"],
        json!(42)
    );
    assert_eq!(place.done(&["call", "add", "a=1", "b=2"]), json!(3));
    assert_eq!(
        place.done(&["call", "increment", "name=x", "-s", "s"]),
        json!(43)
    );

    let first = place.done(&["cluster", "kill", "2"]);
    assert_eq!(first["node"], json!(2));
    assert_eq!(
        place.done(&["var", "get", "x", "-s", "s"])["value"],
        json!(43)
    );
    place.done(&["var", "set", "x", "44", "-s", "s"]);
    let started = place.done(&["cluster", "start", "2"]);
    assert_ne!(started["pid"], first["pid"]);
    assert_eq!(
        place.done(&["var", "get", "x", "-s", "s"])["value"],
        json!(44)
    );

    let events = place.run(&["log", "replay"]);
    assert!(events.status.success());
    let events = String::from_utf8_lossy(&events.stdout).into_owned();
    assert!(
        events.contains("increment") && events.contains("somebody"),
        "{events}"
    );
    place.done(&["log", "verify"]);

    // Mistakes have exit codes and say what to do.
    let (code, said) = place.refused(&["session", "show", "nobody"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("nobody"), "{said}");
    assert_eq!(place.refused(&["session", "shew"]).0, Some(2));
    let (code, said) = place.refused(&["cluster", "start", "2"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("running already"), "{said}");
    let (code, said) = place.refused(&["cluster", "kill", "9"]);
    assert_eq!(
        (code, said.contains("nodes 1 to 3")),
        (Some(1), true),
        "{said}"
    );

    place.done(&["cluster", "down"]);
    let left = processes::drained(&place.mark, &[], GONE);
    assert!(left.is_empty(), "{left:?}");
    // What is on the disks is whole, and nobody answers.
    place.done(&["log", "verify", "--dir", &text(place.dir.path())]);
    assert_eq!(place.refused(&["cluster", "status"]).0, Some(3));
    assert_eq!(
        place
            .refused(&["var", "get", "x", "-s", "s", "--timeout", "1s"])
            .0,
        Some(3)
    );

    // The same cluster again.
    place.done(&["cluster", "up", "--detach"]);
    assert_eq!(
        place.done(&["var", "get", "x", "-s", "s"])["value"],
        json!(44)
    );
    place.done(&["cluster", "down"]);
    let left = processes::drained(&place.mark, &[], GONE);
    assert!(left.is_empty(), "{left:?}");
}
