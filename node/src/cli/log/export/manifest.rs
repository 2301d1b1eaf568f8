//! What stands beside an export.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::super::error::CliError;

/// Its format.
pub(super) const FORMAT: &str = "snakepit-export/1";

/// See docs/evidence.md.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub format: String,
    pub form: String,
    pub origin: String,
    pub first: u64,
    pub last: u64,
    pub count: u64,
    pub previous_hash: String,
    pub last_hash: String,
    pub frontier: Vec<String>,
    pub root: String,
    pub bytes: u64,
    pub sha256: String,
    pub checkpoint: String,
}

impl Manifest {
    pub(super) fn path(file: &Path) -> PathBuf {
        let mut name = file.as_os_str().to_owned();
        name.push(".manifest.json");
        PathBuf::from(name)
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
