//! Settings of a node: defaults, then the TOML file, then `SNAKEPIT_<SECTION>__<KEY>` in the environment,
//! then flags. Every limit of the node is here, with a name; `docs/settings.md` lists them.
//!
//! To add a setting, add a line to [`sections`] and to the documentation: the layers, the ranges and
//! `--print-config` follow.

mod error;
mod fields;
mod file;
mod key;
mod member;
mod nearest;
mod overrides;
mod render;
mod sections;
mod validate;

#[cfg(test)]
mod doc_tests;
#[cfg(test)]
mod load_tests;
#[cfg(test)]
mod validate_tests;

use std::collections::BTreeMap;
use std::fmt;

pub use error::{ConfigError, Fault, FaultKind, Place, Problem};
pub use key::Kind;
pub use member::Member;
pub use overrides::{Flags, environment};
pub use sections::{
    AuditSettings, LimitSettings, ListenSettings, LogFormat, LogSettings, NodeSettings,
    RaftSettings, SessionSettings, TelemetrySettings,
};

use crate::pool::PoolSettings;

/// All settings of a node.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Who the node is.
    pub node: NodeSettings,
    /// What it is labelled with, on top of what is seen: `[node.labels]`.
    pub labels: BTreeMap<String, String>,
    /// Addresses that it binds.
    pub listen: ListenSettings,
    /// Initial members of the cluster, this node among them; empty for a node that waits to be added.
    pub members: Vec<Member>,
    /// Raft: its clock, its log and its queues.
    pub raft: RaftSettings,
    /// The log as evidence.
    pub audit: AuditSettings,
    /// Limits of state and of requests.
    pub limits: LimitSettings,
    /// What a session gets when its creator does not say.
    pub session: SessionSettings,
    /// Pools of workers on this node.
    pub pools: Vec<PoolSettings>,
    /// Records of the process.
    pub log: LogSettings,
    /// Spans of requests.
    pub telemetry: TelemetrySettings,
    /// Where values that are not defaults came from, by `section.key`.
    origins: BTreeMap<String, Origin>,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The settings file.
    File,
    /// This environment variable.
    Env(String),
    /// This flag.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File => f.write_str("file"),
            Self::Env(name) => write!(f, "env {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

impl Settings {
    /// Puts the layers together and validates the whole.
    ///
    /// # Errors
    ///
    /// Everything that is wrong in one layer at once, and, when all can be understood, every value that
    /// breaks a limit.
    pub fn load(
        flags: &Flags,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut settings = Self::default();
        let mut faults = Vec::new();
        if let Some(path) = &flags.config {
            let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
                path: path.clone(),
                source,
            })?;
            match file::apply(&mut settings, path, &text) {
                Err(ConfigError::Faults(found)) => faults.extend(found),
                other => other?,
            }
        }
        overrides::apply_env(&mut settings, env, &mut faults);
        overrides::apply_flags(&mut settings, flags, &mut faults);
        if !faults.is_empty() {
            return Err(ConfigError::Faults(faults));
        }
        let problems = settings.validate();
        if problems.is_empty() {
            Ok(settings)
        } else {
            Err(ConfigError::Invalid(problems))
        }
    }
}
