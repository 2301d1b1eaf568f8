//! Starts workers' processes.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use process_wrap::tokio::{ChildWrapper, CommandWrap, ProcessGroup};
use tokio::process::Command;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::guard::Guard;
use super::output::Output;
use super::process::Process;
use super::settings::PoolSettings;

/// Starts that wait for the thread; pools bound them further by `start_batch`.
const JOBS_MAX: usize = 16;

/// Libraries that would start a thread per core in each worker.
const ONE_THREAD: &[&str] = &[
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
];

/// What differs from worker to worker.
pub(super) struct WorkerEnvironment<'a> {
    pub(super) worker_id: &'a str,
    pub(super) token: &'a str,
    pub(super) node_id: u64,
    pub(super) socket: &'a Path,
}

struct Job {
    command: CommandWrap,
    reply: oneshot::Sender<io::Result<Box<dyn ChildWrapper>>>,
}

/// One thread that starts all workers, and lives as long as any of them: the kernel sends a worker's
/// death signal when the *thread* that started it ends, and a runtime's threads may end at any time.
pub(super) struct Spawner {
    jobs: mpsc::Sender<Job>,
    pub(super) guard: Guard,
}

impl Spawner {
    /// Start the thread. Must be called in a runtime.
    pub(super) fn start() -> io::Result<Arc<Self>> {
        let (jobs, queue) = mpsc::channel(JOBS_MAX);
        let runtime = Handle::current();
        std::thread::Builder::new()
            .name("snakepit-spawn".into())
            .spawn(move || spawn_all(queue, &runtime))?;
        Ok(Arc::new(Self {
            jobs,
            guard: Guard::default(),
        }))
    }

    /// Start a worker of a pool.
    pub(super) async fn spawn(
        self: &Arc<Self>,
        settings: &PoolSettings,
        environment: &WorkerEnvironment<'_>,
    ) -> io::Result<Process> {
        let gone = || io::Error::other("the thread that starts workers has ended");
        let (reply, answer) = oneshot::channel();
        let command = command(settings, environment);
        self.jobs
            .send(Job { command, reply })
            .await
            .map_err(|_| gone())?;
        let mut child = answer.await.map_err(|_| gone())??;
        let output = Output::capture(
            child.stdout().take(),
            child.stderr().take(),
            environment.worker_id,
            &settings.name,
        );
        Process::new(child, output, self.clone())
    }
}

fn spawn_all(mut queue: mpsc::Receiver<Job>, runtime: &Handle) {
    while let Some(mut job) = queue.blocking_recv() {
        let child = {
            let _inside = runtime.enter();
            job.command.spawn()
        };
        if let Err(Ok(mut child)) = job.reply.send(child) {
            // Whoever asked has gone.
            let _ = child.start_kill();
        }
    }
}

fn command(settings: &PoolSettings, environment: &WorkerEnvironment<'_>) -> CommandWrap {
    let mut command = Command::new(&settings.python);
    command
        .args(["-m", "snakepit.worker", "--adapter", &settings.adapter])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // The node's own settings, secrets among them, are not the workers'.
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"SNAKEPIT_") {
            command.env_remove(name);
        }
    }
    for name in ONE_THREAD {
        command.env(name, "1");
    }
    command
        .env("PYTHONUNBUFFERED", "1")
        .envs(&settings.env)
        .env("SNAKEPIT_PROCESS", "worker")
        .env("SNAKEPIT_WORKER_SOCKET", environment.socket)
        .env("SNAKEPIT_WORKER_TOKEN", environment.token)
        .env("SNAKEPIT_WORKER_ID", environment.worker_id)
        .env("SNAKEPIT_WORKER_ADAPTER", &settings.adapter)
        .env("SNAKEPIT_WORKER_SLOTS", settings.slots.to_string())
        .env("SNAKEPIT_WORKER_CREDITS", settings.credits().to_string())
        .env("SNAKEPIT_NODE_PID", std::process::id().to_string())
        .env("SNAKEPIT_NODE_ID", environment.node_id.to_string())
        .env("SNAKEPIT_POOL", &settings.name)
        .env(
            "SNAKEPIT_MESSAGE_BYTES_MAX",
            settings.message_bytes_max.to_string(),
        );
    let mut command = CommandWrap::from(command);
    command.wrap(ProcessGroup::leader());
    command
}
