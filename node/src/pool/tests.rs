//! With real Python workers: the interpreter is that of `SNAKEPIT_PYTHON`, or `.venv/bin/python` at the top of
//! the repository. What happens to workers when the node itself is killed is for the cluster's tests, which
//! have whole processes to kill; the guard has a test of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use prost_types::Any;
use tokio::task::JoinHandle;

use super::*;

/// A generous limit for what takes a moment on an idle machine.
const SOON: Duration = Duration::from_secs(20);

const STRING: &str = "type.googleapis.com/snakepit.string";
const INTEGER: &str = "type.googleapis.com/snakepit.integer";

const HOLDER: &str = "
import os, subprocess, time
from snakepit import tool

@tool('Start a child, and tell its process id.')
def start_child() -> int:
    return subprocess.Popen(['sleep', '600']).pid

@tool('Leave a mark in a file, then sleep.')
def mark_and_sleep(path: str, ms: float) -> int:
    with open(path, 'a') as file:
        file.write('x')
    time.sleep(ms / 1000)
    return os.getpid()
";

fn python() -> String {
    if let Ok(python) = std::env::var("SNAKEPIT_PYTHON") {
        return python;
    }
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.venv/bin/python");
    assert!(
        python.exists(),
        "these tests need a Python with the package installed: set SNAKEPIT_PYTHON, or make .venv"
    );
    python.to_string_lossy().into_owned()
}

struct Rig {
    pools: Pools,
    server: JoinHandle<()>,
    folder: tempfile::TempDir,
}

impl Rig {
    async fn new(change: impl FnOnce(&mut PoolSettings)) -> Self {
        let rig = Self::unready(change);
        if tokio::time::timeout(SOON, rig.pools.ready()).await.is_err() {
            panic!("no worker became ready: {:?}", rig.pools.readiness());
        }
        rig
    }

    fn unready(change: impl FnOnce(&mut PoolSettings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("holder.py"), HOLDER).unwrap();
        let mut settings = PoolSettings {
            name: "test".into(),
            adapter: "snakepit.demo.showcase".into(),
            python: python(),
            size: 1,
            env: BTreeMap::from([("PYTHONPATH".into(), folder.path().display().to_string())]),
            drain_timeout_ms: 2_000,
            ..Default::default()
        };
        change(&mut settings);
        let socket = socket_path(folder.path()).unwrap();
        let incoming = listen_unix(&socket).unwrap();
        let pools = Pools::start(vec![settings], 1, socket).unwrap();
        let service = pools.service();
        let server = tokio::spawn(async move {
            server()
                .add_service(service)
                .serve_with_incoming(incoming)
                .await
                .unwrap();
        });
        Self {
            pools,
            server,
            folder,
        }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    async fn call(&self, tool: &str, arguments: &[(&str, &str)]) -> Result<CallOutcome, CallError> {
        self.pools.call(call(tool, arguments)).await
    }

    /// Wait until a worker runs something.
    async fn busy(&self) -> u32 {
        let busy = || {
            self.pools
                .workers()
                .into_iter()
                .find(|worker| worker.running > 0)
        };
        eventually("a busy worker", || busy().map(|worker| worker.pid)).await
    }

    async fn stop(self) {
        let pids: Vec<_> = self
            .pools
            .workers()
            .iter()
            .map(|worker| worker.pid)
            .collect();
        self.pools
            .drain_and_stop(Instant::now() + Duration::from_secs(5))
            .await;
        for pid in pids.into_iter().filter(|pid| *pid != 0) {
            assert!(!alive(pid), "process {pid} lives on");
        }
        self.server.abort();
    }
}

fn call(tool: &str, arguments: &[(&str, &str)]) -> ToolCall {
    let any = |json: &str| Any {
        type_url: if json.starts_with('"') {
            STRING
        } else {
            INTEGER
        }
        .to_owned(),
        value: json.as_bytes().to_vec(),
    };
    ToolCall {
        call_id: format!("call-of-{tool}"),
        tool: tool.into(),
        parameters: arguments
            .iter()
            .map(|(name, json)| ((*name).into(), any(json)))
            .collect(),
        principal: "tester".into(),
        ..Default::default()
    }
}

fn json(text: &str) -> String {
    format!("{text:?}")
}

fn value(outcome: &CallOutcome) -> String {
    assert!(outcome.success, "{:?}", outcome.error);
    String::from_utf8(outcome.value.as_ref().unwrap().value.clone()).unwrap()
}

fn alive(pid: u32) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|text| {
            text.rsplit(") ")
                .next()
                .and_then(|rest| rest.chars().next())
        });
    state.is_some_and(|state| state != 'Z')
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

async fn eventually<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let limit = Instant::now() + SOON;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < limit, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_have_outcomes_and_errors() {
    let rig = Rig::new(|_| {}).await;
    let outcome = rig.call("echo", &[("value", "\"hello\"")]).await.unwrap();
    assert_eq!(value(&outcome), "\"hello\"");
    assert!(outcome.worker_id.starts_with("test-1.0-"));
    let outcome = rig.call("fail", &[("message", "\"oh\"")]).await.unwrap();
    let error = outcome.error.unwrap();
    assert_eq!(
        (
            outcome.success,
            error.r#type.as_str(),
            error.message.as_str()
        ),
        (false, "ValueError", "oh")
    );
    let error = rig.call("ecko", &[]).await.unwrap_err();
    assert_eq!(error.kind(), CallErrorKind::NotFound);
    assert!(error.to_string().contains("echo"), "{error}");
    let tools = rig.pools.tools();
    assert!(tools.iter().any(|tool| tool.name == "add") && tools.len() > 5);
    let worker = &rig.pools.workers()[0];
    assert_eq!((worker.state.as_str(), worker.calls), ("ready", 2));
    assert!(worker.rss_bytes > 1_000_000, "{worker:?}");
    let told = rig.pools.capacities().remove(0);
    assert_eq!((told.slots, told.free, told.queued), (1, 1, 0));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_at_once_all_come_back() {
    let rig = Rig::new(|settings| settings.size = 2).await;
    let calls = (0..500).map(|number| {
        let pools = rig.pools.clone();
        tokio::spawn(async move {
            let text = json(&number.to_string());
            assert_eq!(
                value(&pools.call(call("echo", &[("value", &text)])).await.unwrap()),
                text
            );
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_worker_is_told_of_and_replaced() {
    let rig = Rig::new(|_| {}).await;
    let error = rig.call("kill_self", &[]).await.unwrap_err();
    assert!(
        matches!(&error, CallError::WorkerDied { maybe: true, .. }),
        "{error}"
    );
    assert!(error.maybe_done());
    // The next call waits for the replacement.
    let outcome = rig.call("echo", &[("value", "1")]).await.unwrap();
    assert_eq!(value(&outcome), "1");
    assert_eq!(rig.pools.workers()[0].restarts, 1);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_killed_from_outside_may_be_done_and_runs_once() {
    let rig = Rig::new(|settings| settings.adapter = "holder".into()).await;
    let (pools, path) = (rig.pools.clone(), rig.path("marks"));
    let argument = json(&path);
    let running = tokio::spawn(async move {
        pools
            .call(call(
                "mark_and_sleep",
                &[("path", &argument), ("ms", "60000")],
            ))
            .await
    });
    eventually("the mark", || {
        std::fs::read(&path).ok().filter(|marks| !marks.is_empty())
    })
    .await;
    kill(rig.busy().await);
    assert!(running.await.unwrap().unwrap_err().maybe_done());
    rig.call(
        "mark_and_sleep",
        &[("path", &json(&rig.path("other"))), ("ms", "0")],
    )
    .await
    .unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"x");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_worker_has_a_successor_before_it_goes() {
    let rig = Rig::new(|_| {}).await;
    let before = rig.pools.workers()[0].id.clone();
    let pools = rig.pools.clone();
    let running = tokio::spawn(async move { pools.call(call("sleep_ms", &[("ms", "300")])).await });
    rig.busy().await;
    assert_eq!(
        rig.pools.control(Control::Restart, "", "test"),
        std::slice::from_ref(&before)
    );
    let least = std::cell::Cell::new(1);
    eventually("the successor", || {
        least.set(least.get().min(rig.pools.readiness()[0].ready));
        (rig.pools.workers()[0].id != before).then_some(())
    })
    .await;
    assert_eq!(least.get(), 1, "the pool was never without a worker");
    assert!(running.await.unwrap().unwrap().success);
    rig.call("echo", &[("value", "1")]).await.unwrap();
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_can_be_started_without_a_fork() {
    let rig = Rig::new(|settings| settings.start = Start::Spawn).await;
    rig.call("echo", &[("value", "1")]).await.unwrap();
    let error = rig.call("kill_self", &[]).await.unwrap_err();
    assert!(error.maybe_done());
    rig.call("echo", &[("value", "1")]).await.unwrap();
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pools_come_change_and_go() {
    let rig = Rig::new(|_| {}).await;
    let of = |name: &str, size| PoolSettings {
        name: name.into(),
        adapter: "snakepit.demo.showcase".into(),
        python: python(),
        size,
        ..Default::default()
    };
    let test = of("test", 1);
    rig.pools.apply(vec![test.clone(), of("more", 2)]);
    tokio::time::timeout(SOON, rig.pools.ready()).await.unwrap();
    let ready = |name: &str| {
        let found = rig
            .pools
            .readiness()
            .into_iter()
            .find(|pool| pool.pool == name);
        found.map(|pool| pool.ready)
    };
    eventually("two workers", || (ready("more") == Some(2)).then_some(())).await;
    rig.pools.apply(vec![test.clone(), of("more", 1)]);
    eventually("one of them", || (ready("more") == Some(1)).then_some(())).await;
    let named = ToolCall {
        pool: "more".into(),
        ..call("echo", &[("value", "1")])
    };
    assert_eq!(rig.pools.call(named.clone()).await.unwrap().pool, "more");
    rig.pools.apply(vec![test]);
    assert_eq!(ready("more"), None);
    let error = rig.pools.call(named).await.unwrap_err();
    assert!(matches!(error, CallError::NoSuchPool { .. }), "{error}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_timed_out_in_the_queue_never_runs() {
    let rig = Rig::new(|settings| {
        settings.adapter = "holder".into();
        settings.queue_timeout_ms = 100;
        settings.queue_max = 1;
    })
    .await;
    let (pools, first) = (rig.pools.clone(), json(&rig.path("first")));
    let running = tokio::spawn(async move {
        pools
            .call(call("mark_and_sleep", &[("path", &first), ("ms", "700")]))
            .await
    });
    rig.busy().await;
    let (pools, second) = (rig.pools.clone(), json(&rig.path("second")));
    let waiting = tokio::spawn(async move {
        pools
            .call(call("mark_and_sleep", &[("path", &second), ("ms", "0")]))
            .await
    });
    eventually("the waiting call", || {
        (rig.pools.capacities()[0].queued == 1).then_some(())
    })
    .await;
    let full = rig.call("mark_and_sleep", &[]).await.unwrap_err();
    assert!(
        matches!(full, CallError::QueueFull { queued: 1, .. }),
        "{full}"
    );
    let late = waiting.await.unwrap().unwrap_err();
    assert!(matches!(late, CallError::QueueTimeout { .. }), "{late}");
    assert!(!late.maybe_done());
    running.await.unwrap().unwrap();
    // Whatever was in front of it would have run by now.
    rig.call(
        "mark_and_sleep",
        &[("path", &json(&rig.path("third"))), ("ms", "0")],
    )
    .await
    .unwrap();
    assert!(!Path::new(&rig.path("second")).exists());
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_tool_past_its_deadline_is_killed_and_an_async_one_cancelled() {
    let rig = Rig::new(|settings| settings.cancel_grace_ms = 100).await;
    let before = rig.pools.workers()[0].pid;
    let soon = || Some(Instant::now() + Duration::from_millis(200));
    let late = ToolCall {
        deadline: soon(),
        ..call("async_sleep_ms", &[("ms", "60000")])
    };
    let error = rig.pools.call(late).await.unwrap_err();
    assert_eq!(error.kind(), CallErrorKind::Deadline);
    rig.call("echo", &[("value", "1")]).await.unwrap();
    assert_eq!(
        rig.pools.workers()[0].pid,
        before,
        "an async tool costs no process"
    );

    let late = ToolCall {
        deadline: soon(),
        ..call("sleep_ms", &[("ms", "60000")])
    };
    let began = Instant::now();
    let error = rig.pools.call(late).await.unwrap_err();
    // Either side may have seen it first.
    assert_eq!(error, CallError::DeadlineExceeded { maybe: true });
    assert!(began.elapsed() < Duration::from_secs(2));
    rig.call("echo", &[("value", "1")]).await.unwrap();
    assert_ne!(rig.pools.workers()[0].pid, before);
    assert!(!alive(before));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_a_call_cancels_it() {
    let rig = Rig::new(|settings| {
        settings.adapter = "holder".into();
        settings.cancel_grace_ms = 50;
    })
    .await;
    let pid = rig.pools.workers()[0].pid;
    let (pools, path) = (rig.pools.clone(), rig.path("mark"));
    let argument = json(&path);
    let running = tokio::spawn(async move {
        let arguments = [("path", argument.as_str()), ("ms", "60000")];
        pools.call(call("mark_and_sleep", &arguments)).await
    });
    eventually("the tool runs", || Path::new(&path).exists().then_some(())).await;
    running.abort();
    eventually("the end of the worker", || (!alive(pid)).then_some(())).await;
    let other = json(&rig.path("other"));
    let arguments = [("path", other.as_str()), ("ms", "0")];
    rig.call("mark_and_sleep", &arguments).await.unwrap();
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_comes_whole_and_in_order() {
    let rig = Rig::new(|_| {}).await;
    let stream = rig
        .pools
        .stream(call("count_stream", &[("count", "300")]))
        .await
        .unwrap();
    let chunks: Vec<_> = stream.map(Result::unwrap).collect().await;
    assert_eq!(chunks.len(), 300);
    for (number, chunk) in chunks.iter().enumerate() {
        let text = String::from_utf8_lossy(&chunk.data).replace(' ', "");
        assert_eq!(text, format!("{{\"n\":{number}}}"));
        assert_eq!(chunk.is_final, number == 299);
    }
    let mut stream = rig.pools.stream(call("fail", &[])).await.unwrap();
    let error = stream.next().await.unwrap().unwrap_err();
    assert!(
        matches!(&error, CallError::ToolFailed { error } if error.r#type == "ValueError"),
        "{error}"
    );
    assert!(stream.next().await.is_none());
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_holds_a_stream_back_and_dropping_it_ends_it() {
    let rig = Rig::new(|settings| settings.chunk_credits = 4).await;
    let pid = rig.pools.workers()[0].pid;
    let mut stream = rig
        .pools
        .stream(call("count_stream", &[("count", "1000000")]))
        .await
        .unwrap();
    for _ in 0..10 {
        stream.next().await.unwrap().unwrap();
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(
        stream.chunks_waiting() <= 4,
        "{} chunks are here",
        stream.chunks_waiting()
    );
    drop(stream);
    // A generator ends between two chunks: no process is lost.
    rig.call("echo", &[("value", "1")]).await.unwrap();
    assert_eq!(rig.pools.workers()[0].pid, pid);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_lets_calls_end_and_refuses_others() {
    let rig = Rig::new(|_| {}).await;
    let running = tokio::spawn({
        let pools = rig.pools.clone();
        async move { pools.call(call("sleep_ms", &[("ms", "300")])).await }
    });
    let pid = rig.busy().await;
    let pools = rig.pools.clone();
    let waiting = tokio::spawn(async move { pools.call(call("echo", &[("value", "1")])).await });
    eventually("the waiting call", || {
        (rig.pools.capacities()[0].queued == 1).then_some(())
    })
    .await;
    rig.pools
        .drain_and_stop(Instant::now() + Duration::from_secs(5))
        .await;
    assert!(!alive(pid));
    assert!(running.await.unwrap().unwrap().success);
    assert_eq!(waiting.await.unwrap(), Err(CallError::Draining));
    assert_eq!(rig.call("echo", &[]).await, Err(CallError::Draining));
    rig.server.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_kills_what_does_not_end_in_time() {
    let rig = Rig::new(|settings| {
        settings.adapter = "holder".into();
        settings.drain_timeout_ms = 200;
    })
    .await;
    let (pools, mark) = (rig.pools.clone(), rig.folder.path().join("mark"));
    let path = format!("\"{}\"", mark.display());
    let running = tokio::spawn(async move {
        let arguments = [("path", path.as_str()), ("ms", "60000")];
        pools.call(call("mark_and_sleep", &arguments)).await
    });
    // A worker that has the call may not have begun it yet; what it has not begun is not done.
    eventually("the tool runs", || mark.exists().then_some(())).await;
    let began = Instant::now();
    rig.stop().await;
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
    assert!(running.await.unwrap().unwrap_err().maybe_done());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adapter_that_does_not_load_backs_off() {
    let rig = Rig::unready(|settings| {
        settings.adapter = "no.such.adapter".into();
        settings.backoff_min_ms = 100;
        settings.backoff_max_ms = 60_000;
        settings.queue_timeout_ms = 200;
    });
    eventually("two restarts", || {
        (rig.pools.workers()[0].restarts >= 2).then_some(())
    })
    .await;
    let readiness = rig.pools.readiness().remove(0);
    assert_eq!(readiness.ready, 0);
    let problem = readiness.problem.unwrap();
    assert!(
        problem.contains("code 2") && problem.contains("no.such") || problem.contains("'no'"),
        "{problem}"
    );
    // Nobody knows the tools yet: a call waits, within its limits.
    let error = rig.call("echo", &[]).await.unwrap_err();
    assert!(matches!(error, CallError::QueueTimeout { .. }), "{error}");
    eventually("the pause", || {
        (rig.pools.workers()[0].state == "backing_off").then_some(())
    })
    .await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interpreter_that_is_not_there_is_named() {
    let rig = Rig::unready(|settings| settings.python = "no-such-python".into());
    let problem = eventually("the problem", || rig.pools.readiness().remove(0).problem).await;
    assert!(
        problem.contains("no-such-python") && problem.contains("hint"),
        "{problem}"
    );
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workers_children_die_with_it() {
    let rig = Rig::new(|settings| settings.adapter = "holder".into()).await;
    let outcome = rig.call("start_child", &[]).await.unwrap();
    let child: u32 = value(&outcome).parse().unwrap();
    assert!(alive(child));
    kill(rig.pools.workers()[0].pid);
    eventually("the child's end", || (!alive(child)).then_some(())).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_pools_kills_the_workers() {
    let Rig {
        pools,
        server,
        folder: _folder,
    } = Rig::new(|_| {}).await;
    let pid = pools.workers()[0].pid;
    drop(pools);
    server.abort();
    eventually("the worker's end", || (!alive(pid)).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_is_not_let_in() {
    use snakepit_proto::worker::worker_service_client::WorkerServiceClient;
    use snakepit_proto::worker::{FromWorker, Hello, from_worker::Message};

    let rig = Rig::new(|_| {}).await;
    let socket = format!("unix://{}", rig.path("worker.sock"));
    let channel = tonic::transport::Endpoint::from_shared(socket)
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut client = WorkerServiceClient::new(channel);
    let worker_id = rig.pools.workers()[0].id.clone();
    for (protocol, code) in [
        (1, tonic::Code::PermissionDenied),
        (9, tonic::Code::FailedPrecondition),
    ] {
        let hello = Hello {
            protocol,
            worker_id: worker_id.clone(),
            token: "x".into(),
            ..Default::default()
        };
        let hello = FromWorker {
            message: Some(Message::Hello(hello)),
        };
        assert_eq!(
            client
                .connect(tokio_stream::iter([hello]))
                .await
                .unwrap_err()
                .code(),
            code
        );
    }
    rig.call("echo", &[("value", "1")]).await.unwrap();
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_slots_run_several_calls() {
    let rig = Rig::new(|settings| {
        settings.slots = 4;
        settings.concurrency = Concurrency::Thread;
    })
    .await;
    let began = Instant::now();
    let calls: Vec<_> = (0..4)
        .map(|_| {
            let pools = rig.pools.clone();
            tokio::spawn(async move { pools.call(call("sleep_ms", &[("ms", "500")])).await })
        })
        .collect();
    for call in calls {
        assert!(call.await.unwrap().unwrap().success);
    }
    assert!(
        began.elapsed() < Duration::from_millis(1_500),
        "{:?}",
        began.elapsed()
    );
    rig.stop().await;
}

#[test]
fn settings_are_checked_before_anything_starts() {
    let settings = PoolSettings {
        adapter: "a".into(),
        slots: 0,
        ..Default::default()
    };
    let error = Pools::start(vec![settings], 1, "/nowhere".into())
        .err()
        .unwrap();
    assert!(error.to_string().contains("slots"), "{error}");
}
