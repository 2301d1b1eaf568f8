//! Paths in a local cluster's directory.
//!
//! ```text
//! <dir>/cluster.json        what was launched
//! <dir>/cluster.key         signs checkpoints of the log
//! <dir>/cluster.pub         checks them
//! <dir>/lock                locked while cluster.json is changed
//! <dir>/node-<i>/node.toml  settings
//! <dir>/node-<i>/data/      log, state, snapshots
//! <dir>/node-<i>/log        what the node says
//! ```

use std::path::{Path, PathBuf};

use super::super::error::CliError;

/// The paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    dir: PathBuf,
}

impl Layout {
    /// In a directory, or in the user's default one; absolute, for nodes may run elsewhere.
    pub fn new(dir: Option<&Path>) -> Result<Self, CliError> {
        let dir =
            match dir {
                Some(dir) => dir.to_owned(),
                None => default_dir(|name| std::env::var_os(name).map(PathBuf::from)).ok_or_else(
                    || CliError::usage("neither XDG_STATE_HOME nor HOME is set; hint: give --dir"),
                )?,
            };
        let dir = std::path::absolute(&dir).map_err(CliError::file("find", &dir))?;
        Ok(Self { dir })
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn record(&self) -> PathBuf {
        self.dir.join("cluster.json")
    }

    pub fn signing_key(&self) -> PathBuf {
        self.dir.join("cluster.key")
    }

    pub fn verifying_key(&self) -> PathBuf {
        self.dir.join("cluster.pub")
    }

    pub fn lock(&self) -> PathBuf {
        self.dir.join("lock")
    }

    pub fn node(&self, id: u64) -> PathBuf {
        self.dir.join(format!("node-{id}"))
    }

    pub fn settings(&self, id: u64) -> PathBuf {
        self.node(id).join("node.toml")
    }

    pub fn data(&self, id: u64) -> PathBuf {
        self.node(id).join("data")
    }

    pub fn log(&self, id: u64) -> PathBuf {
        self.node(id).join("log")
    }
}

fn default_dir(env: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let state = env("XDG_STATE_HOME").filter(|path| path.is_absolute());
    let state = state.or_else(|| env("HOME").map(|home| home.join(".local/state")))?;
    Some(state.join("snakepit/default"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_follows_xdg() {
        let with = |xdg: Option<&'static str>| {
            default_dir(move |name| match name {
                "XDG_STATE_HOME" => xdg.map(PathBuf::from),
                _ => Some(PathBuf::from("/home/x")),
            })
        };
        assert_eq!(
            with(None).unwrap(),
            Path::new("/home/x/.local/state/snakepit/default")
        );
        assert_eq!(with(Some("/s")).unwrap(), Path::new("/s/snakepit/default"));
        assert_eq!(
            with(Some("s")).unwrap(),
            Path::new("/home/x/.local/state/snakepit/default")
        );
    }
}
