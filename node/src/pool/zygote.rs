//! The process that a pool's workers are forked from. It has loaded what every worker needs, so that a worker
//! is there in a few milliseconds and shares that memory with the others.
//!
//! A worker is forked twice: the one in between ends at once, and the kernel gives the worker to the node, its
//! nearest ancestor that takes orphans. From then on it is like a process that the node itself has started.
//! The other side is `python/src/snakepit/worker/_zygote.py`.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
    sendmsg, socketpair,
};
use rustix::process::Pid;
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Mutex;

use super::output::Output;
use super::process::Process;
use super::settings::PoolSettings;
use super::spawn::{Spawner, WorkerEnvironment};

/// Longest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// How long a fork may take.
const FORK_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Serialize)]
struct Request<'a> {
    env: BTreeMap<&'a str, String>,
    adapter: &'a str,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    ready: bool,
    #[serde(default)]
    pid: i32,
    #[serde(default)]
    error: String,
}

/// A pool's; it is started when a worker is first wanted, and again after its death.
pub(super) struct Zygote {
    spawner: Arc<Spawner>,
    running: Mutex<Option<Running>>,
}

struct Running {
    /// What it was started with.
    settings: Arc<PoolSettings>,
    socket: AsyncFd<OwnedFd>,
    process: Process,
}

impl Zygote {
    pub(super) fn new(spawner: Arc<Spawner>) -> Self {
        Self {
            spawner,
            running: Mutex::default(),
        }
    }

    /// Fork a worker.
    pub(super) async fn fork(
        &self,
        settings: &Arc<PoolSettings>,
        environment: &WorkerEnvironment<'_>,
    ) -> io::Result<Process> {
        let mut held = self.running.lock().await;
        let fits = |running: &Running| {
            !settings.needs_new_workers(&running.settings) && !running.process.has_exited()
        };
        // Taken out: what is interrupted half way is not used again.
        let running = match held.take().filter(fits) {
            Some(running) => running,
            None => Running::start(&self.spawner, settings).await?,
        };
        let forked = tokio::time::timeout(
            FORK_TIMEOUT,
            running.fork(&self.spawner, settings, environment),
        )
        .await
        .unwrap_or_else(|_| {
            Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the fork took too long",
            ))
        });
        if forked.is_ok() {
            *held = Some(running);
        }
        forked
    }

    /// End it; workers that it forked go on.
    pub(super) async fn end(&self) {
        if let Some(mut running) = self.running.lock().await.take() {
            running.process.end().await;
        }
    }
}

impl Running {
    async fn start(spawner: &Arc<Spawner>, settings: &Arc<PoolSettings>) -> io::Result<Self> {
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        let mut process = spawner.spawn_zygote(settings, theirs).await?;
        let socket = watch(ours)?;
        let patience = Duration::from_millis(settings.start_timeout_ms);
        let ready = tokio::select! {
            answer = receive(&socket) => answer.map(|answer| answer.ready),
            () = process.exited() => Ok(false),
            () = tokio::time::sleep(patience) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("it was not ready within {} ms; raise start_timeout_ms", settings.start_timeout_ms),
            )),
        };
        match ready {
            Ok(true) => Ok(Self {
                settings: settings.clone(),
                socket,
                process,
            }),
            other => {
                let status = process.end().await;
                let words = process.last_words();
                let reason = other
                    .err()
                    .map(|error| format!("{error}; "))
                    .unwrap_or_default();
                Err(io::Error::other(format!(
                    "the process that workers are forked from ended {status}; {reason}its log: {words}"
                )))
            }
        }
    }

    async fn fork(
        &self,
        spawner: &Arc<Spawner>,
        settings: &PoolSettings,
        environment: &WorkerEnvironment<'_>,
    ) -> io::Result<Process> {
        let (stdout, stdout_end) = io::pipe()?;
        let (stderr, stderr_end) = io::pipe()?;
        let variables = environment.variables(settings);
        let text = |(name, value): (&'static str, std::ffi::OsString)| {
            let value = value.into_string().map_err(|value| {
                io::Error::new(
                    io::ErrorKind::InvalidInput,
                    format!("{name} is not UTF-8: {}", value.display()),
                )
            })?;
            Ok((name, value))
        };
        let request = Request {
            env: variables.into_iter().map(text).collect::<io::Result<_>>()?,
            adapter: &settings.adapter,
        };
        let request = serde_json::to_vec(&request)?;
        self.socket
            .async_io(Interest::WRITABLE, |socket| {
                let fds = [stdout_end.as_fd(), stderr_end.as_fd()];
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
                let mut control = SendAncillaryBuffer::new(&mut space);
                control.push(SendAncillaryMessage::ScmRights(&fds));
                sendmsg(
                    socket,
                    &[IoSlice::new(&request)],
                    &mut control,
                    SendFlags::NOSIGNAL,
                )
                .map_err(io::Error::from)
            })
            .await?;
        drop((stdout_end, stderr_end));
        let answer = receive(&self.socket).await?;
        let pid = Pid::from_raw(answer.pid)
            .filter(|_| answer.error.is_empty())
            .ok_or_else(|| io::Error::other(format!("no worker was forked: {}", answer.error)))?;
        let output = Output::capture(
            stdout.into(),
            stderr.into(),
            environment.worker_id,
            &settings.name,
        )?;
        Process::new(pid, output, spawner.clone())
    }
}

async fn receive(socket: &AsyncFd<OwnedFd>) -> io::Result<Answer> {
    let mut bytes = vec![0; ANSWER_BYTES_MAX];
    let length = socket
        .async_io(Interest::READABLE, |socket| {
            Ok(rustix::io::read(socket, &mut bytes)?)
        })
        .await?;
    if length == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_slice(&bytes[..length])?)
}

// The new constructor is an unsafe function, for types that lend their descriptor out. This one is owned.
#[allow(deprecated)]
fn watch(socket: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(socket)
}
