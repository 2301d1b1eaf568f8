//! What can be wrong with settings, and where it was written.

use std::fmt;
use std::path::PathBuf;

use super::key::Kind;

/// Settings could not be loaded. Nothing has been started or written.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The settings file cannot be read.
    #[error("cannot read the settings file {}: {source}; hint: check the path given to --config", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The settings file is not TOML.
    #[error(
        "{place}: {message}; hint: strings are quoted, sections are written [section], comments start with #"
    )]
    Syntax {
        /// Where the parser stopped.
        place: Place,
        /// What the parser says, on one line.
        message: String,
    },
    /// Unknown keys, and values that are not of the key's kind: all of them, in reading order.
    #[error("{}", lines(.0))]
    Faults(Vec<Fault>),
    /// Values that break a limit: all of them.
    #[error("{}", lines(.0))]
    Invalid(Vec<Problem>),
}

/// Where a setting was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the settings file.
    File {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
    },
    /// In an environment variable.
    Env(String),
    /// In a flag.
    Flag(String),
}

/// A setting that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where it was written.
    pub place: Place,
    /// What is wrong.
    pub kind: FaultKind,
}

/// What is wrong with a setting that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// No setting has this name.
    UnknownKey {
        /// The name as written, with its section.
        key: String,
        /// What is known instead, ready to print: the nearest key, or all of the section.
        suggestion: String,
    },
    /// The value is of the wrong kind.
    WrongKind {
        /// The key.
        key: String,
        /// What it takes.
        expected: Kind,
        /// What was written.
        found: String,
    },
    /// The value is of the right kind and cannot be read.
    Malformed {
        /// The key.
        key: String,
        /// What is wrong with it.
        message: String,
    },
    /// The key is a table of the file and cannot be set from elsewhere.
    FileOnly {
        /// The table, as it is written in the file.
        table: String,
    },
    /// `--set` without `section.key=value`.
    NotAnAssignment {
        /// What was written.
        found: String,
    },
}

/// A value that breaks a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// A setting, or an initial member.
    Limit {
        /// The key, with its section.
        field: String,
        /// Its value, as written in TOML.
        value: String,
        /// What it must be, to be read after "it must be".
        limit: String,
        /// What to do.
        hint: String,
    },
    /// A pool, in the words of [`PoolSettings::validate`](crate::pool::PoolSettings::validate).
    Pool {
        /// Which `[[pool]]`, from 0.
        at: usize,
        /// Field, what is wrong, remedy.
        message: String,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line, column } => {
                write!(f, "{}, line {line}, column {column}", path.display())
            }
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.kind)
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKey { key, suggestion } => {
                write!(f, "unknown setting {key}; hint: {suggestion}")
            }
            Self::WrongKind {
                key,
                expected,
                found,
            } => {
                write!(
                    f,
                    "{key} takes {expected}, found {found}; hint: {}",
                    expected.example()
                )
            }
            Self::Malformed { key, message } => write!(f, "{key}: {message}"),
            Self::FileOnly { table } => {
                write!(
                    f,
                    "{table} can be set in the settings file only; hint: use --config"
                )
            }
            Self::NotAnAssignment { found } => {
                write!(
                    f,
                    "{found:?} is not an assignment; hint: --set raft.snapshot_entries=50000"
                )
            }
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit {
                field,
                value,
                limit,
                hint,
            } => {
                write!(f, "{field} is {value}, it must be {limit}; hint: {hint}")
            }
            Self::Pool { at, message } => write!(f, "pool[{at}].{message}"),
        }
    }
}

fn lines<T: fmt::Display>(items: &[T]) -> String {
    items
        .iter()
        .map(T::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}
