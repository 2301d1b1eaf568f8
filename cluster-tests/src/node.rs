//! One node's process.

use std::fs::{self, OpenOptions};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::processes::{self, MARK};
use crate::programs;
use crate::settings::{Addresses, Spec};

/// Time that a node may take to end by itself.
const END: Duration = Duration::from_secs(25);
/// Lines of a log that are shown when a test fails.
const LINES_SHOWN: usize = 60;

/// A node: its place, and its process where it runs.
#[derive(Debug)]
pub struct Node {
    /// Its number.
    pub id: u64,
    /// Where it is reached.
    pub addresses: Addresses,
    /// Its folder: `node.toml`, `data/`, `log`.
    pub dir: PathBuf,
    /// In the environment of its processes.
    mark: String,
    child: Option<Child>,
    paused: bool,
}

impl Node {
    pub(crate) fn new(spec: &Spec, id: u64, address: Ipv4Addr, root: &Path, mark: &str) -> Self {
        let dir = root.join(format!("n{id}"));
        fs::create_dir_all(&dir).expect("the folder for temporary files can be written");
        let node = Self {
            id,
            addresses: Addresses::of(address, id),
            dir,
            mark: mark.to_owned(),
            child: None,
            paused: false,
        };
        node.write_settings(&spec.toml(id, address, &node.data()));
        node
    }

    /// Its data folder.
    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Its settings file.
    pub fn settings(&self) -> PathBuf {
        self.dir.join("node.toml")
    }

    /// Give it other settings, for its next start.
    pub fn write_settings(&self, text: &str) {
        fs::write(self.settings(), text).expect("the folder for temporary files can be written");
    }

    /// Start it.
    pub fn start(&mut self) {
        assert!(self.child.is_none(), "node {} runs already", self.id);
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.dir.join("log"));
        let log = log.expect("the folder for temporary files can be written");
        let mut command = self.command();
        command
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log);
        self.child = Some(command.spawn().expect("the binary can be run"));
    }

    /// Run it to its end: what it says, and how it ended.
    ///
    /// # Panics
    ///
    /// Where it does not end.
    pub fn refuse(&self) -> (ExitStatus, String) {
        let mut child = self
            .command()
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let child = child.as_mut().expect("the binary can be run");
        let status = ended(child, END).unwrap_or_else(|| {
            let _ = child.kill();
            let _ = child.wait();
            panic!("node {} runs on where it should refuse to", self.id)
        });
        let mut said = String::new();
        let pipe = child.stderr.as_mut().expect("it was asked for");
        std::io::Read::read_to_string(pipe, &mut said).expect("its words can be read");
        (status, said)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(programs::snakepit());
        command.arg("node").arg("--config").arg(self.settings());
        command
            .stdin(Stdio::null())
            .current_dir(&self.dir)
            .env(MARK, &self.mark);
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"SNAKEPIT_") {
                command.env_remove(name);
            }
        }
        command
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.as_mut().map(Child::try_wait), Some(Ok(None)))
    }

    /// Whether it was started and not ended on purpose since.
    pub fn is_started(&self) -> bool {
        self.child.is_some()
    }

    /// Its process.
    ///
    /// # Panics
    ///
    /// Where it does not run.
    pub fn pid(&self) -> u32 {
        self.child
            .as_ref()
            .unwrap_or_else(|| panic!("node {} does not run", self.id))
            .id()
    }

    /// Kill it, as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.paused = false;
    }

    /// Ask it to end, and wait until it has: how it ended.
    ///
    /// # Panics
    ///
    /// Where it does not end.
    pub fn stop(&mut self) -> ExitStatus {
        processes::signal(self.pid(), Signal::TERM);
        self.join()
    }

    /// Wait until it has ended, having been asked to: how it ended.
    ///
    /// # Panics
    ///
    /// Where it does not end.
    pub fn join(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it runs");
        match ended(&mut child, END) {
            Some(status) => status,
            None => {
                self.child = Some(child);
                panic!("node {} does not end when it is asked to", self.id)
            }
        }
    }

    /// Stop its clockwork, as a hanging machine would.
    pub fn pause(&mut self) {
        self.paused = processes::signal(self.pid(), Signal::STOP);
    }

    /// Let it run on.
    pub fn resume(&mut self) {
        processes::signal(self.pid(), Signal::CONT);
        self.paused = false;
    }

    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// What it has said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// Print the end of its log.
    pub fn show_log(&self) {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        println!("--- node {}, the last of {} lines", self.id, lines.len());
        for line in &lines[lines.len().saturating_sub(LINES_SHOWN)..] {
            println!("{line}");
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

fn ended(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let began = Instant::now();
    while began.elapsed() < patience {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    None
}
