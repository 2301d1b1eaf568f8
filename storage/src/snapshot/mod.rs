//! Snapshots: a RocksDB checkpoint (hard links) with a manifest, sent and received as files.
//!
//! ```text
//! snapshots/<id>/            complete: files and manifest.json, synced, renamed into place
//! snapshots/<id>.tmp/        being built; removed on start
//! snapshots/<id>.staging/    being received; kept, so that a transfer can go on
//! ```
//!
//! Sender: [`SnapshotManifest::read`], then [`open_at`] for each file. Receiver: `StateStorage::staging`,
//! [`receive_at`] for each file, [`SnapshotManifest::write`], `StateStorage::install_snapshot`.

mod files;
mod folder;
mod install;
mod manifest;

pub use self::files::{bytes_received, open_at, receive_at};
pub use self::manifest::{MANIFEST_NAME, SnapshotFile, SnapshotManifest};

pub(crate) use self::files::{hash_file, verify};
pub(crate) use self::folder::{SnapshotFolder, check_id, new_id};
pub(crate) use self::install::{InstallStep, prepare};

#[cfg(test)]
mod tests;
