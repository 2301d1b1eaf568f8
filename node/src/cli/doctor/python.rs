//! Python, its packages, and the adapter.

use std::collections::BTreeMap;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde::Deserialize;
use tokio::process::Command;
use tokio::time::timeout;

use super::super::arguments::human_ms;
use super::check::{Check, Checks};

const FACTS: &str = include_str!("facts.py");
const ADAPTER: &str = include_str!("adapter.py");
/// Time for an interpreter to say what it is.
const FACTS_TIMEOUT: Duration = Duration::from_secs(20);
/// The oldest Python that the package takes.
const PYTHON_MIN: [u32; 2] = [3, 11];
/// The oldest packages that the generated code takes.
const GRPC_MIN: [u32; 3] = [1, 85, 1];
const PROTOBUF_MIN: [u32; 3] = [7, 35, 1];
/// Tools that are named.
const TOOLS_SHOWN: usize = 8;

#[derive(Debug, Deserialize)]
struct Facts {
    executable: String,
    version: [u32; 3],
    free_threaded: bool,
    packages: BTreeMap<String, Package>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Package {
    version: String,
    error: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Loaded {
    tools: Vec<String>,
    error: String,
    hint: String,
    gil: bool,
    /// Before the adapter was loaded, and after the package was.
    gil_before: bool,
}

pub(super) async fn checks(python: &str, adapter: &str, adapter_timeout: Duration) -> Vec<Check> {
    let mut checks = Checks::new("python");
    let facts = match facts(python).await {
        Ok(facts) => facts,
        Err(found) => {
            let remedy = "install Python 3.11 or newer, or name another one with --python";
            checks.fail("interpreter", found, remedy);
            return checks.into_made();
        }
    };
    interpreter(&mut checks, &facts);
    packages(&mut checks, &facts);
    let can_load = package(&facts, "snakepit.worker").error.is_empty();
    if can_load {
        load(&mut checks, python, adapter, adapter_timeout, &facts).await;
    }
    checks.into_made()
}

fn interpreter(checks: &mut Checks, facts: &Facts) {
    let found = format!("{} at {}", dotted(&facts.version), facts.executable);
    if facts.version[..2] < PYTHON_MIN[..] {
        let remedy = "install Python 3.11 or newer, or name another one with --python";
        checks.fail("interpreter", found, remedy);
    } else {
        checks.ok("interpreter", found);
    }
}

fn packages(checks: &mut Checks, facts: &Facts) {
    let pip = format!("{} -m pip install", facts.executable);
    for (name, label, least, wanted) in [
        ("grpc", "package grpcio", GRPC_MIN, "grpcio>=1.85.1,<2"),
        (
            "google.protobuf",
            "package protobuf",
            PROTOBUF_MIN,
            "protobuf>=7.35.1,<8",
        ),
    ] {
        let found = package(facts, name);
        let remedy = format!("{pip} '{wanted}'");
        if !found.error.is_empty() {
            checks.fail(label, &found.error, remedy);
        } else if parts(&found.version) < least {
            checks.fail(label, format!("{} is too old", found.version), remedy);
        } else {
            checks.ok(label, &found.version);
        }
    }
    let own = env!("CARGO_PKG_VERSION");
    let (found, worker) = (
        package(facts, "snakepit"),
        package(facts, "snakepit.worker"),
    );
    let broken = [found, worker].into_iter().find(|p| !p.error.is_empty());
    let remedy = format!("{pip} snakepit=={own}, or the folder `python` of the clone");
    match broken {
        Some(broken) => checks.fail("package snakepit", &broken.error, remedy),
        None if found.version != own => {
            let found = format!("{}, and this command is {own}", found.version);
            checks.warn("package snakepit", found, remedy);
        }
        None => checks.ok("package snakepit", &found.version),
    }
}

async fn load(checks: &mut Checks, python: &str, adapter: &str, time: Duration, facts: &Facts) {
    let name = format!("adapter {adapter}");
    let remedy = "import it by hand to see why; it is looked for in the current directory first";
    let loaded = match run(python, ADAPTER, &[adapter], time).await {
        Ok(output) => last_line(&output)
            .and_then(|line| serde_json::from_str::<Loaded>(line.as_str()).ok())
            .ok_or_else(|| format!("loading it ended the interpreter: {}", said(&output))),
        Err(found) => Err(found),
    };
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(found) => return checks.fail(&name, found, remedy),
    };
    if !loaded.error.is_empty() {
        let hint = match loaded.hint.as_str() {
            "" => remedy,
            hint => hint,
        };
        return checks.fail(&name, &loaded.error, hint);
    }
    checks.ok(&name, tools(&loaded.tools));
    threads(checks, facts.free_threaded, &loaded);
}

/// Whether slots of concurrency `thread` run at once.
fn threads(checks: &mut Checks, free_threaded: bool, loaded: &Loaded) {
    let turned_on = |by: &str| format!("free-threaded, but {by} turned the lock on again");
    let remedy = "find the module with `python -W error`, or set PYTHON_GIL=0 in the pool's env";
    match (free_threaded, loaded.gil_before, loaded.gil) {
        (false, ..) => checks.ok(
            "threads",
            "global lock: slots of a worker take turns, workers run in parallel",
        ),
        (true, _, false) => checks.ok(
            "threads",
            "free-threaded: slots of a worker run in parallel",
        ),
        (true, true, true) => checks.warn(
            "threads",
            turned_on("grpcio or protobuf"),
            "use releases of them that are made for it, or set PYTHON_GIL=0 in the pool's env",
        ),
        (true, false, true) => checks.warn("threads", turned_on("a module of the adapter"), remedy),
    }
}

/// Their number, and the first ones.
fn tools(tools: &[String]) -> String {
    let shown = tools.iter().take(TOOLS_SHOWN).map(String::as_str);
    let mut text = format!(
        "{} tools: {}",
        tools.len(),
        shown.collect::<Vec<_>>().join(", ")
    );
    if tools.len() > TOOLS_SHOWN {
        text += ", …";
    }
    text
}

async fn facts(python: &str) -> Result<Facts, String> {
    let output = run(python, FACTS, &[], FACTS_TIMEOUT).await?;
    last_line(&output)
        .and_then(|line| serde_json::from_str(&line).ok())
        .ok_or_else(|| format!("{python} says {}", said(&output)))
}

async fn run(
    python: &str,
    script: &str,
    arguments: &[&str],
    time: Duration,
) -> Result<Output, String> {
    let mut command = Command::new(python);
    command
        .arg("-c")
        .arg(script)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    match timeout(time, command.output()).await {
        Ok(Ok(output)) => Ok(output),
        Ok(Err(error)) => Err(format!("cannot run {python}: {error}")),
        Err(_) => {
            let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            Err(format!("no end within {}", human_ms(ms)))
        }
    }
}

fn last_line(output: &Output) -> Option<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim_end().lines().last().map(str::to_owned)
}

/// The last line of what it said on standard error, or how it ended.
fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    match text.trim_end().lines().last() {
        Some(line) => line.trim().to_owned(),
        None => output.status.to_string(),
    }
}

fn package<'a>(facts: &'a Facts, name: &str) -> &'a Package {
    static NONE: Package = Package {
        version: String::new(),
        error: String::new(),
    };
    facts.packages.get(name).unwrap_or(&NONE)
}

/// The first three numbers of a version; 0 for what is none.
fn parts(version: &str) -> [u32; 3] {
    let mut numbers = version.split('.').map(|part| {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap_or(0)
    });
    std::array::from_fn(|_| numbers.next().unwrap_or(0))
}

fn dotted(version: &[u32; 3]) -> String {
    version.map(|part| part.to_string()).join(".")
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;

    fn facts(version: [u32; 3], packages: &[(&str, &str)]) -> Facts {
        let packages = packages.iter().map(|(name, version)| {
            let package = Package {
                version: (*version).into(),
                error: String::new(),
            };
            ((*name).to_owned(), package)
        });
        Facts {
            executable: "python3".into(),
            version,
            free_threaded: false,
            packages: packages.collect(),
        }
    }

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert_eq!(parts("1.100.2rc1"), [1, 100, 2]);
        assert!(parts("1.9") < [1, 85, 1]);
        let mut checks = Checks::new("python");
        interpreter(&mut checks, &facts([3, 9, 1], &[]));
        interpreter(&mut checks, &facts([4, 0, 0], &[]));
        let own = env!("CARGO_PKG_VERSION");
        let old = [
            ("grpc", "1.9.0"),
            ("google.protobuf", "8.0.0"),
            ("snakepit", "9"),
        ];
        packages(&mut checks, &facts([3, 12, 0], &old));
        let good = [("grpc", "1.85.1"), ("snakepit", own)];
        packages(&mut checks, &facts([3, 12, 0], &good));
        let verdicts: Vec<_> = checks.into_made().iter().map(|c| c.verdict).collect();
        use Verdict::{Fail, Ok, Warn};
        assert_eq!(verdicts, [Fail, Ok, Fail, Ok, Warn, Ok, Fail, Ok]);
    }

    #[test]
    fn who_turned_the_lock_on_is_told() {
        let said = |free_threaded, gil_before, gil| {
            let mut checks = Checks::new("python");
            let loaded = Loaded {
                gil,
                gil_before,
                ..Loaded::default()
            };
            threads(&mut checks, free_threaded, &loaded);
            let check = checks.into_made().remove(0);
            (check.verdict == Verdict::Ok, check.found)
        };
        let (good, found) = said(true, false, false);
        assert!(good && found.contains("in parallel"), "{found}");
        let (good, found) = said(true, true, true);
        assert!(!good && found.contains("grpcio"), "{found}");
        let (good, found) = said(true, false, true);
        assert!(!good && found.contains("adapter"), "{found}");
        let (good, found) = said(false, true, true);
        assert!(good && found.contains("take turns"), "{found}");
    }

    #[tokio::test]
    async fn a_python_that_is_not_there_is_told() {
        let checks = checks("/nowhere/python", "x", Duration::from_secs(5)).await;
        assert_eq!((checks.len(), checks[0].verdict), (1, Verdict::Fail));
        assert!(checks[0].found.starts_with("cannot run /nowhere/python"));
    }
}
