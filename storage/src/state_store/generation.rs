//! Which generation of the state is the valid one. A snapshot is installed by making a new generation beside
//! the old one and then replacing one small file: at any moment of a crash exactly one of them is named.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{DAMAGE_HINT, damaged, file};
use crate::identity::{make_dir, write_json};

const FORMAT_VERSION: u32 = 1;

/// The content of `current.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Generation {
    format_version: u32,
    /// Numbers the generations of this node.
    pub number: u64,
    /// The snapshot that it was made from, if there was one.
    pub snapshot: Option<String>,
}

impl Generation {
    /// The one that follows.
    pub(crate) fn next(&self, snapshot: &str) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            number: self.number + 1,
            snapshot: Some(snapshot.to_owned()),
        }
    }

    /// Its folder in the state's folder.
    pub(crate) fn path(&self, state: &Path) -> PathBuf {
        state.join(format!("{:08}", self.number))
    }

    /// The valid one; the first one in a new folder.
    pub(crate) fn open(state: &Path) -> io::Result<Self> {
        make_dir(state)?;
        let generation = match Self::read(state)? {
            Some(generation) => generation,
            None => {
                let first = Self {
                    format_version: FORMAT_VERSION,
                    number: 1,
                    snapshot: None,
                };
                make_dir(&first.path(state))?;
                first.make_current(state)?;
                first
            }
        };
        generation.remove_others(state)?;
        Ok(generation)
    }

    /// The valid one, if there is one.
    pub(crate) fn read(state: &Path) -> io::Result<Option<Self>> {
        let path = current(state);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(file("read", &path)(error)),
        };
        let generation: Self = serde_json::from_slice(&bytes)
            .map_err(|error| damaged(format_args!("{} is damaged: {error}", path.display())))?;
        if generation.format_version != FORMAT_VERSION {
            let message = format!(
                "{} has format version {}, this build knows {FORMAT_VERSION}; \
                 hint: run the release that wrote it, or a newer one",
                path.display(),
                generation.format_version
            );
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        }
        if !generation.path(state).is_dir() {
            let message = format!(
                "{} names a generation that is not there; {DAMAGE_HINT}",
                path.display()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(Some(generation))
    }

    /// Make it the valid one, durably.
    pub(crate) fn make_current(&self, state: &Path) -> io::Result<()> {
        write_json(&current(state), self)
    }

    /// Remove what a crash or a replaced generation has left.
    fn remove_others(&self, state: &Path) -> io::Result<()> {
        let keep = self.path(state);
        for entry in fs::read_dir(state).map_err(file("list", state))? {
            let path = entry?.path();
            if path.is_dir() && path != keep {
                fs::remove_dir_all(&path).map_err(file("remove", &path))?;
            }
        }
        Ok(())
    }
}

fn current(state: &Path) -> PathBuf {
    state.join("current.json")
}
