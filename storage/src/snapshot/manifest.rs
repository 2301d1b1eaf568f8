//! What a snapshot consists of and covers.

use std::fs;
use std::io;
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

use crate::error::{CodecError, damaged, file};
use crate::identity::write_json;
use crate::state_store::head::Published;
use crate::traits::{AppliedState, EntryId, MembershipRecord, SnapshotRef};

/// Name of the manifest in a snapshot's folder.
pub const MANIFEST_NAME: &str = "manifest.json";

/// The format of manifests that this build reads and writes.
pub const FORMAT_VERSION: u8 = 1;

/// Files that a snapshot may have.
pub const FILES_MAX: usize = 100_000;

/// A snapshot's manifest: the last file that is written, so that a folder which has it is complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotManifest {
    /// Format of the manifest.
    pub format_version: u8,
    /// Names the snapshot.
    pub id: String,
    /// The last applied entry.
    pub last: Option<EntryId>,
    /// The entry that set the membership.
    pub membership_id: Option<EntryId>,
    /// The membership.
    pub membership: MembershipRecord,
    /// Position of the last event.
    pub position: u64,
    /// Hash of the last event, hexadecimal.
    pub chain_head: String,
    /// The files beside the manifest.
    pub files: Vec<SnapshotFile>,
}

/// One file of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotFile {
    /// Its name in the folder; no path.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Hash of its content, hexadecimal.
    pub blake3: String,
}

impl SnapshotManifest {
    pub(crate) fn new(id: &str, published: &Published, files: Vec<SnapshotFile>) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            id: id.to_owned(),
            last: published.applied.last,
            membership_id: published.applied.membership_id,
            membership: published.applied.membership.clone(),
            position: published.head.position,
            chain_head: blake3::Hash::from(published.head.chain_head)
                .to_hex()
                .to_string(),
            files,
        }
    }

    /// The manifest in a snapshot's folder.
    ///
    /// # Errors
    ///
    /// `NotFound` where the folder is not complete, `InvalidData` where the manifest is damaged,
    /// `Unsupported` where another release wrote it.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let path = folder.join(MANIFEST_NAME);
        Self::decode(&fs::read(&path).map_err(file("read", &path))?)
    }

    /// Write the manifest into a folder whose other files are complete, and sync both.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        write_json(&folder.join(MANIFEST_NAME), self)
    }

    /// Its bytes, JSON: for sending.
    pub fn encode(&self) -> io::Result<Vec<u8>> {
        Ok(serde_json::to_vec(self)?)
    }

    /// What [`Self::encode`] made, checked: version, names of files, their number.
    pub fn decode(bytes: &[u8]) -> io::Result<Self> {
        let bad = |reason: String| damaged(format_args!("snapshot manifest is damaged: {reason}"));
        let json: serde_json::Value =
            serde_json::from_slice(bytes).map_err(|error| bad(error.to_string()))?;
        let found = json
            .get("format_version")
            .and_then(serde_json::Value::as_u64)
            .unwrap_or(0);
        if found != u64::from(FORMAT_VERSION) {
            let found = u8::try_from(found).unwrap_or(u8::MAX);
            let what = "snapshot manifest".to_owned();
            return Err(CodecError::UnknownVersion {
                what,
                found,
                known: FORMAT_VERSION,
            }
            .into());
        }
        let manifest: Self =
            serde_json::from_value(json).map_err(|error| bad(error.to_string()))?;
        super::check_id(&manifest.id)?;
        if manifest.files.len() > FILES_MAX {
            return Err(bad(format!(
                "{} files, the limit is {FILES_MAX}",
                manifest.files.len()
            )));
        }
        for file in &manifest.files {
            check_name(&file.name)?;
        }
        Ok(manifest)
    }

    /// What the snapshot covers.
    pub fn state(&self) -> AppliedState {
        AppliedState {
            last: self.last,
            membership_id: self.membership_id,
            membership: self.membership.clone(),
        }
    }

    /// Size of all files together.
    pub fn bytes(&self) -> u64 {
        self.files
            .iter()
            .fold(0, |sum, file| sum.saturating_add(file.bytes))
    }

    pub(crate) fn reference(&self, folder: &Path) -> SnapshotRef {
        SnapshotRef {
            id: self.id.clone(),
            path: folder.to_owned(),
            state: self.state(),
        }
    }
}

/// Refuse names that lead out of a snapshot's folder or hide the manifest.
pub(super) fn check_name(name: &str) -> io::Result<()> {
    let mut parts = Path::new(name).components();
    let plain = matches!(
        (parts.next(), parts.next()),
        (Some(Component::Normal(part)), None) if part == name
    );
    if plain && !name.starts_with(MANIFEST_NAME) {
        return Ok(());
    }
    let message = format!("{name:?} is not the name of a snapshot's file");
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}
