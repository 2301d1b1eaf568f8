//! Commands on subjects.

use serde::{Deserialize, Serialize};

/// Make a subject known: sessions of it are sealed with a key that a majority of the nodes has on disk. A subject that is
/// known keeps its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutSubject {
    /// Its name: 1 to 256 bytes.
    pub name: String,
    /// Names the key.
    pub key_id: String,
}

/// Destroy the key of a subject: nobody can read any more what its sessions have held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EraseSubject {
    /// Its name.
    pub name: String,
}
