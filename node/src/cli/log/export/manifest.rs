//! What stands beside an export.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::super::super::error::CliError;
use super::spool::beside;

/// Its format.
pub(in super::super) const FORMAT: &str = "snakepit-export/1";

/// See docs/evidence-format.md.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in super::super) struct Manifest {
    pub(in super::super) format: String,
    pub(in super::super) form: String,
    pub(in super::super) origin: String,
    pub(in super::super) first: u64,
    pub(in super::super) last: u64,
    pub(in super::super) count: u64,
    pub(in super::super) previous_hash: String,
    pub(in super::super) last_hash: String,
    pub(in super::super) frontier: Vec<String>,
    pub(in super::super) root: String,
    pub(in super::super) bytes: u64,
    pub(in super::super) sha256: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in super::super) checkpoint: Option<String>,
}

impl Manifest {
    /// Where that of an export is.
    pub(in super::super) fn path(file: &Path) -> PathBuf {
        beside(file, ".manifest.json")
    }

    /// Write it whole or not at all.
    pub(super) fn write(&self, file: &Path) -> Result<(), CliError> {
        let path = Self::path(file);
        let new = path.with_extension("new");
        let text = serde_json::to_string_pretty(self).map_err(CliError::failed)?;
        std::fs::write(&new, text + "\n").map_err(CliError::file("write", &new))?;
        std::fs::rename(&new, &path).map_err(CliError::file("write", &path))
    }
}
