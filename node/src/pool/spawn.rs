//! Starts processes: workers by themselves, and those that workers are forked from.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rustix::process::{Pid, set_child_subreaper};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::frames;
use super::guard::Guard;
use super::output::Output;
use super::process::Process;
use super::settings::{INSTANCE, PoolSettings};
use super::sweep;

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

impl WorkerEnvironment<'_> {
    /// The variables that the node sets, over all others.
    pub(super) fn variables(&self, settings: &PoolSettings) -> Vec<(&'static str, OsString)> {
        let mut variables: Vec<(&'static str, OsString)> = vec![
            ("SNAKEPIT_PROCESS", "worker".into()),
            ("SNAKEPIT_WORKER_SOCKET", self.socket.into()),
            (
                "SNAKEPIT_WORKER_FRAMES",
                frames::beside(self.socket).into_os_string(),
            ),
            ("SNAKEPIT_WORKER_TOKEN", self.token.into()),
            ("SNAKEPIT_WORKER_ID", self.worker_id.into()),
            ("SNAKEPIT_WORKER_ADAPTER", settings.adapter.clone().into()),
            ("SNAKEPIT_WORKER_SLOTS", settings.slots.to_string().into()),
            (
                "SNAKEPIT_WORKER_CREDITS",
                settings.credits().to_string().into(),
            ),
            (
                "SNAKEPIT_WORKER_CONCURRENCY",
                settings.concurrency.name().into(),
            ),
            (
                "SNAKEPIT_WORKER_RECONNECT_MS",
                settings.reconnect_ms.to_string().into(),
            ),
            (
                "SNAKEPIT_MESSAGE_BYTES_MAX",
                settings.message_bytes_max.to_string().into(),
            ),
            ("SNAKEPIT_NODE_PID", std::process::id().to_string().into()),
            ("SNAKEPIT_NODE_ID", self.node_id.to_string().into()),
            ("SNAKEPIT_POOL", settings.name.clone().into()),
        ];
        if settings.instance != super::settings::Instance::Adapter {
            variables.push(("SNAKEPIT_WORKER_INSTANCE", settings.instance.name().into()));
        }
        variables
    }
}

struct Job {
    command: Command,
    reply: oneshot::Sender<io::Result<Child>>,
}

/// One thread that starts all processes, and lives as long as any of them: the kernel sends a worker's
/// death signal when the *thread* that started it ends, and a runtime's threads may end at any time.
pub(super) struct Spawner {
    jobs: mpsc::Sender<Job>,
    pub(super) guard: Guard,
    /// Names all processes of this spawner.
    instance: String,
    sweeper: CancellationToken,
}

impl Spawner {
    /// Start the thread. Must be called in a runtime. From here on this process is given the orphans of its
    /// descendants: workers that were forked for it, and what workers leave behind.
    pub(super) fn start() -> io::Result<Arc<Self>> {
        set_child_subreaper(Some(rustix::process::getpid()))?;
        let (jobs, queue) = mpsc::channel(JOBS_MAX);
        std::thread::Builder::new()
            .name("snakepit-spawn".into())
            .spawn(move || spawn_all(queue))?;
        let instance = format!("{:032x}", rand::random::<u128>());
        let sweeper = CancellationToken::new();
        let spawner = Arc::new(Self {
            jobs,
            guard: Guard::new(&instance),
            instance,
            sweeper: sweeper.clone(),
        });
        tokio::spawn(sweep::sweep(Arc::downgrade(&spawner), sweeper));
        Ok(spawner)
    }

    /// What names all processes of this spawner, in their environment.
    pub(super) fn instance(&self) -> &str {
        &self.instance
    }

    /// Start a worker of a pool by itself.
    pub(super) async fn spawn(
        self: &Arc<Self>,
        settings: &PoolSettings,
        environment: &WorkerEnvironment<'_>,
    ) -> io::Result<Process> {
        let mut command = match settings.command.split_first() {
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments);
                command
            }
            None => {
                let mut command = Command::new(settings.interpreter());
                command.args(["-m", "snakepit.worker", "--adapter", &settings.adapter]);
                command
            }
        };
        self.prepare(&mut command, settings);
        command
            .stdin(Stdio::null())
            .envs(environment.variables(settings));
        self.launch(command, environment.worker_id, &settings.name)
            .await
    }

    /// Start the process that a pool's workers are forked from; `socket` becomes its standard input.
    pub(super) async fn spawn_zygote(
        self: &Arc<Self>,
        settings: &PoolSettings,
        socket: OwnedFd,
    ) -> io::Result<Process> {
        let mut command = Command::new(settings.interpreter());
        command.args([
            "-m",
            "snakepit.worker",
            "--zygote",
            "--adapter",
            &settings.adapter,
        ]);
        if settings.preload {
            command.arg("--preload");
        }
        self.prepare(&mut command, settings);
        command
            .stdin(Stdio::from(socket))
            .env("SNAKEPIT_PROCESS", "zygote")
            .env("SNAKEPIT_NODE_PID", std::process::id().to_string());
        let name = format!("{}-zygote", settings.name);
        self.launch(command, &name, &settings.name).await
    }

    async fn launch(
        self: &Arc<Self>,
        mut command: Command,
        worker: &str,
        pool: &str,
    ) -> io::Result<Process> {
        let gone = || io::Error::other("the thread that starts workers has ended");
        let (stdout, stdout_end) = io::pipe()?;
        let (stderr, stderr_end) = io::pipe()?;
        command
            .stdout(Stdio::from(stdout_end))
            .stderr(Stdio::from(stderr_end))
            .process_group(0);
        let (reply, answer) = oneshot::channel();
        self.jobs
            .send(Job { command, reply })
            .await
            .map_err(|_| gone())?;
        let child = answer.await.map_err(|_| gone())??;
        let pid = Pid::from_raw(child.id().cast_signed())
            .ok_or_else(|| io::Error::other("the process has no number"))?;
        // Not waited for through `child`, which reaps nothing when it is dropped.
        drop(child);
        let output = Output::capture(stdout.into(), stderr.into(), worker, pool)?;
        Process::new(pid, output, self.clone())
    }

    fn prepare(&self, command: &mut Command, settings: &PoolSettings) {
        // The node's own settings, secrets among them, are not the workers'.
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"SNAKEPIT_") {
                command.env_remove(name);
            }
        }
        for name in ONE_THREAD {
            command.env(name, "1");
        }
        if !settings.venv.is_empty() {
            command.env("VIRTUAL_ENV", &settings.venv);
        }
        command
            .env("PYTHONUNBUFFERED", "1")
            .envs(&settings.env)
            .env(INSTANCE, &self.instance);
        if !settings.cwd.is_empty() {
            command.current_dir(&settings.cwd);
        }
    }
}

impl Drop for Spawner {
    fn drop(&mut self) {
        self.sweeper.cancel();
    }
}

fn spawn_all(mut queue: mpsc::Receiver<Job>) {
    while let Some(mut job) = queue.blocking_recv() {
        if let Err(Ok(mut child)) = job.reply.send(job.command.spawn()) {
            // Whoever asked has gone.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
