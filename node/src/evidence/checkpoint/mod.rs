//! Signed tree heads: the text of C2SP's tlog-checkpoint, inside a signed note, under an Ed25519 key.
//!
//! <https://c2sp.org/tlog-checkpoint>, <https://c2sp.org/signed-note>

mod key;
mod note;

pub use key::{KeyError, SigningKey, VerifyingKey};
pub use note::{Checkpoint, NoteError};

/// A checkpoint's origin: which log it is of.
pub fn origin(cluster_id: &str) -> String {
    format!("snakepit/{cluster_id}")
}

#[cfg(test)]
mod tests;
