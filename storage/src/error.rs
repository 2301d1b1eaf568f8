//! Errors. Inside, a small enum for each operation; at the boundary of the traits an [`io::Error`], whose
//! kind is `InvalidData` where bytes are damaged and `Unsupported` where their format is not known.

use std::io;

/// What to do about damaged bytes; the end of every message that reports some.
pub(crate) const DAMAGE_HINT: &str =
    "hint: remove this node from the cluster and add it again with an empty data directory";

/// Bytes could not be decoded, or must not be encoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The bytes are not what was written.
    #[error("{what} is damaged: {reason}; {DAMAGE_HINT}")]
    Damaged {
        /// What was read: `entry 17`, `row Session("a")`.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Another release wrote the bytes.
    #[error(
        "{what} has format version {found}, this build knows {known}; \
         hint: run the release that wrote it, or a newer one"
    )]
    UnknownVersion {
        /// What was read.
        what: String,
        /// Its version.
        found: u8,
        /// The version that this build reads and writes.
        known: u8,
    },
    /// More bytes than the format allows.
    #[error("{what} has {bytes} bytes, the limit is {bytes_max}; hint: send less at once")]
    TooLarge {
        /// What was read or was to be written.
        what: String,
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
}

impl CodecError {
    /// Damaged bytes.
    pub(crate) fn damaged(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Damaged {
            what: what.into(),
            reason: reason.into(),
        }
    }

    /// The same error with a better name for what was read, such as `entry 17`.
    #[must_use]
    pub fn naming(mut self, name: impl Into<String>) -> Self {
        match &mut self {
            Self::Damaged { what, .. }
            | Self::UnknownVersion { what, .. }
            | Self::TooLarge { what, .. } => *what = name.into(),
        }
        self
    }
}

impl From<CodecError> for io::Error {
    fn from(error: CodecError) -> Self {
        let kind = match &error {
            CodecError::Damaged { .. } => io::ErrorKind::InvalidData,
            CodecError::UnknownVersion { .. } => io::ErrorKind::Unsupported,
            CodecError::TooLarge { .. } => io::ErrorKind::InvalidInput,
        };
        Self::new(kind, error)
    }
}

/// RocksDB failed; what it calls corruption becomes `InvalidData`.
pub(crate) fn rocks(doing: &str) -> impl FnOnce(rocksdb::Error) -> io::Error + '_ {
    move |error| {
        let damaged = error.kind() == rocksdb::ErrorKind::Corruption;
        let (kind, hint) = if damaged {
            (io::ErrorKind::InvalidData, format!("; {DAMAGE_HINT}"))
        } else {
            (io::ErrorKind::Other, String::new())
        };
        io::Error::new(kind, format!("cannot {doing}: {error}{hint}"))
    }
}

/// A file operation failed: say which.
pub(crate) fn file(doing: &str, path: &std::path::Path) -> impl FnOnce(io::Error) -> io::Error {
    let message = format!("cannot {doing} {}", path.display());
    move |error| io::Error::new(error.kind(), format!("{message}: {error}"))
}

/// Damage found outside a codec.
pub(crate) fn damaged(message: impl std::fmt::Display) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{message}; {DAMAGE_HINT}"),
    )
}
