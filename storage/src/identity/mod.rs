//! Whose data a directory holds, and where in it things are.
//!
//! ```text
//! <data>/identity.json        cluster, node, format
//! <data>/lock                 locked while a process has the directory open
//! <data>/raft/                RocksDB: the Raft log
//! <data>/state/current.json   which generation of the state is the valid one
//! <data>/state/<generation>/  RocksDB: events and rows
//! <data>/snapshots/<id>/      complete snapshots
//! <data>/archive/             segments of archived events, or a link to their folder
//! ```

mod lock;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::error::file;

pub use self::lock::DataLock;

/// The layout of a data directory that this build reads and writes.
pub const FORMAT_VERSION: u32 = 1;

/// Longest cluster id, in bytes.
pub const CLUSTER_ID_BYTES_MAX: usize = 128;

/// Paths in a data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataDir {
    root: PathBuf,
}

impl DataDir {
    /// The directory at a path, whether it exists or not.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The Raft log.
    pub fn raft(&self) -> PathBuf {
        self.root.join("raft")
    }

    /// The generations of the state.
    pub fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    /// The snapshots.
    pub fn snapshots(&self) -> PathBuf {
        self.root.join("snapshots")
    }

    /// Archived events: a folder, or a link to one.
    pub fn archive(&self) -> PathBuf {
        self.root.join("archive")
    }

    /// The identity.
    pub fn identity(&self) -> PathBuf {
        self.root.join("identity.json")
    }

    /// The lock file.
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }
}

/// Whose data it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Layout of the directory.
    pub format_version: u32,
    /// The cluster.
    pub cluster_id: String,
    /// The node.
    pub node_id: u64,
    /// When the directory was made, milliseconds since 1970.
    pub created_ms: u64,
}

/// A data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// It holds another cluster's data.
    #[error(
        "{dir} belongs to cluster {found}, this node is configured for {wanted}; \
         hint: point the node at its own data directory, or correct cluster_id"
    )]
    OtherCluster {
        /// The directory.
        dir: String,
        /// The cluster in it.
        found: String,
        /// The cluster that was configured.
        wanted: String,
    },
    /// It holds another node's data.
    #[error(
        "{dir} belongs to node {found}, this node is configured as {wanted}; \
         hint: point the node at its own data directory, or correct node_id"
    )]
    OtherNode {
        /// The directory.
        dir: String,
        /// The node in it.
        found: u64,
        /// The node that was configured.
        wanted: u64,
    },
    /// Another release made it.
    #[error(
        "{dir} has format version {found}, this build knows {FORMAT_VERSION}; \
         hint: run the release that made it, or a newer one"
    )]
    UnknownFormat {
        /// The directory.
        dir: String,
        /// Its format.
        found: u32,
    },
    /// It holds data, but nothing says whose.
    #[error(
        "{dir} holds data but no readable identity.json: {reason}; \
         hint: restore that file, or begin with an empty data directory"
    )]
    Unreadable {
        /// The directory.
        dir: String,
        /// What is wrong.
        reason: String,
    },
    /// It is new, and no usable cluster id was given.
    #[error(
        "cluster id {0:?} is not usable; hint: set cluster_id to 1 to {CLUSTER_ID_BYTES_MAX} bytes"
    )]
    NoClusterId(String),
    /// Another process has it open.
    #[error(
        "{dir} is in use by another process; hint: stop that node first, or ask it instead of its directory"
    )]
    InUse {
        /// The directory.
        dir: String,
    },
    /// A file operation failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<IdentityError> for io::Error {
    fn from(error: IdentityError) -> Self {
        let kind = match &error {
            IdentityError::Io(source) => source.kind(),
            IdentityError::UnknownFormat { .. } => io::ErrorKind::Unsupported,
            IdentityError::Unreadable { .. } => io::ErrorKind::InvalidData,
            IdentityError::InUse { .. } => io::ErrorKind::ResourceBusy,
            _ => io::ErrorKind::InvalidInput,
        };
        Self::new(kind, error)
    }
}

impl Identity {
    /// The identity of a data directory, checked against the configuration; a new one in an empty directory.
    /// `cluster_id` may be left out where the directory exists. Take a [`DataLock`] first.
    ///
    /// # Errors
    ///
    /// Refuses the data of another cluster or node, and formats that this build does not know.
    pub fn open_or_create(
        dir: &Path,
        node_id: u64,
        cluster_id: Option<&str>,
    ) -> Result<Self, IdentityError> {
        let data = DataDir::new(dir);
        make_dir(dir)?;
        if let Some(identity) = Self::read(dir)? {
            identity.check(dir, node_id, cluster_id)?;
            return Ok(identity);
        }
        if data.raft().exists() || data.state().exists() {
            return Err(unreadable(dir, "the file is missing"));
        }
        let cluster_id = cluster_id.unwrap_or_default();
        if cluster_id.is_empty() || cluster_id.len() > CLUSTER_ID_BYTES_MAX {
            return Err(IdentityError::NoClusterId(cluster_id.to_owned()));
        }
        let identity = Self {
            format_version: FORMAT_VERSION,
            cluster_id: cluster_id.to_owned(),
            node_id,
            created_ms: now_ms(),
        };
        write_json(&data.identity(), &identity)?;
        Ok(identity)
    }

    /// The identity of a data directory; `None` where there is none.
    pub fn read(dir: &Path) -> Result<Option<Self>, IdentityError> {
        let path = DataDir::new(dir).identity();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(file("read", &path)(error).into()),
        };
        let json: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| unreadable(dir, error))?;
        // The version comes first: what else is in the file depends on it.
        let found = json
            .get("format_version")
            .and_then(serde_json::Value::as_u64);
        let found = found.ok_or_else(|| unreadable(dir, "it has no format_version"))?;
        if found != u64::from(FORMAT_VERSION) {
            let found = u32::try_from(found).unwrap_or(u32::MAX);
            return Err(IdentityError::UnknownFormat {
                dir: dir.display().to_string(),
                found,
            });
        }
        serde_json::from_value(json)
            .map(Some)
            .map_err(|error| unreadable(dir, error))
    }

    fn check(&self, dir: &Path, node_id: u64, cluster: Option<&str>) -> Result<(), IdentityError> {
        let dir = dir.display().to_string();
        if let Some(wanted) = cluster
            && wanted != self.cluster_id
        {
            let (found, wanted) = (self.cluster_id.clone(), wanted.to_owned());
            return Err(IdentityError::OtherCluster { dir, found, wanted });
        }
        if node_id != self.node_id {
            return Err(IdentityError::OtherNode {
                dir,
                found: self.node_id,
                wanted: node_id,
            });
        }
        Ok(())
    }
}

fn unreadable(dir: &Path, reason: impl std::fmt::Display) -> IdentityError {
    IdentityError::Unreadable {
        dir: dir.display().to_string(),
        reason: reason.to_string(),
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Make a directory and those above it, durably: what is synced in a directory whose own name is not would
/// be gone after a power failure.
pub(crate) fn make_dir(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        make_dir(parent)?;
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(file("make directory", path)(error));
        }
        _ => {}
    }
    sync_dir(parent.unwrap_or(Path::new(".")))
}

/// Write a JSON file so that a crash leaves the old one or the new one: temporary name, sync, rename, sync.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    let temporary = path.with_extension("json.tmp");
    let mut out = File::create(&temporary).map_err(file("create", &temporary))?;
    out.write_all(&bytes).map_err(file("write", &temporary))?;
    out.sync_all().map_err(file("sync", &temporary))?;
    fs::rename(&temporary, path).map_err(file("rename", &temporary))?;
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    sync_dir(parent.unwrap_or(Path::new(".")))
}

/// Have archived events in a folder elsewhere: `archive` in the data directory becomes a link to it. Nothing where
/// `target` is empty.
///
/// # Errors
///
/// `AlreadyExists` where `archive` is a folder that holds something, or a link to another one.
pub fn link_archive(data: &Path, target: &Path) -> io::Result<()> {
    if target.as_os_str().is_empty() {
        return Ok(());
    }
    make_dir(target)?;
    let target = target.canonicalize().map_err(file("find", target))?;
    let link = DataDir::new(data).archive();
    match fs::symlink_metadata(&link) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(file("look at", &link)(error)),
        Ok(_) if link.canonicalize().is_ok_and(|held| held == target) => return Ok(()),
        // Fails where something is in it.
        Ok(found) if found.is_dir() && fs::remove_dir(&link).is_ok() => {}
        Ok(_) => {
            let message = format!(
                "{} is in use, but audit.archive_dir is {}; hint: stop the node, move what is in it there, and remove it",
                link.display(),
                target.display()
            );
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
        }
    }
    std::os::unix::fs::symlink(&target, &link).map_err(file("make", &link))?;
    sync_dir(data)
}

/// Make the names in a directory durable.
pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .map_err(file("sync directory", path))
}
